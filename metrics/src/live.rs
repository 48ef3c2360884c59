//! Series that live as long as what they are of: labels are made when it is seen for the first
//! time, and a stale marker says that it is gone. What the store refuses is counted, and asked
//! again after a while: there may be room by then.

use std::collections::HashMap;

use tiphys_api::{
    cadvisor::{Name, Tell},
    ways::Way,
};

use crate::{
    scrape::counts::Counts,
    series::{Appended, Labels, LabelsBuilder, NAME, Refused, STALE, Sample, SeriesId, Store, Value},
};

/// After so many rounds, five minutes, the store is asked again for what it refused.
pub const AGAIN: u64 = 20;

/// What was told so far, by list and thing.
#[derive(Default)]
pub struct Live {
    known: HashMap<(u8, String), Thing>,
    round: u64,
    /// Where it is told what is refused.
    counts: Counts,
}

struct Thing {
    /// One for each name of the list.
    series: Box<[State]>,
    round: u64,
}

#[derive(Clone, Copy)]
enum State {
    Silent,
    Told(SeriesId),
    /// The store didn't take it in this round.
    Refused(u64),
}

/// All that is there at one time.
pub struct Round<'a> {
    live: &'a mut Live,
    store: &'a Store,
    /// Milliseconds.
    time: i64,
    samples: Vec<Sample>,
    /// How many series were refused, and why the last one was.
    refused: Option<(usize, Refused)>,
}

impl Live {
    /// The same, counting what is refused.
    pub fn counting(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// What isn't told of before [`Round::end`] is gone.
    pub fn round<'a>(&'a mut self, store: &'a Store, time: i64) -> Round<'a> {
        self.round += 1;
        Round { live: self, store, time, samples: Vec::new(), refused: None }
    }
}

impl Tell for Round<'_> {
    fn tell<V: 'static>(
        &mut self,
        list: u8,
        key: &str,
        names: &[Name<V>],
        value: &V,
        labels: &[(&str, &str)],
    ) {
        let empty = || Thing { series: vec![State::Silent; names.len()].into(), round: 0 };
        let round = self.live.round;
        let thing = self.live.known.entry((list, key.to_owned())).or_insert_with(empty);
        thing.round = round;
        for (name, state) in names.iter().zip(&mut thing.series) {
            let number = (name.value)(value);
            let is_asked = match *state {
                State::Silent => true,
                State::Refused(since) => round - since >= AGAIN,
                State::Told(_) => false,
            };
            if is_asked && number.is_some() {
                let labels = labels_of(name, labels);
                *state = match self.store.resolve_by(&labels, Way::Sampled) {
                    Ok(series) => State::Told(series),
                    Err(why) => {
                        self.live.counts.refused(labels.get("namespace").unwrap_or_default(), &why);
                        let before = self.refused.take().map_or(0, |(count, _)| count);
                        self.refused = Some((before + 1, why));
                        State::Refused(round)
                    }
                };
            }
            let State::Told(series) = *state else { continue };
            if number.is_none() {
                *state = State::Silent;
            }
            let value = Value::Number(number.unwrap_or(STALE));
            self.samples.push(Sample { series, time: self.time, value });
        }
    }
}

impl Round<'_> {
    /// Ends the series of what is gone, and writes; what became of it.
    pub fn end(mut self) -> Appended {
        let (round, time) = (self.live.round, self.time);
        let gone = self.live.known.extract_if(|_, thing| thing.round != round);
        for state in gone.flat_map(|(_, thing)| thing.series) {
            if let State::Told(series) = state {
                self.samples.push(Sample { series, time, value: Value::Number(STALE) });
            }
        }
        if let Some((count, why)) = &self.refused {
            tracing::warn!(count, %why, "figures of a node have no series; they are tried again in a while");
        }
        let appended = self.store.append(&self.samples);
        if appended.unknown > 0 {
            // They are asked for again.
            self.live.known.clear();
        }
        appended
    }
}

fn labels_of<V>(name: &Name<V>, labels: &[(&str, &str)]) -> Labels {
    let mut builder = LabelsBuilder::default();
    builder.set(NAME, name.name);
    labels.iter().chain(name.labels).for_each(|(name, value)| builder.set(name, value));
    builder.finish()
}

#[cfg(test)]
mod tests {
    use tiphys_api::cadvisor::Kind;
    use tiphys_telemetry::Component;

    use super::*;
    use crate::series::{Limits, Matcher};

    static NAMES: &[Name<u64>] = &[
        Name { name: "a", kind: Kind::Gauge, help: "", labels: &[("x", "y")], value: |it| Some(*it as f64) },
        Name { name: "b", kind: Kind::Gauge, help: "", labels: &[], value: |it| (*it > 1).then_some(1.0) },
    ];

    #[tokio::test]
    async fn what_is_gone_or_does_not_apply_ends() {
        let (store, mut live) = (Store::in_memory(Limits::default()), Live::default());
        for (time, things) in [(1, &[("p", 2), ("q", 5)][..]), (2, &[("p", 1)]), (3, &[])] {
            let mut round = live.round(&store, time);
            for (key, value) in things {
                round.tell(0, key, NAMES, value, &[("pod", key)]);
            }
            round.end();
        }
        let of = async |name: &str, pod: &str| {
            let matchers = [Matcher::equal(NAME, name), Matcher::equal("pod", pod)];
            let found = store.all(&matchers, 0..9).await;
            let [one] = found.as_slice() else { panic!("{found:?}") };
            let told = |(time, value): &(i64, Value)| (*time, value.number().filter(|_| !value.is_stale()));
            one.samples.iter().map(told).collect::<Vec<_>>()
        };
        assert_eq!(of("a", "p").await, [(1, Some(2.0)), (2, Some(1.0)), (3, None)]);
        assert_eq!(of("b", "p").await, [(1, Some(1.0)), (2, None)]);
        assert_eq!(of("a", "q").await, [(1, Some(5.0)), (2, None)]);
        assert!(live.known.is_empty());
    }

    #[tokio::test]
    async fn what_is_refused_is_counted_and_asked_again() {
        let store = Store::in_memory(Limits { series: 4, ..Limits::default() });
        let (counts, component) = (Counts::default(), Component::new("test"));
        counts.register(&component);
        let mut live = Live::default().counting(counts);
        let mut tell = |rounds: std::ops::RangeInclusive<i64>| {
            for time in rounds {
                let mut round = live.round(&store, time);
                for pod in ["p", "q", "r"] {
                    round.tell(0, pod, NAMES, &2, &[("namespace", pod), ("pod", pod)]);
                }
                round.end();
            }
        };
        let refused = || {
            let told = component.render();
            let line = told.lines().find(|line| line.contains("series_refused_total{")).unwrap_or_default();
            assert!(line.contains("reason=\"full\""), "{told}");
            line.rsplit(' ').next().unwrap_or_default().to_owned()
        };
        tell(1..=20);
        assert_eq!((refused().as_str(), store.series_count()), ("2", 4), "once each");
        // What was there is gone, and there is room.
        store.drop_before(21);
        tell(21..=21);
        assert_eq!((refused().as_str(), store.series_count()), ("2", 2));
    }
}
