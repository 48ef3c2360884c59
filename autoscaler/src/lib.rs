//! The horizontal autoscaler: `autoscaling/v2`, acting on samples.
//!
//! ```text
//! samples (MetricSource) ─┐
//! Pods, HPAs (caches) ────┼─> reconcile ─> decide (pure) ─> /scale, status, events, decision row
//!                         └   formula, stabilize, behaviour: values in, values out
//! ```
//!
//! Upstream's rules to the letter: <https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/>.
//! What differs is when: a new sample wakes it, not a timer.
//!
//! What it must not do: know how samples are collected or kept ([`MetricSource`]
//! is handed in), or where decisions are kept ([`DecisionSink`]).

mod behaviour;
mod decide;
mod formula;
mod metric_names;
mod pods;
mod reconcile;
mod source;
mod spec;
mod stabilize;
mod status;

pub use reconcile::{Config, start};
pub use source::{DecisionSink, MetricName, MetricSource, Reading};
