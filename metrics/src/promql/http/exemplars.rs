//! `query_exemplars`: exemplars of the series that a query reads.

use axum::response::Response;

use super::{
    super::{parse, selector::matchers, walk::selectors},
    Asked, json,
    parameters::Parameters,
    reply::{Refusal, Reply, answer},
};
use crate::series::{Exemplar, Labels, Matcher, Select};

pub async fn find(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let (range, read) = (parameters.range()?, read_by(&parameters)?);
        let place = asked.place(asked.limits.deadline).await?;
        let source = asked.source.clone();
        // It can't be broken off, so it keeps its place until it is done, whoever waits for it.
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut found = Vec::new();
            for matchers in &read {
                found.extend(source.exemplars(matchers, range.clone()));
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            found.dedup_by(|a, b| a.0 == b.0);
            let entries: Vec<_> = found.iter().map(|(labels, exemplars)| entry(labels, exemplars)).collect();
            format!("[{}]", entries.join(","))
        });
        Ok(Reply::of(looking.await.map_err(|why| Refusal::internal(&why))?))
    };
    answer(work.await)
}

/// What each selector of the query asks for.
fn read_by(parameters: &Parameters) -> Result<Vec<Vec<Matcher>>, Refusal> {
    let expr = parse(parameters.wanted("query")?).map_err(|error| Refusal::parameter("query", error))?;
    let mut read = Vec::new();
    for selector in selectors(&expr) {
        read.push(matchers(selector)?);
    }
    Ok(read)
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use axum::{Extension, body::Body, http::Request};
    use tiphys_api::auth::UserInfo;
    use tower::ServiceExt;

    use super::super::{Bounds, routes_within};
    use crate::{
        places::Places,
        series::{Limits, Store},
        sql::tests::ByName,
    };

    #[tokio::test]
    async fn who_has_no_place_gets_no_exemplars_but_is_told_of_mistakes() {
        let places = Places::new(1, 1);
        let bounds = Bounds { places: places.clone(), wait: Duration::from_millis(10), ..Bounds::default() };
        let store = Arc::new(Store::in_memory(Limits::default()));
        let router = routes_within(bounds, store, Arc::new(ByName));
        let router = router.layer(Extension(UserInfo::named("admin", &[])));
        let status = async |query: &str| {
            let path = format!("/prometheus/api/v1/query_exemplars?query={query}");
            let request = Request::get(path).body(Body::empty()).expect("a request");
            router.clone().oneshot(request).await.expect("answered").status().as_u16()
        };
        let taken = places.take_now("admin").expect("free");
        assert_eq!((status("up").await, status("up(").await), (503, 400));
        drop(taken);
        assert_eq!(status("up").await, 200);
    }
}
