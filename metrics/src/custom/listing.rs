//! Which metrics there are, and of which kinds, as discovery tells it: what is sampled of Pods
//! and nodes, and the series that name objects of a kind; of external ones the TiphysMetrics, and
//! the series that have a namespace.
//!
//! That takes a look at the labels of all series, so it is done once in a while, however many
//! ask and however often. Clients read a list as a whole, so it has an end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{CustomMetrics, kinds, names, series};
use crate::{figures::FIGURES, series::SelectError};

/// How long a look counts: nodes tell of themselves as often.
const COUNTS: Duration = Duration::from_secs(15);

/// Entries of a list, beyond which no more series are named.
const MOST: usize = 10_000;
/// The label that series have which are asked for in a namespace.
const NAMESPACE: &str = "namespace";

/// Whose list it is.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    Objects,
    Outside,
}

/// What was found last, and when.
pub struct Listing {
    of: Of,
    most: usize,
    last: Mutex<Option<(Instant, Vec<Value>)>>,
}

impl Listing {
    pub fn new(of: Of) -> Self {
        Self::of_at_most(of, MOST)
    }

    /// Of so many entries.
    pub fn of_at_most(of: Of, most: usize) -> Self {
        Self { of, most, last: Mutex::default() }
    }

    /// The entries of an APIResourceList, by name.
    ///
    /// # Errors
    /// The store of series can't be read.
    pub async fn entries(&self, metrics: &CustomMetrics) -> Result<Vec<Value>, SelectError> {
        // Held while it looks: who comes meanwhile waits for the same answer.
        let mut last = self.last.lock().await;
        if let Some((at, entries)) = &*last
            && at.elapsed() < COUNTS
        {
            return Ok(entries.clone());
        }
        let entries = match self.of {
            Of::Objects => objects(metrics, self.most).await?,
            Of::Outside => outside(metrics, self.most).await?,
        };
        *last = Some((Instant::now(), entries.clone()));
        Ok(entries)
    }
}

/// External metrics: the names of TiphysMetrics, and of series that some namespace has.
async fn outside(metrics: &CustomMetrics, most: usize) -> Result<Vec<Value>, SelectError> {
    let mut all: BTreeSet<String> = metrics.queries.all_names().into_iter().collect();
    let now = Timestamp::now().as_millisecond();
    let told = series::names_by_label(&metrics.series, |label| label == NAMESPACE, now).await?;
    for name in told.into_values().flatten() {
        if all.len() >= most {
            break;
        }
        all.insert(names::rate_of(&name).unwrap_or(name));
    }
    let entry = |name: String| {
        json!({"name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList",
            "verbs": ["get"]})
    };
    Ok(all.into_iter().map(entry).collect())
}

async fn objects(metrics: &CustomMetrics, most: usize) -> Result<Vec<Value>, SelectError> {
    let kinds = kinds::by_label(metrics.client()).await;
    let now = Timestamp::now().as_millisecond();
    let told = series::names_by_label(&metrics.series, |label| kinds.contains_key(label), now).await?;
    // Whether it is asked for in a namespace.
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    let sampled = FIGURES.iter().map(|figure| figure.rate_name().unwrap_or(figure.name));
    for name in sampled.chain(names::aliases()) {
        all.insert(format!("pods/{name}"), true);
        all.insert(format!("nodes/{name}"), false);
    }
    for (label, series) in &told {
        let Some(kind) = kinds.get(label) else { continue };
        for name in series {
            if all.len() >= most {
                break;
            }
            let name = names::rate_of(name).unwrap_or_else(|| name.clone());
            all.insert(format!("{}/{name}", kind.path()), kind.namespaced);
        }
    }
    let entry = |(name, namespaced): (String, bool)| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": "MetricValueList", "verbs": ["get"]});
    Ok(all.into_iter().map(entry).collect())
}
