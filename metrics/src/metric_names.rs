//! The names and help of what the metrics server tells about itself.

pub const SERIES: (&str, &str) = ("tiphys_metrics_series", "Series kept in memory");
pub const SECONDS: (&str, &str) = ("tiphys_metrics_node_seconds", "Seconds of nodes that were taken in");
