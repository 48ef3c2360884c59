//! The labels that a record has for Loki's clients.
//!
//! `namespace`, `pod`, `container`, `node`, `stream`, `level`, `app`, and the labels of
//! the Pod with `_` in the place of what Loki's names can't have. A name that both have
//! is the record's own.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::LogRecord;

/// Names and values of one series or line.
pub type Labels = BTreeMap<String, String>;

/// Labels that are no Pod's.
pub const OWN: [&str; 7] = ["namespace", "pod", "container", "node", "stream", "level", "app"];

/// Labels that stages say of a line what they couldn't do with; a sender's of these names would
/// pass for that and is left out.
pub const OF_STAGES: [&str; 2] = ["__error__", "__error_details__"];

/// Pod labels that name an application, the first one present counts.
const APP: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];

/// A label's name as Loki's clients have it.
pub fn sanitized(name: &str) -> String {
    let mut clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

/// All labels of a record.
pub fn of(record: &LogRecord) -> Labels {
    let mut labels = of_stream(record.labels.iter().flatten(), |name| match name {
        "namespace" => &record.namespace,
        "pod" => &record.pod,
        "container" => &record.container,
        _ => &record.node,
    });
    labels.insert("stream".into(), record.stream.clone());
    labels.insert("level".into(), record.level.clone());
    labels
}

/// Labels of a stream, but for `stream` and `level`, which its records have.
pub fn of_stream<'a>(
    pod: impl Iterator<Item = (&'a String, &'a String)> + Clone,
    own: impl Fn(&str) -> &'a String,
) -> Labels {
    let given = pod.clone().map(|(name, value)| (sanitized(name), value.clone()));
    let mut labels: Labels = given.filter(|(name, _)| !OF_STAGES.contains(&name.as_str())).collect();
    for name in ["namespace", "pod", "container", "node"] {
        labels.insert(name.into(), own(name).clone());
    }
    for name in ["stream", "level"] {
        labels.remove(name);
    }
    let app = APP.iter().find_map(|app| pod.clone().find(|(name, _)| name == app));
    if let Some((_, app)) = app {
        labels.insert("app".into(), app.clone());
    }
    labels
}

/// Names of the labels that records have whose Pods have labels of these names.
pub fn names<'a>(pod: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        OWN.iter().filter(|name| **name != "app").map(|name| (*name).to_owned()).collect();
    for name in pod {
        if APP.contains(&name) {
            names.insert("app".to_owned());
        }
        names.insert(sanitized(name));
    }
    names.retain(|name| !OF_STAGES.contains(&name.as_str()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_and_own_ones_win() {
        assert_eq!(sanitized("app.kubernetes.io/name"), "app_kubernetes_io_name");
        assert_eq!(sanitized("9lives"), "_9lives");
        let pod: BTreeMap<String, String> = [
            ("app.kubernetes.io/name", "web"),
            ("app", "x"),
            ("pod", "forged"),
            ("tier", "front"),
            ("__error__", "x"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let record = LogRecord { pod: "web-1".into(), labels: Some(pod), ..LogRecord::default() };
        let labels = of(&record);
        assert_eq!(
            (labels["app"].as_str(), labels["pod"].as_str(), labels["tier"].as_str()),
            ("web", "web-1", "front")
        );
        assert!(labels.contains_key("app_kubernetes_io_name") && !labels.contains_key("__error__"));
        let pod = record.labels.as_ref().expect("labels");
        let found: Vec<String> = names(pod.keys().map(String::as_str)).into_iter().collect();
        assert_eq!(found, labels.into_keys().collect::<Vec<_>>());
        let without = names(std::iter::empty());
        assert!(without.contains("pod") && !without.contains("app"));
    }
}
