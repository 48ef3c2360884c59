//! Inputs by chance: every parser that takes bytes from outside, and every door as a
//! whole.
//!
//! ```text
//! parsers    real inputs, damaged        -> no panic, memory in proportion to the input
//! grammar    inputs made along the rules -> what is understood reads the same again
//! doors      requests over sockets       -> taken: exactly that is stored; refused: nothing, and why
//! questions  of readers to real nodes    -> 2xx or 4xx, no node breaks, nothing foreign is shown;
//!            by JSON, Loki's parameters, gRPC and live tails of each
//! node       the server's to a collector -> the same, and what is deleted is what was ordered
//! ```
//!
//! A failure names its seed: `TIPHYS_FUZZ_SEED` begins there. `TIPHYS_SOAK=1` runs for
//! long, from another seed each time.

mod corpus;
mod dice;
mod doors;
mod grammar;
mod live;
mod messages;
mod mutate;
mod node;
mod parsers;
mod questions;

use std::hash::{BuildHasher, RandomState};

use dice::Dice;

/// Dice of so many rounds, or 200 times as many, each with the round's name.
fn seeds(short: u64) -> impl Iterator<Item = (Dice, String)> {
    let soak = std::env::var_os("TIPHYS_SOAK").is_some();
    let given = std::env::var("TIPHYS_FUZZ_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or_else(|| if soak { RandomState::new().hash_one(short) } else { 1 });
    (0..if soak { short * 200 } else { short }).map(move |n| {
        let dice = Dice::new(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        (dice, format!("seed {seed}, round {n}"))
    })
}

/// Runs `round` with each of the [`seeds`].
fn rounds(short: u64, mut round: impl FnMut(&mut Dice, &str)) {
    seeds(short).for_each(|(mut dice, name)| round(&mut dice, &name));
}
