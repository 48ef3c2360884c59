//! How many series are taken, and who has how many.

use std::collections::{HashMap, HashSet};

use super::{Labels, meta::parts_of};

/// How much is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series with the same label `namespace`, where the namespace has no limit of its own. What Tiphys
    /// itself tells of nodes and objects is none of them: it has an end where those have, and nobody must
    /// lose the figures of Pods by what is sent.
    pub series_of_namespace: usize,
    /// All series; no namespace's own limit is higher, and half of it may be what is told of its objects.
    pub series: usize,
    /// Series beyond both that scrapes alone may have, to tell of themselves: of a target whose samples
    /// fill its namespace it has to be known that it is there.
    pub reports: usize,
    pub labels_of_series: usize,
    /// Bytes of one name or value.
    pub label_bytes: usize,
    /// Buckets, spans and bounds of one native histogram. What libraries send has 160 buckets by default.
    pub histogram: usize,
    /// Metrics of a namespace of which is kept what is said of them, and the bytes of that.
    pub described: usize,
    pub described_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series_of_namespace: 200_000,
            series: 2_000_000,
            // As many as the targets have that one namespace may name, each five.
            reports: 100_000,
            labels_of_series: 64,
            label_bytes: 4096,
            histogram: 10_000,
            described: 10_000,
            described_bytes: 4 << 20,
        }
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
    series: Count,
    metrics: HashMap<String, Count>,
}

/// Series, and how many of them Tiphys itself tells.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    all: usize,
    ours: usize,
}

impl Count {
    /// Those that others tell.
    fn theirs(self) -> usize {
        self.all.saturating_sub(self.ours)
    }

    fn add(&mut self, is_ours: bool) {
        self.all += 1;
        self.ours += usize::from(is_ours);
    }

    /// `false`: none is left.
    fn remove(&mut self, is_ours: bool) -> bool {
        self.all = self.all.saturating_sub(1);
        self.ours = self.ours.saturating_sub(usize::from(is_ours));
        self.all > 0
    }

