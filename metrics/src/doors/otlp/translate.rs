//! A resource's metrics as Prometheus' series. Pure but for the sums of deltas.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    metrics::v1::{
        AggregationTemporality, Exemplar as WireExemplar, HistogramDataPoint, Metric, NumberDataPoint,
        SummaryDataPoint, exemplar, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use super::{Request, Sender, Sums, attributes, names, native};
use crate::{
    doors::{Refusal, intake::Sent},
    scrape::expose::proto::bound,
    series::{Exemplar, Labels, LabelsBuilder, Meta, MetricKind, NAME, STALE, Value},
};

/// The flag of a point that says that there is no value any more.
const NO_VALUE: u32 = 1;
/// Exemplars of one point that are looked at, the last ones; a series keeps fewer.
const EXEMPLARS: usize = 100;

pub struct Translator<'a> {
    resource: &'a Resource,
    sums: &'a Sums,
    /// Whose the sums are.
    namespace: &'a str,
    request: &'a mut Request,
    /// `job` and `instance`.
    target: Vec<(&'static str, String)>,
    /// The Pod that points are of which say nothing of one.
    origin: Vec<(&'static str, String)>,
    newest: i64,
}

/// What is the same for all points of a metric.
struct Series<'a> {
    name: String,
    scope: &'a InstrumentationScope,
    /// Values since the last one, not since the beginning.
    delta: bool,
}

