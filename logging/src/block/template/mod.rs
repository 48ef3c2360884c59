//! Templates and variables: what the messages of a block have in common, once,
//! and what differs, in columns.
//!
//! ```text
//! body -> split (one pass) -> template: its bytes with a mark a variable   -> intern (number of the template)
//!                          -> variables: numbers, times, addresses, tokens -> slot (a column a slot)
//! columns of a template + template -> join -> bodies, to the byte
//! ```
//!
//! A template is kept as its *key*: the literal bytes, with [`MARK`] and the
//! variable's [`class`] in the place of each variable. A body that has the mark's
//! byte itself, or too many variables, is one variable as a whole.
//!
//! What search relies on: every variable but [`class::WHOLE`] begins and ends
//! with a letter or digit, and every run of letters and digits in it has a digit
//! or is named by [`may_hide`]. So a word without digits that isn't in a template
//! is in no record of it.

mod fields;
mod intern;
mod join;
mod marked;
mod probe;
mod slot;
mod spelt;
mod split;
pub(crate) mod times;

pub use fields::{FieldValue, Form};
pub use intern::Intern;
pub use join::{Template, join};
pub use probe::runs;
pub use slot::{Scratch, write_slot};
pub use spelt::{Spelt, may_spell};
pub use split::{Variable, split};

/// Stands before a variable's class in a key.
pub const MARK: u8 = 0;
/// Variables of a template at most.
pub const MAX_SLOTS: usize = 255;

/// What kind of variable, as it stands in a key. Part of the file format.
pub mod class {
    /// A run of letters and digits, with a digit.
    pub const TOKEN: u8 = 1;
    /// A UUID whose letters are lower case.
    pub const UUID: u8 = 2;
    /// A UUID whose letters are upper case.
    pub const UUID_UPPER: u8 = 3;
    /// An IPv4 address.
    pub const ADDRESS: u8 = 4;
    /// A whole body.
    pub const WHOLE: u8 = 5;
    /// `02/Jan/2006:15:04:05`
    pub const CLF_TIME: u8 = 6;
    /// `2006-01-02T15:04:05`, with so many digits behind the point as its low four bits say.
    pub const ISO_TIME: u8 = 0x40;
    /// Of an [`ISO_TIME`]: a space in the place of the `T`.
    pub const SPACE: u8 = 0x20;
    /// Of an [`ISO_TIME`]: a comma in the place of the point.
    pub const COMMA: u8 = 0x10;
}

/// Whether a word without digits (lower case) may stand in a variable: all of a
/// UUID's group, or the month of a time.
pub fn may_hide(word: &[u8]) -> bool {
    let group = matches!(word.len(), 4 | 8 | 12) && word.iter().all(|byte| (b'a'..=b'f').contains(byte));
    group || (word.len() == 3 && times::MONTHS.iter().any(|month| month.eq_ignore_ascii_case(word)))
}

/// A piece of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Literal(&'a [u8]),
    /// A variable of this class.
    Slot(u8),
}

/// The pieces of a key, in order.
pub fn pieces(mut key: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (first, rest) = key.split_first()?;
        if *first == MARK {
            let (class, rest) = rest.split_first()?;
            key = rest;
            return Some(Piece::Slot(*class));
        }
        let end = key.iter().position(|byte| *byte == MARK).unwrap_or(key.len());
        let (literal, rest) = key.split_at(end);
        key = rest;
        Some(Piece::Literal(literal))
    })
}

#[cfg(test)]
mod tests;
