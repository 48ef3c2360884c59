//! `labels`, `label/<name>/values`, `series` and `metadata`: what there is to ask about.

use std::collections::{BTreeMap, BTreeSet};

use axum::{extract::Path, response::Response};

use super::{
    Asked, json,
    parameters::Parameters,
    reply::{Refusal, Reply, answer, list, quoted},
};
use crate::series::{Described, Labels, Meta, Missing};

const TRUNCATED: &str = "results truncated due to limit";

/// The series that any of the selectors means; all of them where there is none. And what can't be
/// known of them.
async fn chosen(asked: &Asked, parameters: &Parameters) -> Result<(Vec<Labels>, Missing), Refusal> {
    let (range, mut selectors) = (parameters.range()?, parameters.selectors()?);
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    asked.series(selectors, range).await
}

/// A list, as far as the limit allows.
fn limited(all: &BTreeSet<&str>, most: usize, missing: &Missing) -> Reply {
    let mut reply = Reply::of(list(all.iter().copied().take(most)));
    reply.notes.warnings.extend(missing.sentences());
    if all.len() > most {
        reply.notes.warnings.insert(TRUNCATED.to_owned());
    }
    reply
}

pub async fn labels(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let (found, missing) = chosen(&asked, &parameters).await?;
        let names = found.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        Ok(limited(&names, parameters.limit()?, &missing))
    };
    answer(work.await)
}

pub async fn values(Path(name): Path<String>, asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        if name.is_empty() {
            return Err(Refusal::bad(format!("invalid label name: {name:?}")));
        }
        let (found, missing) = chosen(&asked, &parameters).await?;
        let values = found.iter().filter_map(|labels| labels.get(&name)).collect();
        Ok(limited(&values, parameters.limit()?, &missing))
    };
    answer(work.await)
}

pub async fn series(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        if parameters.selectors()?.is_empty() {
            return Err(Refusal::bad("no match[] parameter provided"));
        }
        let (found, missing) = chosen(&asked, &parameters).await?;
        let most = parameters.limit()?;
        let mut data = String::from("[");
        for (place, labels) in found.iter().take(most).enumerate() {
            if place > 0 {
                data.push(',');
            }
            json::metric(&mut data, labels);
        }
        data.push(']');
        let mut reply = Reply::of(data);
        reply.notes.warnings.extend(missing.sentences());
        if found.len() > most {
            reply.notes.warnings.insert(TRUNCATED.to_owned());
        }
        Ok(reply)
    };
    answer(work.await)
}

pub async fn metadata(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let most = parameters.limit()?;
        let wanted = parameters.get("metric");
        let _place = asked.place(asked.limits.deadline).await?;
        let all = asked.source.visible_metadata().await?.into_iter();
        let chosen = all.filter(|one| wanted.is_none_or(|wanted| wanted == one.metric));
        // Several may say something of a metric, each its own or the same.
        let mut said: BTreeMap<String, Vec<Meta>> = BTreeMap::new();
        for Described { metric, meta, .. } in chosen {
            let of_metric = said.entry(metric).or_default();
            if !of_metric.contains(&meta) {
                of_metric.push(meta);
            }
        }
        let entry = |meta: &Meta| {
            let (kind, help, unit) = (quoted(meta.kind.name()), quoted(&meta.help), quoted(&meta.unit));
            format!("{{\"type\":{kind},\"help\":{help},\"unit\":{unit}}}")
        };
        let metrics = said.iter().take(most).map(|(metric, of_metric)| {
            let entries: Vec<_> = of_metric.iter().map(entry).collect();
            format!("{}:[{}]", quoted(metric), entries.join(","))
        });
        Ok(Reply::of(format!("{{{}}}", metrics.collect::<Vec<_>>().join(","))))
    };
    answer(work.await)
}