    fn change_hands(&mut self, is_ours: bool) {
        self.ours = if is_ours { self.ours + 1 } else { self.ours.saturating_sub(1) };
    }
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
        self.check(labels, limits, 0)?;
        self.count(labels);
        Ok(())
    }

    /// The same of one by which a scrape tells of itself.
    ///
    /// # Errors
    /// There is no room even for those.
    pub fn admit_report(&mut self, labels: &Labels, limits: &Limits) -> Result<(), Refused> {
        self.check(labels, limits, limits.reports)?;
        self.count(labels);
        Ok(())
    }

    /// The same of one that Tiphys itself tells.
    ///
    /// # Errors
    /// There is no room for any, or half of all are told of the namespace.
    pub fn admit_ours(&mut self, labels: &Labels, limits: &Limits) -> Result<(), Refused> {
        if self.series >= limits.series {
            return Err(Refused::Full(limits.series));
        }
        let name = labels.get("namespace").unwrap_or_default();
        let (ours, limit) = (self.count_of(name).ours, limits.series.div_ceil(2));
        if ours >= limit && !name.is_empty() {
            return Err(self.full(name, limit, |count| count.ours));
        }
        self.put(labels, true);
        Ok(())
    }

    /// Whether there is room for a new series, so many beyond the limits.
    fn check(&self, labels: &Labels, limits: &Limits, beyond: usize) -> Result<(), Refused> {
        let all = limits.series.saturating_add(beyond);
        if self.series >= all {
            return Err(Refused::Full(all));
        }
        let name = labels.get("namespace").unwrap_or_default();
        let own = self.own.get(name).map(|own| (*own).min(limits.series));
        let limit = own.unwrap_or(limits.series_of_namespace).saturating_add(beyond);
        if self.count_of(name).theirs() < limit {
            return Ok(());
        }
        Err(self.full(name, limit, Count::theirs))
    }

    fn count_of(&self, namespace: &str) -> Count {
        self.namespaces.get(namespace).map(|namespace| namespace.series).unwrap_or_default()
    }

    fn full(&self, namespace: &str, limit: usize, of: fn(Count) -> usize) -> Refused {
        let metrics = self.namespaces.get(namespace).into_iter().flat_map(|namespace| &namespace.metrics);
        let worst = metrics.max_by_key(|(_, count)| of(**count));
        let worst = worst.map(|(metric, _)| metric.chars().take(100).collect()).unwrap_or_default();
        Refused::NamespaceFull { namespace: namespace.to_owned(), limit, worst }
    }

    /// Counts a new series of others, whether there is room for it or not.
    fn count(&mut self, labels: &Labels) {
        self.put(labels, false);
    }

    /// Counts a new series, whether there is room for it or not, as one that Tiphys itself tells or not.
    pub fn put(&mut self, labels: &Labels, is_ours: bool) {
        self.series += 1;
        let name = labels.get("namespace").unwrap_or_default();
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.to_owned(), Namespace::default());
        }
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        namespace.series.add(is_ours);
        match namespace.metrics.get_mut(labels.name()) {
            Some(count) => count.add(is_ours),
            None => {
                let count = Count { all: 1, ours: usize::from(is_ours) };
                namespace.metrics.insert(labels.name().to_owned(), count);
            }
        }
    }

    /// Somebody else tells a series from now on: Tiphys itself, or not any more.
    pub fn change_hands(&mut self, labels: &Labels, is_ours: bool) {
        let name = labels.get("namespace").unwrap_or_default();
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        namespace.series.change_hands(is_ours);
        if let Some(count) = namespace.metrics.get_mut(labels.name()) {
            count.change_hands(is_ours);
        }
    }

    /// One series less.
    pub fn leave(&mut self, labels: &Labels, is_ours: bool) {
        self.series = self.series.saturating_sub(1);
        let name = labels.get("namespace").unwrap_or_default();
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        if let Some(count) = namespace.metrics.get_mut(labels.name())
            && !count.remove(is_ours)
        {
            namespace.metrics.remove(labels.name());
        }
        if !namespace.series.remove(is_ours) {
            self.namespaces.remove(name);
        }
    }

    pub fn series(&self) -> usize {
        self.series
    }

    /// Whether a namespace has series of a metric.
    pub fn has(&self, namespace: &str, metric: &str) -> bool {
        let namespace = self.namespaces.get(namespace);
        namespace.is_some_and(|namespace| {
            parts_of(metric).any(|name| namespace.metrics.contains_key(name.as_str()))
        })
    }

    /// The names of a namespace's series; of an empty one, of all series.
    pub fn names(&self, namespace: &str) -> HashSet<String> {
        let asked = self.namespaces.iter().filter(|(name, _)| namespace.is_empty() || *name == namespace);
        asked.flat_map(|(_, one)| one.metrics.keys().cloned()).collect()
    }

    /// The metrics with the most series, the worst first.
    pub fn offenders(&self, most: usize) -> Vec<Offender> {
        let mut all: Vec<_> = self
            .namespaces
            .iter()
            .flat_map(|(name, namespace)| {
                namespace.metrics.iter().map(move |(metric, count)| (name, metric, count.all))
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
        census.leave(&up("a"), false);
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
        census.leave(&up("0"), false);
        assert!(matches!(census.admit(&up("x"), &limits), Err(Refused::NamespaceFull { limit: 1, .. })));
    }

    #[test]
    fn abuse_34_scrapes_tell_of_themselves_beyond_the_limits_and_not_without_end() {
        let limits = Limits { series_of_namespace: 2, series: 3, reports: 4, ..Limits::default() };
        let mut census = Census::default();
        let mut taken = |report: bool, begin: i32| {
            let admits = |n: &i32| match report {
                true => census.admit_report(&up(&n.to_string()), &limits).is_ok(),
                false => census.admit(&up(&n.to_string()), &limits).is_ok(),
            };
            (begin..begin + 50).filter(admits).count()
        };
        assert_eq!(taken(false, 0), 2);
        assert_eq!(taken(true, 100), 4, "beyond the namespace's limit");
        assert_eq!((taken(false, 200), taken(true, 300)), (0, 0));
        // Another namespace has room of its own, as far as there is some in all.
        let other = |n: i32| Labels::new([(NAME, "up"), ("namespace", "other"), ("n", &n.to_string())]);
        assert_eq!(census.admit(&other(0), &limits), Err(Refused::Full(3)));
        assert_eq!(census.admit_report(&other(1), &limits), Ok(()));
        assert_eq!(census.admit_report(&other(2), &limits), Err(Refused::Full(7)));
        // None where there is to be none, but for these.
        let mut census = Census::default();
        census.limit("shop", Some(0));
        assert!(census.admit(&up("a"), &limits).is_err());
        assert_eq!(census.admit_report(&up("a"), &limits), Ok(()));
    }

    #[test]
    fn abuse_34_what_is_told_of_objects_counts_towards_all_and_not_towards_what_tenants_send() {
        let limits = Limits { series_of_namespace: 2, series: 8, ..Limits::default() };
        let mut census = Census::default();
        let shop = ("namespace", "shop");
        let pod = |n: i32| Labels::new([(NAME, "kube_pod_info"), ("pod", n.to_string().as_str()), shop]);
        let full = |refused: Result<(), Refused>| match refused {
            Err(Refused::NamespaceFull { limit, worst, .. }) => (limit, worst),
            other => panic!("{other:?}"),
        };
        // What a tenant sends fills its namespace, and takes nothing from what is told of its Pods.
        for n in 0..2 {
            census.admit(&up(&n.to_string()), &limits).expect("room for what is sent");
        }
        (0..4).for_each(|n| census.admit_ours(&pod(n), &limits).expect("room for Pods"));
        assert_eq!(full(census.admit(&up("2"), &limits)), (2, "up".to_owned()));
        // Of one namespace half of all are told, and none beyond all.
        assert_eq!(full(census.admit_ours(&pod(4), &limits)), (4, "kube_pod_info".to_owned()));
        let node = |n: i32| Labels::new([(NAME, "node_load1"), ("node", n.to_string().as_str())]);
        assert!(census.admit_ours(&node(0), &limits).is_ok() && census.admit_ours(&node(1), &limits).is_ok());
        assert_eq!(census.admit_ours(&node(2), &limits), Err(Refused::Full(8)));
        // Whoever tells a series has it counted.
        census.leave(&up("0"), false);
        census.change_hands(&pod(0), false);
        assert_eq!(full(census.admit(&up("2"), &limits)).0, 2);
        census.change_hands(&pod(0), true);
        assert_eq!(census.admit(&up("2"), &limits), Ok(()));
        (0..4).for_each(|n| census.leave(&pod(n), true));
        assert_eq!((census.series(), census.has("shop", "kube_pod_info")), (4, false));
    }

    #[test]
    fn it_is_known_of_which_metrics_there_are_series() {
        let mut census = Census::default();
        let of = |name: &str, namespace: &str| Labels::new([(NAME, name), ("namespace", namespace)]);
        for labels in [of("a_total", "shop"), of("a_total", "shop"), of("b", "bank"), of("c", "")] {
            census.count(&labels);
        }
        let has =
            |census: &Census, metric: &str| ["shop", "bank", "none"].map(|name| census.has(name, metric));
        assert_eq!(has(&census, "a"), [true, false, false]);
        assert_eq!(has(&census, "a_total"), [true, false, false]);
        assert_eq!(has(&census, "b"), [false, true, false]);
        let names = |namespace: &str| {
            let mut names: Vec<_> = census.names(namespace).into_iter().collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!((names("shop").as_str(), names("none").as_str()), ("a_total", ""));
        assert_eq!(names(""), "a_total b c");
        census.leave(&of("a_total", "shop"), false);
        assert!(has(&census, "a")[0]);
        census.leave(&of("a_total", "shop"), false);
        assert!(!has(&census, "a")[0]);
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
