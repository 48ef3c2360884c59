//! `query_exemplars`: exemplars of the series that a query reads.

use axum::response::Response;

use super::{
    super::{parse, selector::matchers, walk::selectors},
    Asked, json,
    parameters::Parameters,
    reply::{Refusal, Reply, answer},
};
use crate::series::{Exemplar, Labels, Select};

pub async fn find(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let range = parameters.range()?;
        let expr = parse(parameters.wanted("query")?).map_err(|error| Refusal::parameter("query", error))?;
        let mut found = Vec::new();
        for selector in selectors(&expr) {
            found.extend(asked.source.exemplars(&matchers(selector)?, range.clone()));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|a, b| a.0 == b.0);
        let entries: Vec<_> = found.iter().map(|(labels, exemplars)| entry(labels, exemplars)).collect();
        Ok(Reply::of(format!("[{}]", entries.join(","))))
    };
    answer(work.await)
}

fn entry(labels: &Labels, exemplars: &[Exemplar]) -> String {
    let mut json = String::from("{\"seriesLabels\":");
    json::metric(&mut json, labels);
    json.push_str(",\"exemplars\":[");
    for (place, exemplar) in exemplars.iter().enumerate() {
        json.push_str(if place > 0 { ",{\"labels\":" } else { "{\"labels\":" });
        json::metric(&mut json, &exemplar.labels);
        json.push_str(",\"value\":");
        json::number(&mut json, exemplar.value);
        json.push_str(",\"timestamp\":");
        json::seconds(&mut json, exemplar.time);
        json.push('}');
    }
    json.push_str("]}");
    json
}
