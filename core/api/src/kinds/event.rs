//! Event: what happened to an object, kept for a while.
//!
//! Stored as core/v1; `events.k8s.io/v1` is another view of the same objects
//! with other names for the same fields.

use serde_json::{Map, Value, json};

use crate::{
    access::{default, has, int, present, set, text},
    field::FieldError,
    human,
    kind::{Column, Conversion, Kind},
    table::{NAME, number, text_or},
    validate::Errors,
};

pub static KIND: Kind = Kind {
    short_names: &["ev"],
    default: defaults,
    validate,
    columns: COLUMNS,
    selectable: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
    ..Kind::namespaced("", "v1", "Event", "events", "event", "io.k8s.api.core.v1.Event")
};

pub static KIND_NEW: Kind = Kind {
    short_names: &["ev"],
    default: |_| {},
    columns: COLUMNS,
    selectable: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "reason",
        "type",
    ],
    stored_as: Some(Conversion { version: "v1", to_stored, from_stored }),
    ..Kind::namespaced("events.k8s.io", "v1", "Event", "events", "event", "io.k8s.api.events.v1.Event")
};

/// The cells read either view.
const COLUMNS: &[Column] = &[
    Column::text("Last Seen", |e, now| last_seen(e, now).into()),
    Column::text("Type", |e, _| text_or(e, "/type", "")),
    Column::text("Reason", |e, _| text_or(e, "/reason", "")),
    Column::text("Object", |e, _| object(e).into()),
    Column::text("Subobject", |e, _| either(e, "/involvedObject/fieldPath", "/regarding/fieldPath").into())
        .wide(),
    Column::text("Source", |e, _| source(e).into()).wide(),
    Column::text("Message", |e, _| either(e, "/message", "/note").trim().into()),
    Column::text("First Seen", |e, now| first_seen(e, now).into()).wide(),
    Column::number(
        "Count",
        |e, _| if has(e, "/series") { number(e, "/series/count") } else { count(e).into() },
    )
    .wide(),
    Column { priority: 1, ..NAME },
];

fn defaults(event: &mut Value) {
    default(event, "type", "Normal");
    // Fields without `omitempty`: always there, empty when unknown.
    for key in ["reportingComponent", "reportingInstance"] {
        if !has(event, &format!("/{key}")) {
            set(event, key, json!(""));
        }
    }
    for key in ["source", "involvedObject"] {
        if !has(event, &format!("/{key}")) {
            set(event, key, json!({}));
        }
    }
}

fn validate(event: &Value) -> Errors {
    let mut errors = Vec::new();
    let (own, of_object) = (text(event, "/metadata/namespace"), text(event, "/involvedObject/namespace"));
    let expected = if of_object.is_empty() { "default" } else { of_object };
    // Events about objects without a namespace may also stand in kube-system.
    if own != expected && !(of_object.is_empty() && own == "kube-system") {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", &of_object.into(), detail));
    }
    errors
}

fn either<'a>(event: &'a Value, core: &str, new: &str) -> &'a str {
    match text(event, core) {
        "" => text(event, new),
        found => found,
    }
}

fn count(event: &Value) -> i64 {
    int(event, "/count").or_else(|| int(event, "/deprecatedCount")).unwrap_or(1)
}

fn first_time<'a>(event: &'a Value, pointers: &[&str]) -> Option<&'a Value> {
    pointers.iter().find_map(|p| present(event, p))
}

fn first_seen(event: &Value, now: i64) -> String {
    human::since(first_time(event, &["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]), now)
}

fn last_seen(event: &Value, now: i64) -> String {
    let first = first_seen(event, now);
    if let Some(series) = present(event, "/series") {
        let last = human::since(series.get("lastObservedTime"), now);
        return format!("{last} (x{} over {first})", int(series, "/count").unwrap_or_default());
    }
    let times = ["/lastTimestamp", "/deprecatedLastTimestamp", "/firstTimestamp", "/eventTime"];
    let last = human::since(first_time(event, &times), now);
    if count(event) > 1 { format!("{last} (x{} over {first})", count(event)) } else { last }
}

fn object(event: &Value) -> String {
    let kind = either(event, "/involvedObject/kind", "/regarding/kind").to_lowercase();
    match either(event, "/involvedObject/name", "/regarding/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let of_source = either(event, "/source/component", "/deprecatedSource/component");
    let component = match of_source {
        "" => either(event, "/reportingComponent", "/reportingController"),
        component => component,
    };
    let host = match either(event, "/source/host", "/deprecatedSource/host") {
        "" => text(event, "/reportingInstance"),
        host => host,
    };
    if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") }
}

/// Names of the same fields in `events.k8s.io/v1` and core/v1.
const RENAMED: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn to_stored(event: Value) -> Value {
    let mut event = renamed(event, |name| RENAMED.iter().find(|(new, _)| *new == name).map(|(_, old)| *old));
    set(&mut event, "apiVersion", json!("v1"));
    event
}

fn from_stored(event: Value) -> Value {
    let mut event = renamed(event, |name| RENAMED.iter().find(|(_, old)| *old == name).map(|(new, _)| *new));
    set(&mut event, "apiVersion", json!("events.k8s.io/v1"));
    event
}

fn renamed(event: Value, rename: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = event else { return event };
    let renamed: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (rename(&name).map_or(name, String::from), value)).collect();
    Value::Object(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_views_hold_the_same() {
        let stored = json!({
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "BackOff", "message": "m",
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "a"}, "count": 3,
            "metadata": {"name": "x", "namespace": "a"},
            "firstTimestamp": "1970-01-01T00:00:00Z", "lastTimestamp": "1970-01-01T00:01:00Z",
        });
        let view = from_stored(stored.clone());
        assert_eq!((view["regarding"]["name"].as_str(), view["note"].as_str()), (Some("web"), Some("m")));
        for (column, printed) in COLUMNS.iter().map(|c| (c.name, (c.cell)(&stored, 70))) {
            let of_view = COLUMNS.iter().find(|c| c.name == column).map(|c| (c.cell)(&view, 70));
            assert_eq!(of_view, Some(printed), "{column}");
        }
        assert_eq!(to_stored(view), stored);
        assert_eq!(last_seen(&stored, 70), "10s (x3 over 70s)");
        assert_eq!(object(&stored), "pod/web");
        assert!(validate(&stored).is_empty());
    }
}
