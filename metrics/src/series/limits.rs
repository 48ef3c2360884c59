//! How many series are taken, and who has how many.

use std::collections::{HashMap, HashSet};

use super::Labels;

/// How much is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series with the same label `namespace`, where the namespace has no limit of its own.
    pub series_of_namespace: usize,
    /// All series; no namespace's own limit is higher.
    pub series: usize,
    pub labels_of_series: usize,
    /// Bytes of one name or value.
    pub label_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series_of_namespace: 200_000, series: 2_000_000, labels_of_series: 64, label_bytes: 4096 }
    }
}

/// Why a series was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("namespace {namespace:?} has {limit} series, which is its limit; most of them are {worst}")]
    NamespaceFull { namespace: String, limit: usize, worst: String },
    #[error("{0} series are kept, which is the limit")]
    Full(usize),
    #[error("{labels} has {count} labels; {limit} are taken at most")]
    TooManyLabels { labels: String, count: usize, limit: usize },
    #[error("label {name:?} of {metric:?} has {length} bytes; {limit} are taken at most")]
    LabelTooLong { metric: String, name: String, length: usize, limit: usize },
    #[error("a series has no name")]
    NoName,
}

impl Refused {
    /// One word for counts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceFull { .. } => "namespace_full",
            Self::Full(_) => "full",
            Self::TooManyLabels { .. } => "too_many_labels",
            Self::LabelTooLong { .. } => "label_too_long",
            Self::NoName => "no_name",
        }
    }
}

impl Limits {
    /// Whether a series may have these labels.
    ///
    /// # Errors
    /// No name, too many labels, or one that is too long.
    pub fn check(&self, labels: &Labels) -> Result<(), Refused> {
        if labels.name().is_empty() {
            return Err(Refused::NoName);
        }
        let short = |text: &str| text.chars().take(100).collect::<String>();
        let (count, limit) = (labels.iter().count(), self.labels_of_series);
        if count > limit {
            return Err(Refused::TooManyLabels { labels: short(labels.name()), count, limit });
        }
        let limit = self.label_bytes;
        let long = labels.iter().find(|(name, value)| name.len().max(value.len()) > limit);
        long.map_or(Ok(()), |(name, value)| {
            let length = name.len().max(value.len());
            Err(Refused::LabelTooLong { metric: short(labels.name()), name: short(name), length, limit })
        })
    }
}

/// A metric with many series in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    pub namespace: String,
    pub metric: String,
    pub series: usize,
}

/// How many series each metric of each namespace has.
#[derive(Debug, Default)]
pub struct Census {
    series: usize,
    namespaces: HashMap<String, Namespace>,
    /// Namespaces with a limit of their own.
    own: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Namespace {
    series: usize,
    metrics: HashMap<String, usize>,
}

impl Census {
    /// Gives a namespace a limit of its own, or takes it away. What it has already stays.
    pub fn limit(&mut self, namespace: &str, most: Option<usize>) {
        match most {
            Some(most) => drop(self.own.insert(namespace.to_owned(), most)),
            None => drop(self.own.remove(namespace)),
        }
    }

    /// Takes away the own limits of all namespaces but these.
    pub fn keep_limits_of(&mut self, namespaces: &HashSet<String>) {
        self.own.retain(|name, _| namespaces.contains(name));
    }

    /// Counts a new series.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn admit(&mut self, labels: &Labels, limits: &Limits) -> Result<(), Refused> {
        self.check(labels, limits)?;
        self.count(labels);
        Ok(())
    }

    /// Whether there is room for a new series.
    fn check(&self, labels: &Labels, limits: &Limits) -> Result<(), Refused> {
        if self.series >= limits.series {
            return Err(Refused::Full(limits.series));
        }
        let name = labels.get("namespace").unwrap_or_default();
        let own = self.own.get(name).map(|own| (*own).min(limits.series));
        let limit = own.unwrap_or(limits.series_of_namespace);
        let namespace = self.namespaces.get(name);
        if namespace.map_or(0, |namespace| namespace.series) < limit {
            return Ok(());
        }
        let worst = namespace.and_then(|namespace| namespace.metrics.iter().max_by_key(|(_, count)| **count));
        let worst = worst.map(|(metric, _)| metric.chars().take(100).collect()).unwrap_or_default();
        Err(Refused::NamespaceFull { namespace: name.to_owned(), limit, worst })
    }

