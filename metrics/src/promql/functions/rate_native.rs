//! How much a native histogram grew within a range.

use super::{
    super::{
        histogram::{CUSTOM, Incompatible, add, is_reset, subtract},
        notes::Note,
        window::Window,
    },
    Said,
};
use crate::series::Histogram;

/// The last histogram without the first, and with what was lost when the counter began
/// anew. `None` where the histograms don't fit each other.
pub fn grown(window: &Window<'_>, is_counter: bool, said: &mut Said) -> Option<Histogram> {
    let all = window.histograms;
    let metric = || window.metric().to_owned();
    let (mut before, last) = (all[0].1.clone(), &all[all.len() - 1].1);
    if is_counter && all.iter().any(|(_, histogram)| histogram.gauge) {
        said.note(Note::NotCounter(metric()));
    }
    if !is_counter && (!before.gauge || !last.gauge) {
        said.note(Note::NotGauge(metric()));
    }
    // Of the first one nothing is needed when the second began anew.
    if is_counter && is_reset(&all[1].1, &before) {
        let (schema, custom_bounds) = (all[1].1.schema, all[1].1.custom_bounds.clone());
        let zero_threshold = all[1].1.zero_threshold;
        before = Histogram { schema, custom_bounds, zero_threshold, ..Histogram::default() }.into();
    }
    let custom = before.schema == CUSTOM;
    let rest = if is_counter { &all[1..] } else { std::slice::from_ref(&all[all.len() - 1]) };
    if rest.iter().any(|(_, histogram)| (histogram.schema == CUSTOM) != custom) {
        said.note(Note::MixedSchemas(metric()));
        return None;
    }
    let mut sum = |result: Result<(Histogram, bool), Incompatible>, operation| {
        let (histogram, reconciled) = result.ok()?;
        if reconciled {
            said.note(Note::ReconciledBounds(operation));
        }
        Some(histogram)
    };
    let mut grown = sum(subtract(last, &before), "subtraction")?;
    if is_counter {
        for (_, now) in &all[1..] {
            if is_reset(now, &before) {
                grown = sum(add(&grown, &before), "addition")?;
            }
            before = now.clone();
        }
    }
    grown.gauge = true;
    Some(grown)
}
