//! An export request in protobuf, taken apart metric by metric. Pure.

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope, metrics::v1::Metric, resource::v1::Resource,
};
use prost::Message;

use super::{Each, MAX_METRIC, MOST_POINTS};
use crate::doors::{Refusal, walk::fields};

/// Bytes of a resource or scope.
const MAX_WORD: usize = 256 << 10;

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    M::decode(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no message of OTLP: {error}")))
}

fn word<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    match bytes.len() <= MAX_WORD {
        true => decoded(bytes),
        false => Err(Refusal::too_large(format!("a resource or scope has more than {MAX_WORD} bytes"))),
    }
}

pub fn walk(bytes: &[u8], each: Each<'_>) -> Result<(), Refusal> {
    for field in fields(bytes) {
        let (1, resource_metrics) = field? else { continue };
        let mut resource = Resource::default();
        let mut scoped = Vec::new();
        for field in fields(resource_metrics) {
            match field? {
                (1, bytes) => resource = word(bytes)?,
                (2, scope_metrics) => scope(scope_metrics, &mut scoped)?,
                _ => {}
            }
        }
        each(&resource, scoped);
    }
    Ok(())
}

fn scope(bytes: &[u8], scoped: &mut Vec<(InstrumentationScope, Metric)>) -> Result<(), Refusal> {
    let mut scope = InstrumentationScope::default();
    let begin = scoped.len();
    for field in fields(bytes) {
        match field? {
            (1, bytes) => scope = word(bytes)?,
            (2, metric) => {
                check(metric)?;
                scoped.push((InstrumentationScope::default(), decoded(metric)?));
            }
            _ => {}
        }
    }
    scoped[begin..].iter_mut().for_each(|(place, _)| place.clone_from(&scope));
    Ok(())
}

/// A metric is looked at before it is decoded.
fn check(metric: &[u8]) -> Result<(), Refusal> {
    let mut points = 0;
    for field in fields(metric) {
        let (5 | 7 | 9 | 10 | 11, data) = field? else { continue };
        for field in fields(data) {
            points += usize::from(field?.0 == 1);
        }
    }
    match metric.len() > MAX_METRIC || points > MOST_POINTS {
        true => Err(Refusal::too_large(format!(
            "a metric has more than {MOST_POINTS} points or {} MiB: send less at once",
            MAX_METRIC >> 20
        ))),
        false => Ok(()),
    }
}
