//! Which tags are asked for, and whether a span shows them. Pure.
//!
//! What an answer shows of a span can be searched for, under the same names: its own tags, those of its
//! process, and the fields of its logs. Each tag that is asked for may be anywhere among them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::words;
use crate::traces::Span;

/// Tags that a span must show, all of them, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// What a query's parameters `tag` (`key:value`) and `tags` (a JSON object) ask for; each may be there
    /// several times. Of one key the object's value counts.
    ///
    /// # Errors
    /// One that is neither; a sentence.
    pub fn of(query: &str) -> Result<Self, String> {
        let parameters = || form_urlencoded::parse(query.as_bytes()).filter(|(_, text)| !text.is_empty());
        let mut all = BTreeMap::new();
        for (_, text) in parameters().filter(|(name, _)| name == "tag") {
            let pair = text.split_once(':');
            let (key, value) = pair.ok_or_else(|| format!("tag {text:?} is not of the form key:value"))?;
            all.insert(key.to_owned(), value.to_owned());
        }
        for (_, text) in parameters().filter(|(name, _)| name == "tags") {
            let tags: BTreeMap<String, Value> =
                serde_json::from_str(&text).map_err(|error| format!("tags are no JSON object: {error}"))?;
            let spelt = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.extend(tags.into_iter().map(|(key, value)| (key, spelt(value))));
        }
        Ok(Self(all))
    }

    pub fn are_shown_by(&self, span: &Span) -> bool {
        let mut missing: Vec<_> = self.0.iter().collect();
        let mut has_all = |shown: Vec<Value>| {
            let shows = |key: &str, wanted: &str| {
                shown.iter().any(|tag| tag["key"] == key && is_spelt(&tag["value"], wanted))
            };
            missing.retain(|(key, wanted)| !shows(key, wanted));
            missing.is_empty()
        };
        self.0.is_empty()
            || has_all(own(span))
            || has_all(words::tags(&span.resource))
            || words::events(span).iter().any(|event| has_all(words::fields(event)))
    }
}

/// A span's own tags. Of one that nobody calls wrong it is asked with `error=false`, too.
fn own(span: &Span) -> Vec<Value> {
    let mut own = words::tags_of(span);
    if own.iter().all(|tag| tag["key"] != "error") {
        own.push(json!({"key": "error", "value": false}));
    }
    own
}

/// Whether a value is what somebody wrote: a number also where it is written otherwise, as `1` for `1.0`.
fn is_spelt(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) if number.is_f64() => wanted.parse::<f64>().ok() == number.as_f64(),
        other => {
            let written = other.to_string();
            written == wanted
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::{
        super::{Asked, Search},
        *,
    };

    fn span() -> Span {
        let list = json!(["a", 1]);
        let attributes = json!({"http.method": "GET", "code": 200, "share": 1.0, "is": true, "list": list});
        Span {
            trace_id: "01".repeat(16),
            service: "cart".into(),
            name: "pay".into(),
            kind: "server".into(),
            status: "error".into(),
            status_message: "it broke".into(),
            scope: "lib".into(),
            scope_version: "2".into(),
            trace_state: "a=b:c".into(),
            attributes: attributes.to_string(),
            resource: json!({"host.name": "h", "code": 7}).to_string(),
            events: json!([
                {"time_us": 1, "name": "retry", "attributes": {"after": "1s"}},
                {"time_us": 2, "name": "gone", "attributes": {}},
            ])
            .to_string(),
            ..Span::default()
        }
    }

    fn shows(span: &Span, query: &[(&str, &str)]) -> bool {
        let pairs = query.iter().copied();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Tags::of(&query).expect("tags").are_shown_by(span)
    }

    #[test]
    fn all_that_an_answer_shows_can_be_searched_for() {
        let answer = words::traces(&[(vec![span()], Vec::new())], &[]);
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let trace = &answer["data"][0];
        let logs = trace["spans"][0]["logs"].as_array().expect("logs").iter().map(|log| &log["fields"]);
        let lists = [&trace["spans"][0]["tags"], &trace["processes"]["p1"]["tags"]];
        let all: Vec<_> =
            lists.into_iter().chain(logs).flat_map(|list| list.as_array().expect("tags")).collect();
        for tag in &all {
            let (key, value) = (tag["key"].as_str().expect("a key"), &tag["value"]);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let (of_value, of_text) = (json!({ key: value }).to_string(), json!({ key: text }).to_string());
            let (pair, other) = (format!("{key}:{text}"), format!("{key}:{text}x"));
            assert!(shows(&span(), &[("tag", pair.as_str())]), "{tag}");
            assert!(shows(&span(), &[("tags", of_value.as_str())]), "{tag}");
            assert!(shows(&span(), &[("tags", of_text.as_str())]), "{tag}");
            assert!(!shows(&span(), &[("tag", other.as_str())]), "{tag}");
        }
        for key in ["error", "otel.status_code", "otel.scope.name", "w3c.tracestate", "host.name", "event"] {
            assert!(all.iter().any(|tag| tag["key"] == key), "{key} is shown");
        }
    }

    #[test]
    fn tags_that_are_asked_for_must_all_be_there() {
        for (query, expected) in [
            (&[("tag", "http.method:GET"), ("tag", "host.name:h")][..], true),
            (&[], true),
            (&[("tag", "http.method:GET"), ("tag", "host.name:i")], false),
            (&[("tag", "http.method:PUT"), ("tags", r#"{"http.method": "GET"}"#)], true),
            (&[("tags", r#"{"event": "gone"}"#), ("tags", r#"{"after": "1s"}"#)], true),
            (&[("tag", "code:200")], true),
            (&[("tag", "code:7")], true),
            (&[("tag", "code:8")], false),
            (&[("tag", "share:1")], true),
            (&[("tags", r#"{"error": true}"#)], true),
            (&[("tag", "error:false")], false),
            (&[("tag", "unknown:")], false),
        ] {
            assert_eq!(shows(&span(), query), expected, "{query:?}");
        }
        let fine = Span { status: "ok".into(), ..span() };
        assert!(shows(&fine, &[("tag", "error:false"), ("tag", "otel.status_code:OK")]));
        assert!(!shows(&fine, &[("tag", "error:true")]));
        let said = Span { attributes: r#"{"error": "true"}"#.into(), ..fine };
        assert!(shows(&said, &[("tag", "error:true")]) && !shows(&said, &[("tag", "error:false")]));
    }

    #[test]
    fn a_search_takes_its_tags_from_the_whole_query() {
        let search = |query: &str| {
            let uri: http::Uri = format!("/traces?{query}").parse().expect("a path");
            let Query(asked) = Query::<Asked>::try_from_uri(&uri).expect("parameters");
            Search::of(asked, query)
        };
        let found = |query: &str| search(query).ok().expect("a search").matches(&span());
        assert!(found("service=cart&tag=is:true&tag=event:retry&tags=%7B%22code%22:200%7D&tags=%7B%7D"));
        assert!(!found("service=cart&tag=is:true&tag=event:other"));
        assert!(!found("service=cart&tags=%7B%7D&tags=%7B%22code%22:9%7D"));
        for (query, wanted) in [("tag=alone", "key:value"), ("tags=7", "no JSON object")] {
            let why = search(&format!("service=cart&{query}")).err().expect("wrong").1;
            assert!(why.contains(wanted), "{why}");
        }
    }
}
