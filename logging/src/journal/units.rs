//! The streams that entries become: one a unit, as long as there are not too many.
//!
//! Names come from whoever writes to the journal, so there is a bound, [`MAX_UNITS`]. Beyond it
//! lines are kept under the name of what has none, and that is told. A unit that is silent for
//! long is forgotten when its place is wanted: written again, it is the same stream. No clock.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::entry::NAMELESS;
use crate::{record::StreamInfo, tail::SYSTEM_NAMESPACE};

/// Units that have a stream of their own; the others are together in one.
pub const MAX_UNITS: usize = 512;
/// A unit without a record for so long gives its place to another. As often it is told that there
/// are too many.
pub const SILENT: Duration = Duration::from_secs(24 * 3600);

/// The units of a node.
#[derive(Debug, Default)]
pub struct Units {
    node: String,
    known: HashMap<String, Known>,
    /// Records whose unit had no place, since that was told.
    refused: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    info: Arc<StreamInfo>,
    /// When it had a record.
    last: Instant,
}

impl Units {
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), ..Self::default() }
    }

    /// The name that a record of this unit is kept under: its own, if there is a place.
    pub fn name(&mut self, unit: &str, now: Instant) -> String {
        if self.known.contains_key(unit) {
            return unit.to_owned();
        }
        if self.known.len() >= MAX_UNITS {
            self.known.retain(|_, known| now.saturating_duration_since(known.last) < SILENT);
        }
        if self.known.len() < MAX_UNITS {
            return unit.to_owned();
        }
        self.refused += 1;
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= SILENT) {
            let (units, lines) = (MAX_UNITS, self.refused);
            tracing::warn!(
                units,
                lines,
                example = unit,
                "more units than have streams of their own write to the journal: lines of the others are under container:journal"
            );
            (self.told, self.refused) = (Some(now), 0);
        }
        NAMELESS.to_owned()
    }

    /// The stream of a name, which has a record now.
    pub fn stream(&mut self, unit: &str, now: Instant) -> Arc<StreamInfo> {
        let node = &self.node;
        let known = self.known.entry(unit.to_owned()).or_insert_with(|| {
            let info = StreamInfo {
                namespace: SYSTEM_NAMESPACE.to_owned(),
                pod: format!("{unit}-{node}"),
                uid: format!("journal-{unit}-{node}"),
                container: unit.to_owned(),
                restart: 0,
                node: node.clone(),
            };
            Known { info: Arc::new(info), last: now }
        });
        known.last = now;
        known.info.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_silent_for_a_day_gives_its_place_to_another() {
        let (mut units, start) = (Units::new("n1"), Instant::now());
        let hour = |number: u32| start + number * Duration::from_secs(3600);
        let write = |units: &mut Units, unit: &str, now: Instant| {
            let name = units.name(unit, now);
            units.stream(&name, now).container.clone()
        };
        for number in 0..MAX_UNITS {
            let unit = format!("u{number}");
            assert_eq!(write(&mut units, &unit, start), unit);
        }
        assert_eq!(write(&mut units, "late", hour(1)), NAMELESS);
        assert_eq!((units.told, units.refused), (Some(hour(1)), 0));
        assert_eq!(write(&mut units, "later", hour(2)), NAMELESS);
        assert_eq!((units.told, units.refused), (Some(hour(1)), 1), "told once");
        let stream = units.stream("u7", hour(23));
        assert_eq!(write(&mut units, "late", hour(23)), NAMELESS);
        assert_eq!(write(&mut units, "late", hour(24)), "late");
        // Only those stay that have written.
        assert_eq!(units.known.len(), 3);
        assert_eq!(units.stream("u7", hour(24)), stream);
        assert_eq!(write(&mut units, "u8", hour(24)), "u8");
    }
}
