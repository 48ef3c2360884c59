//! The text of a template with a mark for each variable, and what is known of a line by it.
//!
//! A reader of lines asks what a part of a line is made of. Of literal text that is known, and of
//! a variable by its class, but for tokens: what they must be is noted, and looked at in
//! their columns.

use super::{class, times};
use crate::query::lines::{self, Run, Tell};

/// Stands for a variable in the form of a body; no template has it in its text.
pub const MARK: char = '\0';
/// Where the characters begin that number the variables behind a mark.
const NUMBERS: u32 = 0xf_0000;
/// Added to the number of one that has a space in it. There are fewer variables.
pub const SPACED: usize = 256;

/// The mark of a slot.
pub fn mark(slot: usize) -> String {
    let number = u32::try_from(slot).ok().and_then(|slot| char::from_u32(NUMBERS + slot));
    [MARK, number.unwrap_or(MARK)].iter().collect()
}

/// The slot that a character behind a mark is the number of.
pub fn slot_of(number: char) -> Option<usize> {
    usize::try_from(u32::from(number).checked_sub(NUMBERS)?).ok()
}

/// Whether variables of the class have a space in them.
pub fn is_spaced(class: u8) -> bool {
    class & class::ISO_TIME != 0 && class & class::SPACE != 0
}

fn is_time(class: u8) -> bool {
    class == class::CLF_TIME || class & class::ISO_TIME != 0
}

/// What is known of a line whose variables are marks.
pub struct Marked<'a> {
    /// Of its variables.
    pub classes: &'a [u8],
    /// What variables must be for it to be the line that it was told to be.
    pub runs: Vec<(usize, Run)>,
    /// Something was asked that only a whole body tells.
    pub unsure: bool,
}

impl Marked<'_> {
    fn class(&self, number: char) -> Option<u8> {
        self.classes.get(slot_of(number)?).copied()
    }
}

/// What stands behind the mark, if that is all of the part.
fn alone(part: &str) -> Option<char> {
    let mut inside = part.strip_prefix(MARK)?.chars();
    inside.next().filter(|_| inside.as_str().is_empty())
}

impl Tell for Marked<'_> {
    fn run(&mut self, part: &str, run: Run) -> bool {
        // A run with a digit is a variable as a whole.
        let Some(number) = alone(part) else { return false };
        let slot = slot_of(number).filter(|_| self.class(number) == Some(class::TOKEN));
        self.runs.extend(slot.map(|slot| (slot, run)));
        slot.is_some()
    }

    fn time(&mut self, part: &str) -> bool {
        if let Some(number) = alone(part) {
            return self.class(number).is_some_and(is_time);
        }
        // One that isn't in the calendar is several variables.
        let n_of = |sign: char| part.matches(sign).count();
        let has_time = part.chars().any(|number| self.class(number).is_some_and(is_time));
        self.unsure |= part.contains(MARK) && (has_time || n_of('/') > 1 || n_of('-') > 1);
        false
    }

    fn stamp(&mut self, part: &str) -> Option<u8> {
        // It is one variable, or none.
        alone(part).and_then(|number| self.class(number)).and_then(times::stamp_of)
    }

    fn name(&mut self, part: &str) -> bool {
        let mut signs = part.chars();
        while let Some(sign) = signs.next() {
            let is_of_name = match sign {
                // Times have colons, other variables have letters, digits, points and dashes.
                MARK => {
                    signs.next().and_then(|number| self.class(number)).is_some_and(|class| !is_time(class))
                }
                sign => lines::is_name_sign(sign),
            };
            if !is_of_name {
                return false;
            }
        }
        !part.is_empty()
    }

    fn forget(&mut self) {
        self.runs.clear();
    }
}
