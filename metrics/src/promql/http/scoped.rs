//! The store as one user sees it ([`Scope`] says which series that are).
//!
//! In which namespaces they see any becomes a condition of each question, so that what others
//! have neither counts towards a limit nor is read; what they don't see there is left out.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};

use super::super::{nearest::nearest, parse, walk::selectors};
use crate::{
    scope::Scope,
    series::{
        Described, Exemplar, Labels, MatchOp, Matcher, Missing, NAME, Select, SelectError, SeriesStream,
        Wanted, is_part_of, parts_of,
    },
};

/// By this label a series is somebody's.
const NAMESPACE: &str = "namespace";

#[derive(Clone)]
pub struct Scoped {
    source: Arc<dyn Select>,
    scope: Scope,
}

impl Scoped {
    pub fn new(source: Arc<dyn Select>, scope: Scope) -> Self {
        Self { source, scope }
    }

    /// The matchers with the namespaces of which the user sees some series; `None` where there are
    /// none.
    async fn narrowed(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        missing: &Missing,
    ) -> Result<Option<Vec<Matcher>>, SelectError> {
        if self.sees_most() {
            return Ok(Some(matchers.to_vec()));
        }
        let found = self.source.series(matchers, range, missing).await?;
        let mut sees = self.scope.sight();
        let seen = found.iter().filter(|labels| sees(labels));
        let seen: BTreeSet<_> = seen.map(|labels| labels.get(NAMESPACE).unwrap_or_default()).collect();
        if seen.is_empty() {
            return Ok(None);
        }
        let pattern = seen.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|");
        let one_of = Matcher::new(NAMESPACE, MatchOp::Matches, &pattern).map_err(SelectError::Unreadable)?;
        Ok(Some(matchers.iter().cloned().chain([one_of]).collect()))
    }

    /// Whether they may list Pods everywhere: then what they don't see are a few metrics.
    fn sees_most(&self) -> bool {
        self.scope.sees_namespace("")
    }

    /// What is said of metrics that the user sees: what a namespace's sources say as its series are seen,
    /// and what is said for the cluster by who sees any series of the metric.
    pub async fn visible_metadata(&self) -> Result<Vec<Described>, SelectError> {
        let mut all = self.source.metadata();
        if self.scope.sees_all() {
            return Ok(all);
        }
        let mut sight = self.scope.sight();
        let mut sees = |one: &Described| {
            sight(&Labels::new([(NAME, one.metric.as_str()), (NAMESPACE, one.namespace.as_str())]))
        };
        if self.sees_most() {
            all.retain(sees);
            return Ok(all);
        }
        let series = self.series(&[], i64::MIN / 2..i64::MAX / 2, &Missing::default()).await?;
        let names: HashSet<_> = series.iter().map(Labels::name).collect();
        all.retain(|one| match one.namespace.is_empty() {
            true => parts_of(&one.metric).any(|name| names.contains(name.as_str())),
            false => sees(one),
        });
        Ok(all)
    }

    /// For metrics of a query that nobody knows: which name may have been meant. Names are
    /// told to those only who see all of them.
    pub fn suggestions(&self, query: &str) -> Vec<String> {
        let Ok(expr) = parse(query) else { return Vec::new() };
        if !self.scope.sees_all() {
            return Vec::new();
        }
        let all = self.source.metadata();
        let known: BTreeSet<_> = all.iter().map(|one| one.metric.as_str()).collect();
        let unknown = selectors(&expr).into_iter().filter_map(|selector| selector.name.as_deref());
        let unknown = unknown.filter(|name| !known.iter().any(|metric| is_part_of(name, metric)));
        unknown
            .filter_map(|name| {
                let meant = nearest(name, known.iter().copied())?;
                Some(format!("no metric is named {name:?}; did you mean {meant:?}?"))
            })
            .collect()
    }
}

#[async_trait::async_trait]
impl Select for Scoped {
    async fn stream(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        wanted: Wanted,
        missing: &Missing,
    ) -> Result<SeriesStream, SelectError> {
        let Some(matchers) = self.narrowed(matchers, range.clone(), missing).await? else {
            return Ok(futures::stream::empty().boxed());
        };
        let found = self.source.stream(&matchers, range, wanted, missing).await?;
        if self.scope.sees_all() {
            return Ok(found);
        }
        let mut sees = self.scope.sight();
        Ok(found.map_ok(move |batch| batch.keeping(&mut sees)).boxed())
    }

    async fn series(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        missing: &Missing,
    ) -> Result<Vec<Labels>, SelectError> {
        let mut found = self.source.series(matchers, range, missing).await?;
        if !self.scope.sees_all() {
            found.retain(self.scope.sight());
        }
        Ok(found)
    }

    /// All of it or nothing: of which metrics they see series is read. See [`Scoped::visible_metadata`].
    fn metadata(&self) -> Vec<Described> {
        if self.scope.sees_all() { self.source.metadata() } else { Vec::new() }
    }

    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found = self.source.exemplars(matchers, range);
        let mut sees = self.scope.sight();
        found.retain(|(labels, _)| sees(labels));
        found
    }
}
