//! Which metrics there are, and of which kinds, as discovery tells it: what is sampled of Pods
//! and nodes, and the series that name objects of a kind.
//!
//! That takes a look at the labels of all series, so it is done once in a while, however many
//! ask and however often.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{CustomMetrics, kinds, names, series};
use crate::{figures::FIGURES, series::SelectError};

/// How long a look counts: nodes tell of themselves as often.
const COUNTS: Duration = Duration::from_secs(15);

/// What was found last, and when.
#[derive(Default)]
pub struct Listing(Mutex<Option<(Instant, Vec<Value>)>>);

impl Listing {
    /// The entries of an APIResourceList, by name.
    ///
    /// # Errors
    /// The store of series can't be read.
    pub async fn entries(&self, metrics: &CustomMetrics) -> Result<Vec<Value>, SelectError> {
        // Held while it looks: who comes meanwhile waits for the same answer.
        let mut last = self.0.lock().await;
        if let Some((at, entries)) = &*last
            && at.elapsed() < COUNTS
        {
            return Ok(entries.clone());
        }
        let entries = look(metrics).await?;
        *last = Some((Instant::now(), entries.clone()));
        Ok(entries)
    }
}

async fn look(metrics: &CustomMetrics) -> Result<Vec<Value>, SelectError> {
    let kinds = kinds::by_label(metrics.client()).await;
    let now = Timestamp::now().as_millisecond();
    let told = series::names_by_label(&metrics.series, |label| kinds.contains_key(label), now).await?;
    // Whether it is asked for in a namespace.
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    for (label, series) in &told {
        let Some(kind) = kinds.get(label) else { continue };
        for name in series {
            let name = names::rate_of(name).unwrap_or_else(|| name.clone());
            all.insert(format!("{}/{name}", kind.path()), kind.namespaced);
        }
    }
    let sampled = FIGURES.iter().map(|figure| figure.rate_name().unwrap_or(figure.name));
    for name in sampled.chain(names::aliases()) {
        all.insert(format!("pods/{name}"), true);
        all.insert(format!("nodes/{name}"), false);
    }
    let entry = |(name, namespaced): (String, bool)| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": "MetricValueList", "verbs": ["get"]});
    Ok(all.into_iter().map(entry).collect())
}
