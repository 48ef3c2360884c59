//! Loki's query API, as far as exploring needs it: Grafana's data source and logcli.
//!
//! ```text
//! http (paths, parameters, shapes) -> logql (parser) -> translate: what the index answers
//!      lines:   pages of a search -> pipeline (stages) -> streams
//!      numbers: cells of statistics where the index can count, else lines -> metric (windows) -> vector
//!      labels:  facets                                          tail: the live tail, as a WebSocket
//! ```
//!
//! A data source has the URL `https://SERVER:6443/tiphys/loki` and a bearer token; rights
//! are those of [`crate::root`], which all of this asks. Limits: [`lines::MAX_LOOKED`]
//! lines that are evaluated one by one, [`range::MAX_SAMPLES`] numbers.

mod answer;
mod capture;
mod http;
mod labels;
mod lines;
pub mod logql;
mod message;
mod metric;
mod names;
mod params;
mod pipeline;
mod range;
mod tail;
mod translate;
mod vector;

pub use http::{PREFIX, handler, router};

#[cfg(test)]
mod tests;
