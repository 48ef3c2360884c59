//! The targets that are scraped: a task each, from the moment it is found until it is gone.
//!
//! ```text
//! discovery -> sync (new ones start, missing ones end) -> task: tick -> fetch -> round -> store
//! ```
//!
//! A target's ticks are its own, spread over the interval by what it is, so that not all
//! come at once and a restart doesn't move them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    counts::Counts,
    fetch::{Fetcher, Way},
    round::{Report, Round, Said},
    target::Target,
};
use crate::series::{Labels, Store};

/// Scrapes whose time is so close to a tick have the tick's time: even steps are kept in fewer bytes.
const TOLERANCE: Duration = Duration::from_millis(2);

/// How the last scrape of a target went.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Absent: not scraped yet.
    pub at: Option<Timestamp>,
    pub took: Duration,
    /// Empty: it went well.
    pub error: String,
    pub report: Report,
}

type Key = (String, String, Labels);

struct Running {
    target: Arc<Target>,
    health: Arc<Mutex<Health>>,
    said: Said,
    gone: CancellationToken,
}

/// All targets. Clones share them.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    fetcher: Fetcher,
    counts: Counts,
    tasks: Tasks,
    running: Mutex<BTreeMap<Key, Running>>,
}

impl Pool {
    pub fn new(store: Arc<Store>, fetcher: Fetcher, counts: Counts, tasks: &Tasks) -> Self {
        Self(Arc::new(Inner { store, fetcher, counts, tasks: tasks.clone(), running: Mutex::default() }))
    }

    /// Scrapes these, and no others.
    pub fn sync(&self, targets: Vec<Target>) {
        let wanted: BTreeMap<Key, Target> =
            targets.into_iter().map(|target| (target.key(), target)).collect();
        let mut running = self.0.running.lock();
        running.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if !stays {
                running.gone.cancel();
            }
            stays
        });
        for (key, target) in wanted {
            running.entry(key).or_insert_with(|| self.start(Arc::new(target)));
        }
        self.0.counts.targets.set(i64::try_from(running.len()).unwrap_or(i64::MAX));
    }

    fn start(&self, target: Arc<Target>) -> Running {
        let gone = CancellationToken::new();
        let health = Arc::new(Mutex::new(Health::default()));
        let Inner { store, counts, .. } = &*self.0;
        let (labels, taking) = (target.labels.clone(), target.job.taking.clone());
        let round = Round::new(store.clone(), labels, taking, counts.clone());
        let said = round.said();
        let scraper = Scraper {
            inner: self.0.clone(),
            target: target.clone(),
            health: health.clone(),
            gone: gone.clone(),
        };
        self.0.tasks.spawn("scrape a target", OnError::Log, scraper.run(round));
        Running { target, health, said, gone }
    }

    /// The targets and how they are.
    pub fn list(&self) -> Vec<(Arc<Target>, Health)> {
        let running = self.0.running.lock();
        running.values().map(|running| (running.target.clone(), running.health.lock().clone())).collect()
    }

    /// The targets and what they say of their metrics.
    pub fn said(&self) -> Vec<(Arc<Target>, Said)> {
        let running = self.0.running.lock();
        running.values().map(|running| (running.target.clone(), running.said.clone())).collect()
    }
}

struct Scraper {
    inner: Arc<Inner>,
    target: Arc<Target>,
    health: Arc<Mutex<Health>>,
    gone: CancellationToken,
}

impl Scraper {
    async fn run(self, mut round: Round) -> Result<(), Infallible> {
        let counts = &self.inner.counts;
        let job = &self.target.job;
        let mut way = Way::default();
        let wait = until_first(job.interval, self.target.spread(), now());
        let mut steps = Steps { next: now() + millis(wait), interval: millis(job.interval) };
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + wait, job.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let tick = async {
                ticks.tick().await;
                let at = steps.align(now());
                let started = Instant::now();
                (at, started, self.inner.fetcher.fetch(&self.target, &mut way).await)
            };
            let (at, started, answer) = tokio::select! {
                biased;
                () = self.gone.cancelled() => {
                    round.end(now());
                    return Ok(());
                }
                scraped = tick => scraped,
            };
            let mut result = "ok";
            let taking = move || {
                let taken = match answer {
                    Ok(answer) => round.take(&answer.body, answer.format, at).map_err(|refusal| {
                        result = "unreadable";
                        refusal.to_string()
                    }),
                    Err(error) => {
                        round.end_all(at);
                        result = error.result();
                        Err(error.to_string())
                    }
                };
                let took = started.elapsed();
                round.report(
                    at,
                    taken.is_ok(),
                    took.as_secs_f64(),
                    *taken.as_ref().unwrap_or(&Report::default()),
                );
                (round, taken, took, result)
            };
            let Ok((back, taken, took, result)) = tokio::task::spawn_blocking(taking).await else {
                tracing::error!(
                    url = self.target.url,
                    "a scrape ended in a panic: the target is scraped no more"
                );
                return Ok(());
            };
            round = back;
            counts.ended(result);
            *self.health.lock() = Health {
                at: Timestamp::from_millisecond(at).ok(),
                took,
                report: *taken.as_ref().unwrap_or(&Report::default()),
                error: taken.err().unwrap_or_default(),
            };
        }
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How long until the first tick of a target: ticks are where the time, less the target's own
/// part of the interval, is a multiple of the interval.
fn until_first(interval: Duration, spread: u64, now: i64) -> Duration {
    let interval = millis(interval).max(1);
    let offset = (spread % interval.unsigned_abs()) as i64;
    let into = (now - offset).rem_euclid(interval);
    Duration::from_millis((interval - into).unsigned_abs())
}

/// The even steps that scrapes are held to.
struct Steps {
    next: i64,
    interval: i64,
}

impl Steps {
    /// The time of a scrape that begins now.
    fn align(&mut self, now: i64) -> i64 {
        let tolerance = millis(TOLERANCE).min(self.interval / 100);
        if tolerance == 0 {
            return now;
        }
        if now - self.next > self.interval {
            self.next += (now - self.next) / self.interval * self.interval;
        }
        if (now - self.next).abs() > self.interval {
            self.next = now;
        }
        let aligned = if (now - self.next).abs() <= tolerance { self.next } else { now };
        self.next += self.interval;
        aligned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_where_they_are() {
        let interval = Duration::from_secs(15);
        for now in [1_700_000_000_123, 1_700_000_007_000, 1_700_000_014_999] {
            let first = now + millis(until_first(interval, 77_777_777, now));
            assert!(first > now && first - now <= 15_000);
            assert_eq!((first - 77_777_777 % 15_000) % 15_000, 0);
        }
    }

    #[test]
    fn times_are_aligned_within_two_milliseconds() {
        let mut steps = Steps { next: 1_000, interval: 15_000 };
        let table = [
            (1_002, 1_000),
            (15_998, 16_000),
            (31_003, 31_003),
            // A tick was missed.
            (61_001, 61_000),
            (76_000, 76_000),
            // The clock went back.
            (500, 500),
            (15_501, 15_500),
        ];
        for (now, wanted) in table {
            assert_eq!(steps.align(now), wanted, "at {now}");
        }
        let mut short = Steps { next: 0, interval: 50 };
        assert_eq!(short.align(1), 1);
    }
}
