//! `monitoring.coreos.com/v1` PrometheusRule, understood rule by rule: a wrong one doesn't
//! stop the others. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{prometheus_operator::duration, promql};

/// What the operator evaluates by where a group doesn't say.
const INTERVAL: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(1);

#[derive(CustomResource, Debug, Clone, Default, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PrometheusRule",
    plural = "prometheusrules",
    namespaced,
    schema = "disabled"
)]
pub struct PrometheusRuleSpec {
    #[serde(flatten)]
    pub written: Map<String, Value>,
}

/// What a group is known by: namespace, object, group.
pub type Place = (String, String, String);

/// How far the rules of a namespace reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Its own series; what they write is its own.
    Namespace(String),
    Cluster,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub place: Place,
    pub interval: Duration,
    /// Series of one rule, at most; 0 is any number.
    pub limit: usize,
    /// So much before its time the rules look.
    pub offset: Duration,
    pub reach: Reach,
    pub rules: Vec<Rule>,
}

/// One recording rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub record: String,
    pub query: String,
    pub labels: BTreeMap<String, String>,
    /// Why it can't be evaluated.
    pub wrong: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenGroup {
    name: String,
    interval: Option<String>,
    query_offset: Option<String>,
    limit: usize,
    labels: BTreeMap<String, String>,
    rules: Vec<WrittenRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenRule {
    record: String,
    /// A number is a query, too.
    expr: Value,
    labels: BTreeMap<String, String>,
}

/// The groups that have recording rules, and what is wrong with the others.
pub fn groups(object: &PrometheusRule, reaching: &BTreeSet<String>) -> (Vec<Group>, Vec<String>) {
    let namespace = object.namespace().unwrap_or_default();
    let written = object.spec.written.get("groups").and_then(Value::as_array);
    let (mut groups, mut wrong) = (Vec::new(), Vec::new());
    for group in written.into_iter().flatten() {
        let reach = match reaching.contains(&namespace) {
            true => Reach::Cluster,
            false => Reach::Namespace(namespace.clone()),
        };
        let of = || (namespace.clone(), object.name_any());
        match WrittenGroup::deserialize(group).map_err(|error| error.to_string()).and_then(|group| {
            let (namespace, name) = of();
            read(group, namespace, name, reach)
        }) {
            Ok(group) if group.rules.is_empty() => {}
            Ok(group) => groups.push(group),
            Err(why) => {
                let name = group["name"].as_str().unwrap_or_default();
                wrong.push(format!("group {name:?} of {namespace}/{}: {why}", object.name_any()));
            }
        }
    }
    (groups, wrong)
}

fn read(group: WrittenGroup, namespace: String, object: String, reach: Reach) -> Result<Group, String> {
    let time = |text: &Option<String>, otherwise| match text.as_deref() {
        None | Some("" | "0" | "0s") => Ok(otherwise),
        Some(text) => duration::parse(text),
    };
    let rules = group.rules.into_iter().filter(|rule| !rule.record.is_empty());
    let rules = rules.map(|rule| {
        let query = match rule.expr {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let mut labels = group.labels.clone();
        labels.extend(rule.labels);
        let wrong = promql::parse(&query).err().map(|error| error.to_string());
        Rule { record: rule.record, query, labels, wrong }
    });
    Ok(Group {
        place: (namespace, object, group.name),
        interval: time(&group.interval, INTERVAL)?.max(LEAST),
        limit: group.limit,
        offset: time(&group.query_offset, Duration::ZERO)?,
        reach,
        rules: rules.collect(),
    })
}
