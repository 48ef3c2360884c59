//! Inputs by chance: every parser that takes bytes from outside, and every door as a
//! whole.
//!
//! ```text
//! parsers  real inputs, damaged        -> no panic, memory in proportion to the input
//! grammar  inputs made along the rules -> what is understood reads the same again
//! doors    requests over sockets       -> 2xx or 4xx; refused: nothing stored, taken: exactly that
//! ```
//!
//! A failure names its seed: `TIPHYS_FUZZ_SEED` begins there. `TIPHYS_SOAK=1` runs for
//! long, from another seed each time.

mod corpus;
mod dice;
mod doors;
mod grammar;
mod mutate;
mod parsers;

use std::hash::{BuildHasher, RandomState};

use dice::Dice;

/// Runs `round` so many times, or 200 times as often; each has dice of its own.
fn rounds(short: u64, mut round: impl FnMut(&mut Dice, &str)) {
    let soak = std::env::var_os("TIPHYS_SOAK").is_some();
    let given = std::env::var("TIPHYS_FUZZ_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or_else(|| if soak { RandomState::new().hash_one(short) } else { 1 });
    for n in 0..if soak { short * 200 } else { short } {
        let mut dice = Dice::new(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        round(&mut dice, &format!("seed {seed}, round {n}"));
    }
}
