//! How much a native histogram grew within a range, and what is said of it.

use super::{
    super::{
        histogram::{self, Incompatible},
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
    if is_counter && all.iter().any(|(_, histogram)| histogram.gauge) {
        said.note(Note::NotCounter(metric()));
    }
    let ends = [all.first(), all.last()];
    if !is_counter && ends.into_iter().flatten().any(|(_, histogram)| !histogram.gauge) {
        said.note(Note::NotGauge(metric()));
    }
    let grown = match histogram::grown(all, |(_, histogram)| histogram.as_ref(), is_counter) {
        Ok(grown) => grown?,
        Err(Incompatible) => {
            said.note(Note::MixedSchemas(metric()));
            return None;
        }
    };
    for (is_unlike, operation) in [(grown.subtracted_unlike, "subtraction"), (grown.added_unlike, "addition")]
    {
        if is_unlike {
            said.note(Note::ReconciledBounds(operation));
        }
    }
    Some(grown.histogram)
}
