//! Which part is killed next, and when: by chance with a seed, so that a failure can be run again
//! with `TIPHYS_FUZZ_SEED`.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

/// What is killed. Collectors do most of the work.
const PARTS: [Part; 4] = [Part::Collectors, Part::Collectors, Part::Server, Part::Agents];
/// Between two kills, milliseconds.
const PAUSE: std::ops::Range<u64> = 300..3_300;

/// A part of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Collectors,
    Server,
    Agents,
}

/// Kills without an end. Of four in a row each of [`PARTS`] is one, in any order.
pub struct Schedule {
    pub seed: u64,
    thrown: u64,
    left: Vec<Part>,
}

impl Schedule {
    /// By the seed of the environment, or another one each time.
    pub fn start() -> Result<Self> {
        let seed = match std::env::var("TIPHYS_FUZZ_SEED") {
            Ok(seed) => seed.parse().context("TIPHYS_FUZZ_SEED is no number")?,
            Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos()),
        };
        Ok(Self { seed, thrown: 0, left: Vec::new() })
    }

    /// How long to wait, and what is killed then.
    pub fn draw(&mut self) -> (Duration, Part) {
        if self.left.is_empty() {
            self.left = PARTS.to_vec();
        }
        let pause = PAUSE.start + self.below(PAUSE.end - PAUSE.start);
        let at = self.below(self.left.len() as u64);
        (Duration::from_millis(pause), self.left.remove(at as usize))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.thrown += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.thrown).hash(&mut hasher);
        hasher.finish() % n
    }
}
