//! Numbers for byte strings: the same bytes, the same number, counted from 0.
//!
//! Open addressing over hashes of eight bytes a step; the strings stand in one
//! buffer. Chosen collisions cost a block's own writer a few thousand compares.

/// Numbered byte strings.
#[derive(Debug, Default)]
pub struct Intern {
    text: Vec<u8>,
    /// Where each string ends in `text`.
    ends: Vec<usize>,
    /// A power of two, at most half full.
    slots: Vec<Slot>,
}

/// What tells most strings from each other without a look at them.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    length: u32,
    /// Number + 1, or 0 for free.
    number: u32,
}

impl Intern {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.slots.fill(Slot::default());
    }

    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// All strings, one after the other.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// The number of the string, which is shorter than 4 GiB; it is taken in when it is new.
    pub fn number(&mut self, string: &[u8]) -> u32 {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let (hash, length) = (hash(string), string.len() as u32);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Slot { number: 1.., .. } = self.slots[at] {
            let slot = self.slots[at];
            let number = slot.number - 1;
            // Different short strings of one length never have the same hash.
            if slot.hash == hash
                && slot.length == length
                && (string.len() <= SHORT || self.get(number as usize) == string)
            {
                return number;
            }
            at = (at + 1) & mask;
        }
        self.text.extend_from_slice(string);
        self.ends.push(self.text.len());
        let number = self.ends.len() as u32;
        self.slots[at] = Slot { hash, length, number };
        number - 1
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        for slot in before.into_iter().filter(|slot| slot.number > 0) {
            let mut at = slot.hash as usize & (size - 1);
            while self.slots[at].number != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }
}

/// Strings of so many bytes fit one word.
const SHORT: usize = 8;

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of short strings of one length it is the word in other bits: no two have the same.
fn hash(string: &[u8]) -> u64 {
    let Some(last) = string.last_chunk::<8>() else {
        return spread(short(string) ^ (string.len() as u64).wrapping_mul(FACTOR));
    };
    if string.len() == SHORT {
        return spread(u64::from_le_bytes(*last) ^ (SHORT as u64).wrapping_mul(FACTOR));
    }
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut hash = string.len() as u64 ^ FACTOR;
    for word in string.as_chunks::<8>().0 {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    // Some of its bytes a second time.
    mix(mix(hash, u64::from_le_bytes(*last)), FACTOR)
}

/// All bytes of less than eight, some of them twice: bytes that are copied one by one are slow to
/// be read as a word.
fn short(string: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (string.first_chunk::<4>(), string.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    let (Some(first), Some(last)) = (string.first(), string.last()) else { return 0 };
    u64::from(*first) | u64::from(string[string.len() / 2]) << 8 | u64::from(*last) << 16
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
    #[test]
    fn strings_of_two_lengths_differ_where_their_hashes_do_not() {
        let seven = b"seven b";
        // The word of eight bytes whose length undoes what the other's length changes.
        let lengths = 7u64.wrapping_mul(FACTOR) ^ 8u64.wrapping_mul(FACTOR);
        let eight = (short(seven) ^ lengths).to_le_bytes();
        assert_eq!(hash(seven), hash(&eight));
        let mut intern = Intern::default();
        assert_eq!([intern.number(seven), intern.number(&eight), intern.number(seven)], [0, 1, 0]);
    }
}