impl<'a> Translator<'a> {
    pub fn new(resource: &'a Resource, sums: &'a Sums, sender: &'a Sender, request: &'a mut Request) -> Self {
        let origin = sender.origin(&resource.attributes);
        let of = |key| attributes::find(&resource.attributes, key);
        let job = of("service.name").map(|name| match of("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let job = job.map(|job| ("job", job));
        let instance = of("service.instance.id").or(origin.instance).map(|instance| ("instance", instance));
        Self {
            resource,
            sums,
            namespace: sender.namespace(),
            request,
            target: job.into_iter().chain(instance).collect(),
            origin: origin.labels,
            newest: 0,
        }
    }

    /// # Errors
    /// The request has become too large.
    pub fn metric(&mut self, scope: &InstrumentationScope, metric: Metric) -> Result<(), Refusal> {
        // What is said of it takes room, too.
        self.request.amount.samples(1)?;
        self.tell(scope, metric);
        self.request.check()
    }

    fn tell(&mut self, scope: &InstrumentationScope, metric: Metric) {
        let Metric { name, description, unit, data, .. } = metric;
        let Some(data) = data else { return };
        let temporality = match &data {
            Data::Sum(sum) => Some(sum.aggregation_temporality),
            Data::Histogram(histogram) => Some(histogram.aggregation_temporality),
            Data::ExponentialHistogram(histogram) => Some(histogram.aggregation_temporality),
            Data::Gauge(_) | Data::Summary(_) => None,
        };
        let delta = temporality == Some(AggregationTemporality::Delta as i32);
        if temporality == Some(AggregationTemporality::Unspecified as i32) {
            let why = || format!("metric {name:?} says neither delta nor cumulative");
            self.request.outcome.reject(points(&data), why);
            return;
        }
        let kind = match &data {
            Data::Sum(sum) if sum.is_monotonic => MetricKind::Counter,
            Data::Gauge(_) | Data::Sum(_) => MetricKind::Gauge,
            Data::Histogram(_) | Data::ExponentialHistogram(_) => MetricKind::Histogram,
            Data::Summary(_) => MetricKind::Summary,
        };
        let series = Series { name: names::metric(&name, &unit, kind), scope, delta };
        if series.name.is_empty() {
            self.request.outcome.reject(points(&data), || format!("metric {name:?} has no name that can be"));
            return;
        }
        let family = match kind {
            MetricKind::Counter => series.name.strip_suffix("_total").unwrap_or(&series.name).to_owned(),
            _ => series.name.clone(),
        };
        let meta = Meta { kind, help: description, unit: names::unit(&unit) };
        self.request.metadata.push((family, meta));
        match data {
            Data::Gauge(gauge) => gauge.data_points.iter().for_each(|point| self.number(&series, point)),
            Data::Sum(sum) => sum.data_points.iter().for_each(|point| self.number(&series, point)),
            Data::Histogram(found) => found.data_points.iter().for_each(|point| self.classic(&series, point)),
            Data::Summary(found) => found.data_points.iter().for_each(|point| self.summary(&series, point)),
            Data::ExponentialHistogram(found) => {
                for point in &found.data_points {
                    if delta {
                        let why = || {
                            format!(
                                "{name:?}: exponential histograms of deltas are not taken: send cumulative ones"
                            )
                        };
                        self.request.outcome.reject(1, why);
                        continue;
                    }
                    let value = match native::histogram(point) {
                        _ if point.flags & NO_VALUE != 0 => Value::Number(STALE),
                        Ok(histogram) => Value::Histogram(Arc::new(histogram)),
                        Err(why) => {
                            self.request.outcome.reject(1, || why);
                            continue;
                        }
                    };
                    let time = self.time(point.time_unix_nano);
                    let labels = self.labels(&series, "", &point.attributes, None);
                    let exemplars = last(&point.exemplars).iter().map(exemplar_of).collect();
                    let labels = labels.finish();
                    self.request.put(Sent { labels, samples: vec![(time, value)], exemplars });
                }
            }
        }
    }

    fn time(&mut self, nanos: u64) -> i64 {
        let time = (nanos / 1_000_000) as i64;
        self.newest = self.newest.max(time);
        time
    }

    fn labels(
        &self,
        series: &Series<'_>,
        suffix: &str,
        pairs: &[KeyValue],
        extra: Option<(&str, String)>,
    ) -> LabelsBuilder {
        let mut labels = LabelsBuilder::default();
        attributes::set(&mut labels, pairs);
        for (label, value) in
            [("otel_scope_name", &series.scope.name), ("otel_scope_version", &series.scope.version)]
        {
            if !value.is_empty() {
                labels.set(label, value);
            }
        }
        self.put_target(&mut labels);
        if let Some((label, value)) = extra {
            labels.set(label, &value);
        }
        labels.set(NAME, &format!("{}{suffix}", series.name));
        labels
    }

    /// Labels that tell where points come from. A Pod that they name themselves stays.
    fn put_target(&self, labels: &mut LabelsBuilder) {
        self.target.iter().for_each(|(label, value)| labels.set(label, value));
        for (label, value) in &self.origin {
            if labels.get(label).is_none() {
                labels.set(label, value);
            }
        }
    }

    /// One sample; deltas become sums.
    fn push(
        &mut self,
        series: &Series<'_>,
        labels: LabelsBuilder,
        value: f64,
        time: i64,
        exemplars: Vec<Exemplar>,
    ) {
        let value = match series.delta && !crate::series::is_stale(value) {
            false => Ok(value),
            true => self.sums.add(self.namespace, &labels.clone().finish(), value, time),
        };
        match value {
            Ok(value) => {
                let samples = vec![(time, Value::Number(value))];
                self.request.put(Sent { labels: labels.finish(), samples, exemplars });
            }
            Err(why) => {
                self.request.outcome.reject(1, || format!("a delta of {} is not taken: {why}", series.name));
            }
        }
    }

    fn number(&mut self, series: &Series<'_>, point: &NumberDataPoint) {
        let value = match point.value {
            _ if point.flags & NO_VALUE != 0 => STALE,
            Some(number_data_point::Value::AsDouble(value)) => value,
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            None => return,
        };
        let time = self.time(point.time_unix_nano);
        let labels = self.labels(series, "", &point.attributes, None);
        self.push(series, labels, value, time, last(&point.exemplars).iter().map(exemplar_of).collect());
    }

    fn classic(&mut self, series: &Series<'_>, point: &HistogramDataPoint) {
        let time = self.time(point.time_unix_nano);
        let stale = (point.flags & NO_VALUE != 0).then_some(STALE);
        let mut sum = 0u64;
        let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
        let mut below = f64::NEG_INFINITY;
        // Without buckets there is one, which has all.
        let all = [point.count];
        let counts = if point.bucket_counts.is_empty() { &all[..] } else { &point.bucket_counts };
        let bounds: Vec<f64> = match point.bucket_counts.is_empty() {
            true => vec![f64::INFINITY],
            false => bounds.collect(),
        };
        let exemplars: Vec<_> = last(&point.exemplars).iter().map(exemplar_of).collect();
        for (upper, count) in bounds.into_iter().zip(counts) {
            if self.request.refused.is_some() {
                return;
            }
            sum = sum.saturating_add(*count);
            let labels = self.labels(series, "_bucket", &point.attributes, Some(("le", bound(upper))));
            let within = exemplars.iter().filter(|found| found.value > below && found.value <= upper);
            let within = within.cloned().collect();
            self.push(series, labels, stale.unwrap_or(sum as f64), time, within);
            below = upper;
        }
        if let Some(total) = point.sum {
            let labels = self.labels(series, "_sum", &point.attributes, None);
            self.push(series, labels, stale.unwrap_or(total), time, Vec::new());
        }
        let labels = self.labels(series, "_count", &point.attributes, None);
        self.push(series, labels, stale.unwrap_or(point.count as f64), time, Vec::new());
    }

    fn summary(&mut self, series: &Series<'_>, point: &SummaryDataPoint) {
        let time = self.time(point.time_unix_nano);
        let stale = (point.flags & NO_VALUE != 0).then_some(STALE);
        for found in &point.quantile_values {
            if self.request.refused.is_some() {
                return;
            }
            let extra = Some(("quantile", bound(found.quantile)));
            let labels = self.labels(series, "", &point.attributes, extra);
            self.push(series, labels, stale.unwrap_or(found.value), time, Vec::new());
        }
        for (suffix, value) in [("_sum", point.sum), ("_count", point.count as f64)] {
            let labels = self.labels(series, suffix, &point.attributes, None);
            self.push(series, labels, stale.unwrap_or(value), time, Vec::new());
        }
    }

    /// Tells the resource itself: `target_info`, where something of it is known beside job and instance.
    ///
    /// # Errors
    /// The request has become too large.
    pub fn finish(self) -> Result<(), Refusal> {
        let named = ["service.name", "service.namespace", "service.instance.id"];
        let rest = self.resource.attributes.iter();
        let rest: Vec<_> = rest.filter(|pair| !named.contains(&pair.key.as_str())).cloned().collect();
        if rest.is_empty() || self.target.is_empty() || self.newest == 0 {
            return Ok(());
        }
        let mut labels = LabelsBuilder::default();
        attributes::set(&mut labels, &rest);
        self.put_target(&mut labels);
        labels.set(NAME, "target_info");
        let samples = vec![(self.newest, Value::Number(1.0))];
        self.request.put(Sent { labels: labels.finish(), samples, exemplars: Vec::new() });
        let meta = Meta { kind: MetricKind::Gauge, help: "Target metadata".to_owned(), unit: String::new() };
        self.request.metadata.push(("target_info".to_owned(), meta));
        self.request.check()
    }
}

/// The last exemplars of a point.
fn last(exemplars: &[WireExemplar]) -> &[WireExemplar] {
    &exemplars[exemplars.len().saturating_sub(EXEMPLARS)..]
}

fn points(data: &Data) -> u64 {
    let count = match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    };
    count as u64
}

fn exemplar_of(wire: &WireExemplar) -> Exemplar {
    let value = match wire.value {
        Some(exemplar::Value::AsDouble(value)) => value,
        Some(exemplar::Value::AsInt(value)) => value as f64,
        None => 0.0,
    };
    let mut ids = LabelsBuilder::default();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (label, id) in [("trace_id", &wire.trace_id), ("span_id", &wire.span_id)] {
        if !id.is_empty() {
            ids.set(label, &hex(id));
        }
    }
    let ids: Labels = ids.finish();
    let mut labels = LabelsBuilder::default();
    attributes::set(&mut labels, &wire.filtered_attributes);
    ids.iter().for_each(|(label, id)| labels.set(label, id));
    let time = (wire.time_unix_nano / 1_000_000) as i64;
    let whole = Exemplar { time, value, labels: labels.finish() };
    // The span can be found without the attributes.
    if whole.is_short() { whole } else { Exemplar { labels: ids, ..whole } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_33_of_a_points_exemplars_the_last_ones_are_looked_at() {
        let one = |time_unix_nano| WireExemplar { time_unix_nano, ..WireExemplar::default() };
        let all: Vec<_> = (0..150).map(one).collect();
        let times = |some: &[WireExemplar]| some.iter().map(|one| one.time_unix_nano).collect::<Vec<_>>();
        assert_eq!(times(last(&all)), (50..150).collect::<Vec<_>>());
        assert_eq!(times(last(&all[..3])), [0, 1, 2]);
    }
}
