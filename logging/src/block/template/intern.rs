//! Numbers for byte strings: the same bytes, the same number, counted from 0.
//!
//! Open addressing over hashes of eight bytes a step; the strings stand in one
//! buffer. Chosen collisions cost a block's own writer a few thousand compares.

/// Numbered byte strings.
#[derive(Debug, Default)]
pub struct Intern {
    text: Vec<u8>,
    /// Where each string ends in `text`, and its hash.
    entries: Vec<(usize, u64)>,
    /// Number + 1, or 0 for free; a power of two, at most half full.
    slots: Vec<u32>,
}

impl Intern {
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.slots.fill(0);
    }

    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// All strings, one after the other.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.entries[before].0);
        &self.text[start..self.entries[number].0]
    }

    /// The number of the string; it is taken in when it is new.
    pub fn number(&mut self, string: &[u8]) -> u32 {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash(string);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(number) = self.slots[at].checked_sub(1) {
            if self.entries[number as usize].1 == hash && self.is(number as usize, string) {
                return number;
            }
            at = (at + 1) & mask;
        }
        self.text.extend_from_slice(string);
        self.entries.push((self.text.len(), hash));
        self.slots[at] = self.entries.len() as u32;
        self.slots[at] - 1
    }

    /// Whether the string of this number, whose hash is the same, is this one.
    fn is(&self, number: usize, string: &[u8]) -> bool {
        let known = self.get(number);
        // Different short strings of one length never have the same hash.
        known.len() == string.len() && (string.len() <= SHORT || known == string)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots.clear();
        self.slots.resize(size, 0);
        for (number, (_, hash)) in self.entries.iter().enumerate() {
            let mut at = *hash as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = number as u32 + 1;
        }
    }
}

/// Strings of so many bytes fit one word.
const SHORT: usize = 8;

/// Of short strings of one length it is the word in other bits: no two have the same.
fn hash(string: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, tail) = string.as_chunks::<8>();
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    if string.len() <= SHORT {
        let word = words.first().unwrap_or(&last);
        return spread(u64::from_le_bytes(*word) ^ (string.len() as u64).wrapping_mul(FACTOR));
    }
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut hash = string.len() as u64 ^ FACTOR;
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    mix(mix(hash, u64::from_le_bytes(last)), FACTOR)
}

/// One to one: shifts to the right and factors that are odd can be undone.
fn spread(mut word: u64) -> u64 {
    word ^= word >> 32;
    word = word.wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^= word >> 32;
    word = word.wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^ (word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_have_the_same_number() {
        let mut intern = Intern::default();
        for round in 0..2 {
            for at in 0..1000u32 {
                assert_eq!(intern.number(format!("string {at}").as_bytes()), at, "round {round}");
            }
        }
        assert_eq!(intern.number(b""), 1000);
        assert_eq!((intern.get(999), intern.get(1000), intern.count()), (&b"string 999"[..], &b""[..], 1001));
        // Alike but for their lengths.
        for length in 1..20 {
            assert_eq!(intern.number(&[0; 20][..length]), 1000 + length as u32);
            assert_eq!(intern.number(&[0; 20][..length]), 1000 + length as u32);
        }
        intern.clear();
        assert_eq!(intern.number(b"other"), 0);
    }
}
