//! Metrics as SQL: what every node, Pod and container uses, sampled each second.
//!
//! ```text
//! kubelets' sample streams ─> follow (one task a node) ─> memory (rings a series) ─┬─> autoscaler, kubectl top
//!                                              ├─> names (what others call it)     └─> tables: node, pod, container
//! the API's objects ─> state ───────────────────┤
//! Pods, Services, components ─> scrape ─────────┼─> series (labels, times, values)
//! PrometheusRules ─> rules ─────────────────────┘
//! autoscaler's decisions ─────────────────────────────> decisions (file, memory) ───> table: decisions
//!                                                                                       └─> sql (DataFusion) ─> HTTP
//! ```
//!
//! Other parts bring tables of theirs into SQL by an [`Extension`]. Recent values
//! are served from memory without the query engine. What it must
//! not do: know the kubelet or the autoscaler but by the shapes in
//! [`tiphys_api::samples`] and [`tiphys_api::decisions`].

mod advise;
mod append;
mod custom;
mod decisions;
mod disks;
mod doors;
mod events;
mod figures;
mod follow;
mod late;
mod live;
mod memory;
mod metric_names;
mod names;
mod places;
mod prometheus_operator;
pub mod promql;
mod recent;
mod resource_metrics;
mod retention;
mod rules;
mod scope;
mod scrape;
pub mod series;
mod server;
mod sql;
mod state;
mod tables;
mod traces;
mod volumes;

pub use custom::{CustomMetrics, ExternalValue, NoFigures, Queries, TiphysMetric};
pub use decisions::Decisions;
pub use disks::Disks;
pub use doors::forward;
pub use events::EventLog;
pub use figures::Figure;
pub use follow::{FollowConfig, Takers};
pub use memory::{Memory, Reading};
pub use names::Names;
pub use retention::Retention;
pub use scrape::{Own, OwnPods, ScrapeConfig, Scraping};
pub use server::{Config, Metrics, MetricsError, SQL_PATH, series_routes, sql_mounts};
pub use sql::{
    Answer, Asker, Credentials, Engine, Extension, Format, Limits, Notes, ParquetFile, Rows, SamplesTable,
    SqlError, Streamed, Wanted, Wrong, notes_of, postgres,
};
pub use state::{Allowed, Words};
pub use volumes::Volumes;