    /// Counts a new series, whether there is room for it or not.
    pub fn count(&mut self, labels: &Labels) {
        self.series += 1;
        let name = labels.get("namespace").unwrap_or_default();
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.to_owned(), Namespace::default());
        }
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        namespace.series += 1;
        match namespace.metrics.get_mut(labels.name()) {
            Some(count) => *count += 1,
            None => drop(namespace.metrics.insert(labels.name().to_owned(), 1)),
        }
    }

    /// One series less.
    pub fn leave(&mut self, labels: &Labels) {
        self.series = self.series.saturating_sub(1);
        let name = labels.get("namespace").unwrap_or_default();
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        namespace.series = namespace.series.saturating_sub(1);
        if let Some(count) = namespace.metrics.get_mut(labels.name()) {
            *count -= 1;
            if *count == 0 {
                namespace.metrics.remove(labels.name());
            }
        }
        if namespace.series == 0 {
            self.namespaces.remove(name);
        }
    }

    pub fn series(&self) -> usize {
        self.series
    }

    /// The metrics with the most series, the worst first.
    pub fn offenders(&self, most: usize) -> Vec<Offender> {
        let mut all: Vec<_> = self
            .namespaces
            .iter()
            .flat_map(|(name, namespace)| {
                namespace.metrics.iter().map(move |(metric, count)| (name, metric, *count))
            })
            .collect();
        all.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
        all.truncate(most);
        all.into_iter()
            .map(|(namespace, metric, series)| Offender {
                namespace: namespace.clone(),
                metric: metric.clone(),
                series,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::NAME;

    fn up(instance: &str) -> Labels {
        Labels::new([(NAME, "up"), ("instance", instance), ("namespace", "shop")])
    }

    #[test]
    fn abuse_34_a_million_series_are_capped_and_the_offender_is_named() {
        let limits =
            Limits { series_of_namespace: 3, labels_of_series: 3, label_bytes: 10, ..Limits::default() };
        let mut census = Census::default();
        for instance in ["a", "b", "c"] {
            census.admit(&up(instance), &limits).expect("there is room");
        }
        let error = census.admit(&up("d"), &limits).expect_err("full");
        assert!(error.to_string().contains("\"shop\"") && error.to_string().contains("up"), "{error}");
        let other = Labels::new([(NAME, "up"), ("namespace", "other")]);
        assert_eq!(census.admit(&other, &limits), Ok(()));
        let worst = Offender { namespace: "shop".into(), metric: "up".into(), series: 3 };
        assert_eq!(census.offenders(1), [worst]);
        census.leave(&up("a"));
        assert_eq!((census.admit(&up("d"), &limits), census.series()), (Ok(()), 4));
        let few = Limits { series: 4, ..limits };
        assert_eq!(census.admit(&Labels::new([(NAME, "x")]), &few), Err(Refused::Full(4)));
    }

    #[test]
    fn abuse_34_a_namespace_has_its_own_limit_within_that_of_all() {
        let limits = Limits { series_of_namespace: 1, series: 4, ..Limits::default() };
        let mut census = Census::default();
        let taken = |census: &mut Census, most| {
            (0..most).filter(|n: &i32| census.admit(&up(&n.to_string()), &limits).is_ok()).count()
        };
        assert_eq!(taken(&mut census, 9), 1);
        census.limit("shop", Some(3));
        assert_eq!(taken(&mut census, 9), 2, "two more");
        census.limit("shop", Some(2));
        let error = census.admit(&up("x"), &limits).expect_err("full");
        assert!(error.to_string().starts_with("namespace \"shop\" has 2 series"), "{error}");
        census.limit("shop", Some(usize::MAX));
        assert_eq!(taken(&mut census, 9), 1, "no more than all may have");
        census.limit("shop", None);
        census.leave(&up("0"));
        assert!(matches!(census.admit(&up("x"), &limits), Err(Refused::NamespaceFull { limit: 1, .. })));
    }

    #[test]
    fn abuse_34_labels_that_are_too_many_or_too_long_are_refused() {
        let limits = Limits { labels_of_series: 3, label_bytes: 10, ..Limits::default() };
        let long = Labels::new([(NAME, "up"), ("a", "01234567890")]);
        assert!(matches!(limits.check(&long), Err(Refused::LabelTooLong { length: 11, .. })));
        let many = Labels::new([(NAME, "up"), ("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(matches!(limits.check(&many), Err(Refused::TooManyLabels { count: 4, .. })));
        assert_eq!(limits.check(&Labels::default()), Err(Refused::NoName));
        assert_eq!(limits.check(&up("a")), Ok(()));
    }
}
