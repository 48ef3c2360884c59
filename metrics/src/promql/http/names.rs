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
        let name = unescaped(&name).unwrap_or(name);
        if name.is_empty() {
            return Err(Refusal::bad(format!("invalid label name: {name:?}")));
        }
        let (found, missing) = chosen(&asked, &parameters).await?;
        let values = found.iter().filter_map(|labels| labels.get(&name)).collect();
        Ok(limited(&values, parameters.limit()?, &missing))
    };
    answer(work.await)
}

/// A name that was made fit for a path: behind `U__` each `_` stands twice, and a letter that Prometheus did
/// not always take as `_HEX_`. None where it isn't spelt so: it stands for itself then.
///
/// Source: <https://prometheus.io/docs/instrumenting/escaping_schemes/>, the scheme `values`.
fn unescaped(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('_') {
        let (code, after) = after.split_once('_')?;
        plain.push_str(before);
        plain.push(match code {
            "" => '_',
            code => char::from_u32(u32::from_str_radix(code, 16).ok()?)?,
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
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
        let (most, most_of_metric) = (parameters.limit()?, parameters.at_most("limit_per_metric")?);
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
            let entries: Vec<_> = of_metric.iter().take(most_of_metric).map(entry).collect();
            format!("{}:[{}]", quoted(metric), entries.join(","))
        });
        Ok(Reply::of(format!("{{{}}}", metrics.collect::<Vec<_>>().join(","))))
    };
    answer(work.await)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Extension, body::Body, http::Request};
    use serde_json::{Value as Json, json};
    use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
    use tower::ServiceExt;

    use super::*;
    use crate::series::{Limits, MetricKind, NAME, Sample, Store, Value};

    struct Everything;

    impl Authorizer for Everything {
        fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
            Ok(())
        }
    }

    async fn get(store: &Arc<Store>, path: &str) -> Json {
        let routes = super::super::routes(store.clone(), Arc::new(Everything));
        let routes = routes.layer(Extension(UserInfo::named("admin", &[])));
        let request = Request::get(format!("/prometheus/api/v1{path}")).body(Body::empty());
        let response = routes.oneshot(request.expect("a request")).await.expect("answered");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn escaped_names_are_read_as_they_were() {
        for (name, expected) in [
            ("U__http_2e_method", Some("http.method")),
            ("U__a_2E__b", None),
            ("U__a_2E___b", Some("a._b")),
            ("U___e9_t_e9_", Some("été")),
            ("U__", Some("")),
            ("U__a__b", Some("a_b")),
            ("U__a_b", None),
            ("U__a_zz_b", None),
            ("U__a_d800_b", None),
            ("U_a", None),
            ("http_method", None),
        ] {
            assert_eq!(unescaped(name).as_deref(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn values_of_an_escaped_name_are_found() {
        let store = Arc::new(Store::in_memory(Limits::default()));
        let time = jiff::Timestamp::now().as_millisecond() - 1000;
        let series = store.resolve(&Labels::new([(NAME, "hits"), ("http.method", "GET")])).expect("taken");
        store.append(&[Sample { series, time, value: Value::Number(1.0) }]);
        for (name, expected) in [
            ("U__http_2e_method", json!(["GET"])),
            ("http.method", json!(["GET"])),
            ("http_method", json!([])),
        ] {
            assert_eq!(get(&store, &format!("/label/{name}/values")).await["data"], expected, "{name}");
        }
    }

    #[tokio::test]
    async fn no_more_is_told_of_a_metric_than_is_asked() {
        let store = Arc::new(Store::in_memory(Limits::default()));
        for (namespace, help) in [("bank", "The bank's."), ("shop", "The shop's.")] {
            let labels = Labels::new([(NAME, "hits"), ("namespace", namespace)]);
            let series = store.resolve(&labels).expect("taken");
            let time = jiff::Timestamp::now().as_millisecond() - 1000;
            store.append(&[Sample { series, time, value: Value::Number(1.0) }]);
            let meta = Meta { kind: MetricKind::Gauge, help: help.into(), unit: String::new() };
            store.describe(namespace, "hits", meta);
        }
        for (query, count) in [("", 2), ("?limit_per_metric=1", 1), ("?limit_per_metric=0", 2)] {
            let told = get(&store, &format!("/metadata{query}")).await;
            assert_eq!(told["data"]["hits"].as_array().map(Vec::len), Some(count), "{query}: {told}");
        }
        assert_eq!(get(&store, "/metadata?limit_per_metric=x").await["errorType"], "bad_data");
    }
}
