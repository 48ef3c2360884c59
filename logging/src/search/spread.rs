//! Looks into many blocks on several threads: an answer over all records is a sum of what its
//! blocks say, and each of them is unpacked alone.

use std::{
    num::NonZero,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Progress, Request};

/// Blocks that one thread takes at once, where nothing speaks for more; with fewer than two portions,
/// no thread is started.
pub const PORTION: usize = 32;
/// A search leaves cores to others.
const MAX_THREADS: usize = 4;
/// Asked once: it is read from files.
static CORES: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS));

/// What `look` makes of each portion, with the number of the portion's first candidate, in order.
/// Once the request is late the rest is missing.
pub fn spread<C: Sync, T: Send>(
    candidates: &[C],
    portion: usize,
    request: &Request,
    progress: &mut Progress,
    look: impl Fn(&[C], &mut Progress) -> T + Sync,
) -> Vec<(usize, T)> {
    let threads = CORES.min(candidates.len() / portion).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut progress, mut done) = (Progress::default(), Vec::new());
        loop {
            let from = next.fetch_add(portion, Ordering::Relaxed);
            if from >= candidates.len() || progress.is_late(request) {
                return (progress, done);
            }
            let to = (from + portion).min(candidates.len());
            done.push((from, look(&candidates[from..to], &mut progress)));
        }
    };
    let mut all = Vec::new();
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut take = |(done_on_the_way, done): (Progress, Vec<(usize, T)>)| {
            progress.add(done_on_the_way);
            all.extend(done);
        };
        take(work());
        for other in others {
            match other.join() {
                Ok(done) => take(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all.sort_by_key(|(from, _)| *from);
    all
}
