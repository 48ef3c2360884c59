//! An export request in protobuf, taken apart metric by metric: decoded, each of them takes many times
//! its bytes, so it is told in series before the next one is. Pure but for the sums of deltas.

use opentelemetry_proto::tonic::{common::v1::InstrumentationScope, resource::v1::Resource};
use prost::Message;

use super::{MAX_METRIC, MOST_POINTS, Request, Sender, Sums, translate::Translator};
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

/// What field 1 says, wherever it stands.
fn first<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    let mut found = M::default();
    for field in fields(bytes) {
        if let (1, bytes) = field? {
            found = word(bytes)?;
        }
    }
    Ok(found)
}

pub fn walk(bytes: &[u8], sums: &Sums, sender: &Sender, request: &mut Request) -> Result<(), Refusal> {
    for field in fields(bytes) {
        let (1, of_resource) = field? else { continue };
        let resource: Resource = first(of_resource)?;
        let mut translator = Translator::new(&resource, sums, sender, request);
        for field in fields(of_resource) {
            let (2, of_scope) = field? else { continue };
            let scope: InstrumentationScope = first(of_scope)?;
            for field in fields(of_scope) {
                let (2, metric) = field? else { continue };
                check(metric)?;
                translator.metric(&scope, decoded(metric)?)?;
            }
        }
        translator.finish()?;
    }
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
