//! Which letters the variables of a slot have: a block that can't spell what a regular
//! expression must find is ruled out by its templates alone.

use super::{Piece, class, pieces};
use crate::query::required::Letters;

/// A set of letters, whatever their case. Its bits stand in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spelt(u32);

impl Spelt {
    /// Also what is no letter of ASCII.
    pub const ANY: Self = Self((1 << 27) - 1);
    pub const HEX: Self = Self(0b11_1111);

    /// Of a text.
    pub fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |bits, byte| bits | BITS[usize::from(*byte)]))
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    fn has_all(self, letters: Self) -> bool {
        letters.0 & !self.0 == 0
    }

    fn has_some(self, letters: Self) -> bool {
        letters.0 & self.0 != 0
    }
}

/// A letter's bit; digits and ASCII's signs have none, all else has the last.
const BITS: [u32; 256] = {
    let mut bits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let lower = (byte as u8).to_ascii_lowercase();
        if lower.is_ascii_lowercase() {
            bits[byte] = 1 << (lower - b'a');
        } else if byte >= 0x80 {
            bits[byte] = 1 << 26;
        }
        byte += 1;
    }
    bits
};

/// Whether a record of the template with this key, whose slots spell these, may have the letters.
pub fn may_spell(key: &[u8], slots: &[Spelt], wanted: &Letters) -> bool {
    let whole: Vec<u8> = wanted.before.iter().chain(&wanted.letters).chain(&wanted.after).copied().collect();
    let letters = Spelt::of(&wanted.letters);
    let pieces: Vec<Piece<'_>> = pieces(key).collect();
    let mut slots = slots.iter();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) if memchr::memmem::find(text, &whole).is_some() => return true,
            Piece::Literal(_) => {}
            Piece::Slot(class::WHOLE) => return true,
            Piece::Slot(class) => {
                let Some(spelt) = slots.next() else { return true };
                if is_time(*class) {
                    // Digits at both ends, a month or a `T` in the midst.
                    if wanted.letters.len() <= 3 {
                        return true;
                    }
                    continue;
                }
                // Some of them may be the variable's, and the others stand beside it.
                let joined = at.checked_sub(1).is_some_and(|before| ends_in_word(&pieces[before]))
                    || pieces.get(at + 1).is_some_and(begins_with_word);
                if spelt.has_all(letters) || (joined && spelt.has_some(letters)) {
                    return true;
                }
            }
        }
    }
    false
}

fn is_time(class: u8) -> bool {
    class == class::CLF_TIME || class & class::ISO_TIME != 0
}

fn ends_in_word(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Slot(_) => true,
        Piece::Literal(text) => text.last().is_some_and(u8::is_ascii_alphanumeric),
    }
}

fn begins_with_word(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Slot(_) => true,
        Piece::Literal(text) => text.first().is_some_and(u8::is_ascii_alphanumeric),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::template::split;

    fn letters() -> impl Strategy<Value = Letters> {
        let beside = || proptest::option::of(prop_oneof![Just(b' '), Just(b'='), Just(b'-')]);
        (beside(), "[abkmsTJan]{1,4}", beside()).prop_map(|(before, letters, after)| Letters {
            before,
            letters: letters.into_bytes(),
            after,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_is_in_a_body_may_be_spelt(
            words in proptest::collection::vec("[abkmsTJan]{0,3}[0-9]{0,3}(ms|KiB|k|a)?|2024-02-29T23:59:59|02/Jan/2006:15:04:05|10\\.0\\.0\\.1|3f2504e0-4f89-41d3-9a0c-0305e82c3301", 1..6),
            sign in prop_oneof![Just(" "), Just("="), Just("-")],
            wanted in letters(),
        ) {
            let body = words.join(sign).into_bytes();
            let (mut key, mut variables) = (Vec::new(), Vec::new());
            split(&body, 0, &mut key, &mut variables);
            let spelt: Vec<Spelt> = variables.iter().map(|variable| Spelt::of(&body[variable.range()])).collect();
            let whole: Vec<u8> =
                wanted.before.iter().chain(&wanted.letters).chain(&wanted.after).copied().collect();
            if memchr::memmem::find(&body, &whole).is_some() {
                prop_assert!(may_spell(&key, &spelt, &wanted), "{:?}", String::from_utf8_lossy(&body));
            }
        }
    }

    #[test]
    fn what_no_variable_spells_is_ruled_out() {
        let may = |body: &str, letters: &str| {
            let (mut key, mut variables) = (Vec::new(), Vec::new());
            split(body.as_bytes(), 0, &mut key, &mut variables);
            let spelt: Vec<Spelt> =
                variables.iter().map(|variable| Spelt::of(&body.as_bytes()[variable.range()])).collect();
            let wanted = Letters { before: None, letters: letters.into(), after: Some(b' ') };
            may_spell(&key, &spelt, &wanted)
        };
        assert!(may("it took 12ms", "took") && may("it took 12 ms ago", "ms") && may("x took7 y", "took"));
        assert!(!may("status 503 of u12 in 9ms", "took") && !may("blk_38a7 ok", "took"));
        // A part in the variable, a part beside it.
        assert!(may("7k5ms", "kms") && !may("7k5 ms", "kms"));
    }
}
