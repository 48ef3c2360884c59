//! What kubectl makes of the schemas that the API server publishes for defined kinds: what it
//! lets through, what it refuses, and what it explains.

use std::fs;

use anyhow::Result;

use crate::kubectl_every::Session;

/// Kinds with their schemas, as JSON.
const KINDS: &[(&str, &str)] = &[
    (
        "Checked",
        r#"{"type": "object", "description": "A kind whose objects are checked.", "properties": {"spec": {
            "type": "object", "description": "What is checked.", "properties": {"bars": {
                "type": "array", "description": "Each bar by itself.", "items": {
                    "type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string", "description": "What the bar is called."},
                        "bottles": {"type": "array", "description": "Full ones.", "items": {"type": "string"}}}}}}}}}"#,
    ),
    ("Free", r#"{"type": "object", "x-kubernetes-preserve-unknown-fields": true}"#),
    (
        "Open",
        r#"{"type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": "A kind that takes more.",
            "properties": {"spec": {"type": "object", "description": "What is known.", "properties": {
                "size": {"type": "integer"}}}}}"#,
    ),
    (
        "Half",
        r#"{"type": "object", "description": "A kind that takes more in its spec.", "properties": {"spec": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": "What is half known.",
            "properties": {"size": {"type": "integer"}}}}}"#,
    ),
];

/// The kinds' names with the version of kubectl, that no other walk has one of them.
struct Named<'a> {
    group: &'a str,
    minor: u32,
}

impl Named<'_> {
    fn plural(&self, kind: &str) -> String {
        format!("{}{}s", kind.to_lowercase(), self.minor)
    }

    fn definition(&self, kind: &str, schema: &str) -> String {
        let (group, minor, plural) = (self.group, self.minor, self.plural(kind));
        format!(
            r#"{{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {{"name": "{plural}.{group}"}},
                "spec": {{"group": "{group}", "scope": "Namespaced",
                    "names": {{"kind": "{kind}{minor}", "plural": "{plural}"}},
                    "versions": [{{"name": "v1", "served": true, "storage": true,
                        "schema": {{"openAPIV3Schema": {schema}}}}}]}}}}"#
        )
    }

    fn object(&self, kind: &str, more: &str) -> String {
        let (group, minor) = (self.group, self.minor);
        format!("apiVersion: {group}/v1\nkind: {kind}{minor}\nmetadata: {{name: one}}\n{more}\n")
    }
}

pub fn walk(session: &Session<'_>) -> Result<()> {
    let group = format!("{}.published.local", session.namespace);
    let named = Named { group: &group, minor: session.minor };
    for (kind, schema) in KINDS {
        session.manifest(&["create"], &named.definition(kind, schema), &["created"])?;
        let definition = format!("crd/{}.{group}", named.plural(kind));
        session.says(&["wait", &definition, "--for=condition=Established", "--timeout=120s"], &["met"])?;
    }
    // What was read of the API before doesn't have them.
    fs::remove_dir_all(session.file("cache"))?;
    checked(session, &named)?;
    let more = |change: &str| format!("spec: {{size: 1, odd: {{a: b}}, {change}}}");
    for kind in ["Free", "Half"] {
        taken(session, &named, kind, [&more("change: one"), &more("change: [two]")])?;
    }
    for kind in ["Free", "Open"] {
        taken(session, &named, kind, ["odd: {a: b}", "odd: {a: c}\nodder: [1, 2]"])?;
    }
    let explain = |kind: &str| ["explain".to_owned(), named.plural(kind)];
    for (kind, words) in [
        ("Free", ["DESCRIPTION:", "<empty>"]),
        ("Open", ["KIND:", "A kind that takes more."]),
        ("Half", ["DESCRIPTION:", "A kind that takes more in its spec."]),
    ] {
        session.says(&explain(kind).each_ref().map(String::as_str), &words)?;
        session.says(&explain(kind).each_ref().map(String::as_str), &[&format!("{kind}{}", named.minor)])?;
    }
    for (kind, _) in KINDS {
        session.says(&["delete", &format!("crd/{}.{group}", named.plural(kind))], &["deleted"])?;
    }
    Ok(())
}

/// Created, applied with a change, and gone again.
fn taken(session: &Session<'_>, named: &Named<'_>, kind: &str, turns: [&str; 2]) -> Result<()> {
    let [first, second] = turns.map(|more| named.object(kind, more));
    session.manifest(&["create", "--validate=true"], &first, &["created"])?;
    session.manifest(&["delete"], &first, &["deleted"])?;
    session.manifest(&["apply", "--validate=true"], &first, &["created"])?;
    session.manifest(&["apply", "--validate=true"], &second, &["configured"])?;
    session.manifest(&["delete"], &second, &["deleted"])
}

/// The schema is held to, and explained to its depth.
fn checked(session: &Session<'_>, named: &Named<'_>) -> Result<()> {
    let kind = "Checked";
    let bars = |bar: &str| format!("spec: {{bars: [{{{bar}}}]}}");
    taken(session, named, kind, [&bars("name: a"), &bars("name: a, bottles: [x]")])?;
    for (bar, word) in [("name: a, unknown: b", "unknown field"), ("bottles: [x]", "name")] {
        let object = named.object(kind, &bars(bar));
        for verb in ["create", "apply"] {
            session.ends(&[verb, "--validate=true", "-f", "-"], &object, 1, &[word])?;
        }
    }
    let plural = named.plural(kind);
    for (field, words) in [
        ("", ["A kind whose objects are checked.", "spec"]),
        (".metadata", ["creationTimestamp", "ownerReferences"]),
        (".spec", ["What is checked.", "bars"]),
        (".spec.bars", ["Each bar by itself.", "required"]),
        (".spec.bars.bottles", ["Full ones.", "string"]),
    ] {
        session.says(&["explain", &format!("{plural}{field}")], &words)?;
    }
    session.ends(&["explain", &format!("{plural}.spec.bars2")], "", 1, &["does not exist"])
}
