//! Series that live as long as what they are of: labels are made when it is seen for the first
//! time, and a stale marker says that it is gone.

use std::collections::HashMap;

use tiphys_api::cadvisor::{Name, Tell};

use crate::series::{Appended, LabelsBuilder, NAME, STALE, Sample, SeriesId, Store, Value};

/// What was told so far, by list and thing.
#[derive(Default)]
pub struct Live {
    known: HashMap<(u8, String), Thing>,
    round: u64,
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
    /// The store doesn't take it, and is not asked again.
    Refused,
}

/// All that is there at one time.
pub struct Round<'a> {
    live: &'a mut Live,
    store: &'a Store,
    /// Milliseconds.
    time: i64,
    samples: Vec<Sample>,
}

impl Live {
    /// What isn't told of before [`Round::end`] is gone.
    pub fn round<'a>(&'a mut self, store: &'a Store, time: i64) -> Round<'a> {
        self.round += 1;
        Round { live: self, store, time, samples: Vec::new() }
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
        let thing = self.live.known.entry((list, key.to_owned())).or_insert_with(empty);
        thing.round = self.live.round;
        for (name, state) in names.iter().zip(&mut thing.series) {
            let number = (name.value)(value);
            if let (State::Silent, Some(_)) = (*state, number) {
                *state = resolve(self.store, name, labels);
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
        let appended = self.store.append(&self.samples);
        if appended.unknown > 0 {
            // They are asked for again.
            self.live.known.clear();
        }
        appended
    }
}

fn resolve<V>(store: &Store, name: &Name<V>, labels: &[(&str, &str)]) -> State {
    let mut builder = LabelsBuilder::default();
    builder.set(NAME, name.name);
    labels.iter().chain(name.labels).for_each(|(name, value)| builder.set(name, value));
    match store.resolve(&builder.finish()) {
        Ok(series) => State::Told(series),
        Err(refused) => {
            tracing::warn!(metric = name.name, %refused, "a figure of a node has no series");
            State::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use tiphys_api::cadvisor::Kind;

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
}
