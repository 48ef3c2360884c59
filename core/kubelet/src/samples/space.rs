//! Space that volumes and containers' own layers take, and how often it is looked at.
//!
//! ```text
//! a thread of each volume: its file system, each second ─┐
//!                          its files, as their cost allows ─┼─> Space, what a second tells of it
//! a task: layers, as their cost allows ───────────────────┘
//! ```
//!
//! A file system that doesn't answer holds up its own volume and nothing else. What must not
//! be: a figure that is told as new long after it was measured.

mod layers;
mod pulse;
mod turn;
mod volumes;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tiphys_api::samples::VolumeSample;
use tokio::sync::watch;

use self::{layers::Layers, volumes::Volumes};
use crate::workers::{Context, PodView};

/// What looks at files may pause for: so many times what they took, shared by all that do the
/// same, so that together they take a fiftieth of a core.
const FACTOR: u32 = 50;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// What was measured so long ago is told no more.
const OLD: Duration = Duration::from_secs(180);

/// What is told of space in one second.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// By the container's id.
    pub layers: Arc<HashMap<String, Taken>>,
    /// By the Pod's UID: all of its volumes, or none of them.
    pub volumes: HashMap<String, Vec<VolumeSample>>,
}

/// Of a tree of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub bytes: u64,
    pub inodes: u64,
}

/// What is looked at until the kubelet stops.
pub(super) struct Looks {
    layers: watch::Receiver<Layers>,
    volumes: Volumes,
}

impl Looks {
    pub fn start(context: &Arc<Context>) -> Self {
        Self { layers: layers::start(context), volumes: Volumes::new(&context.config.root) }
    }

    /// What this second tells: of volumes those of a Pod where one has changed, and those of each
    /// Pod when `all` are to be told.
    pub fn next(&mut self, views: &[Arc<PodView>], all: bool) -> Space {
        let now = Instant::now();
        // Volumes are in their places when the sandbox is there, and as long as it is.
        let placed = views.iter().filter(|view| view.runtime.ready_sandbox().is_some());
        let pods: Vec<_> = placed.map(|view| &view.pod).collect();
        Space { layers: self.layers.borrow().current(now), volumes: self.volumes.next(&pods, now, all) }
    }
}

/// How long a look pauses that took so long, of so many that look at the same.
fn pause(took: Duration, looks: usize) -> Duration {
    let factor = u32::try_from(looks.max(1)).unwrap_or(u32::MAX).saturating_mul(FACTOR);
    took.saturating_mul(factor).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_is_looked_at_less_often() {
        let pause = |millis, looks| pause(Duration::from_millis(millis), looks).as_millis();
        let table = [(0, 0, 1000), (1, 1, 1000), (20, 1, 1000), (100, 1, 5000), (20, 10, 10_000)];
        for (took, looks, wanted) in table {
            assert_eq!(pause(took, looks), wanted, "{took} ms of each of {looks}");
        }
        assert_eq!(pause(10_000, 1), 60_000);
        assert_eq!(pause(u64::MAX, usize::MAX), 60_000);
    }
}
