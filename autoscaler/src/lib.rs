//! The horizontal autoscaler: `autoscaling/v2`, acting on samples.
//!
//! ```text
//! HPAs (cache) ──> controller ──> worker, one each
//! samples (MetricSource) ──> ask ─┐
//! Pods (cache) ───────────────────┴─> decide (pure) ─> /scale, status, events, decision row
//!                                     formula, stabilize, course, behaviour: values in, values out
//! ```
//!
//! Upstream's rules to the letter: <https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/>.
//! What differs is when: a new sample wakes it, not a timer; and it goes down where upstream's
//! look each 15 s does ([`course`]).
//!
//! What it must not do: know how samples are collected or kept ([`MetricSource`]
//! is handed in), or where decisions are kept ([`DecisionSink`]).

mod amount;
mod ask;
mod behaviour;
mod clock;
mod conditions;
mod controller;
mod course;
mod decide;
mod forecast;
mod formula;
mod metric_names;
mod pods;
mod selectors;
mod source;
mod spec;
mod stabilize;
mod status;
mod targets;
mod trouble;
mod warned;
mod wording;
mod words;
mod worker;
mod zero;

pub use amount::{amount, bytes};
pub use controller::{Config, start};
pub use forecast::{ANNOTATION as PREDICT, mistake};
pub use source::{DecisionSink, Described, MetricName, MetricSource, Reading, Series};
