//! FlowSchema and PriorityLevelConfiguration: how the API server shares itself out among its clients.

use serde_json::Value;

use crate::{
    access::{default, ensure, has, int, keep_status, list, text, with},
    field::FieldError,
    kind::{Column, Kind, METADATA, Subresource},
    table::{AGE, NAME, number, text_or, text_or_none},
    validate::{Errors, names},
};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const PRECEDENCE_LIMIT: i64 = 10_000;
const QUEUES_LIMIT: i64 = 10_000_000;
/// What a flow's number of 64 bits can deal evenly, as upstream has it.
const ENTROPY_LIMIT: i64 = 60;

pub static FLOW_SCHEMA: Kind = Kind {
    validate_name: names::dns_subdomain,
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    prepare_update: keep_status,
    default: |schema| {
        with(schema, "/spec", |spec| default(spec, "matchingPrecedence", 1000));
    },
    validate: schema,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("PriorityLevel", |s, _| text_or(s, "/spec/priorityLevelConfiguration/name", "")),
        Column {
            kind: "integer",
            ..Column::text("MatchingPrecedence", |s, _| number(s, "/spec/matchingPrecedence"))
        },
        Column::text("DistinguisherMethod", |s, _| text_or_none(s, "/spec/distinguisherMethod/type")),
        AGE,
        Column::text("MissingPL", |s, _| {
            let conditions = list(s, "/status/conditions");
            let dangling = conditions.iter().find(|condition| condition["type"] == "Dangling");
            dangling.map_or_else(|| "?".into(), |condition| condition["status"].clone())
        }),
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "FlowSchema",
        "flowschemas",
        "flowschema",
        "io.k8s.api.flowcontrol.v1.FlowSchema",
    )
};

pub static PRIORITY_LEVEL: Kind = Kind {
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    prepare_update: keep_status,
    default: level_defaults,
    validate: level,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Type", |l, _| text_or(l, "/spec/type", "")),
        Column::text("NominalConcurrencyShares", |l, _| {
            let share = |kind: &str| int(l, &format!("/spec/{kind}/nominalConcurrencyShares"));
            share("limited").or_else(|| share("exempt")).map_or_else(|| "<none>".into(), Value::from)
        }),
        Column::text("Queues", |l, _| queuing(l, "queues")),
        Column::text("HandSize", |l, _| queuing(l, "handSize")),
        Column::text("QueueLengthLimit", |l, _| queuing(l, "queueLengthLimit")),
        AGE,
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "prioritylevelconfiguration",
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    )
};

fn queuing(level: &Value, field: &str) -> Value {
    int(level, &format!("/spec/limited/limitResponse/queuing/{field}"))
        .map_or_else(|| "<none>".into(), Value::from)
}

fn level_defaults(level: &mut Value) {
    let kind = text(level, "/spec/type").to_owned();
    with(level, "/spec", |spec| match kind.as_str() {
        "Exempt" => {
            if let Some(exempt) = ensure(spec, "exempt") {
                default(exempt, "nominalConcurrencyShares", 0);
                default(exempt, "lendablePercent", 0);
            }
        }
        "Limited" => {
            with(spec, "/limited", |limited| {
                default(limited, "nominalConcurrencyShares", 30);
                default(limited, "lendablePercent", 0);
            });
            with(spec, "/limited/limitResponse/queuing", |queuing| {
                default(queuing, "queues", 64);
                default(queuing, "handSize", 8);
                default(queuing, "queueLengthLimit", 50);
            });
        }
        _ => {}
    });
}

fn level(level: &Value) -> Errors {
    let mut errors = Vec::new();
    let (name, spec) = (text(level, "/metadata/name"), &level["spec"]);
    let kind = text(spec, "/type");
    let mandatory = match name {
        "exempt" => Some("Exempt"),
        "catch-all" => Some("Limited"),
        _ => None,
    };
    if mandatory.is_some_and(|wanted| wanted != kind) || (kind == "Exempt" && name != "exempt") {
        let detail = "type must be 'Exempt' for the priority level 'exempt', and 'Limited' for all others";
        errors.push(FieldError::invalid("spec.type", &kind.into(), detail));
    }
    match kind {
        "Exempt" if has(spec, "/limited") => {
            errors.push(FieldError::forbidden("spec.limited", "must be nil if the type is not Limited"));
        }
        "Exempt" => {}
        "Limited" if has(spec, "/exempt") => {
            errors.push(FieldError::forbidden("spec.exempt", "must be nil if the type is Limited"));
        }
        "Limited" if !has(spec, "/limited") => {
            errors.push(FieldError::required("spec.limited", "must not be empty when type is Limited"));
        }
        "Limited" => limited(&spec["limited"], &mut errors),
        other => errors.push(FieldError::not_supported("spec.type", other, &["Exempt", "Limited"])),
    }
    errors
}

fn limited(limited: &Value, errors: &mut Errors) {
    let at = "spec.limited";
    if let Some(shares) = int(limited, "/nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let field = format!("{at}.nominalConcurrencyShares");
        errors.push(FieldError::invalid(field, &shares.into(), "must be a non-negative integer"));
    }
    if let Some(percent) = int(limited, "/lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        let field = format!("{at}.lendablePercent");
        errors.push(FieldError::invalid(field, &percent.into(), "must be between 0 and 100, inclusive"));
    }
    let field = format!("{at}.limitResponse");
    match (text(limited, "/limitResponse/type"), has(limited, "/limitResponse/queuing")) {
        ("Reject", true) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(FieldError::forbidden(format!("{field}.queuing"), detail));
        }
        ("Queue", true) => queues(&limited["limitResponse"]["queuing"], &field, errors),
        ("Queue", false) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(FieldError::required(format!("{field}.queuing"), detail));
        }
        ("Reject", false) => {}
        ("", _) => errors.push(FieldError::required(format!("{field}.type"), "")),
        (other, _) => {
            errors.push(FieldError::not_supported(format!("{field}.type"), other, &["Queue", "Reject"]));
        }
    }
}

fn queues(queuing: &Value, at: &str, errors: &mut Errors) {
    let figure = |key: &str| int(queuing, &format!("/{key}")).unwrap_or_default();
    let mut invalid = |key: &str, detail: &str| {
        errors.push(FieldError::invalid(format!("{at}.queuing.{key}"), &figure(key).into(), detail));
    };
    if figure("queueLengthLimit") <= 0 {
        invalid("queueLengthLimit", "must be positive");
    }
    if figure("queues") <= 0 {
        invalid("queues", "must be positive");
    } else if figure("queues") > QUEUES_LIMIT {
        invalid("queues", "must not be greater than 10000000");
    }
    if figure("handSize") <= 0 {
        invalid("handSize", "must be positive");
    } else if figure("handSize") > figure("queues") {
        invalid("handSize", "should not be greater than queues");
    } else if entropy(figure("queues"), figure("handSize")) > ENTROPY_LIMIT {
        let detail = format!(
            "required entropy bits of deckSize {} and handSize {} should not be greater than {ENTROPY_LIMIT}",
            figure("queues"),
            figure("handSize")
        );
        invalid("handSize", &detail);
    }
}

/// Bits that dealing a hand takes: as many as there are ways to deal it.
fn entropy(queues: i64, hand: i64) -> i64 {
    // A hand of so many from two queues or more is over the limit already.
    let cards = hand.min(ENTROPY_LIMIT + 2);
    let bits: f64 = (0..cards).map(|card| ((queues - card).max(1) as f64).log2()).sum();
    bits.ceil() as i64
}

fn schema(schema: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = &schema["spec"];
    let precedence = int(spec, "/matchingPrecedence").unwrap_or_default();
    let field = "spec.matchingPrecedence";
    if precedence <= 0 {
        errors.push(FieldError::invalid(field, &precedence.into(), "must be a positive value"));
    } else if precedence > PRECEDENCE_LIMIT {
        let detail = format!("must not be greater than {PRECEDENCE_LIMIT}");
        errors.push(FieldError::invalid(field, &precedence.into(), detail));
    } else if precedence == 1 && schema["metadata"]["name"] != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(FieldError::invalid(field, &precedence.into(), detail));
    }
    if text(spec, "/priorityLevelConfiguration/name").is_empty() {
        let detail = "must reference a priority level";
        errors.push(FieldError::required("spec.priorityLevelConfiguration.name", detail));
    }
    if let Some(method) = spec["distinguisherMethod"]["type"].as_str()
        && !["ByNamespace", "ByUser"].contains(&method)
    {
        let field = "spec.distinguisherMethod.type";
        errors.push(FieldError::not_supported(field, method, &["ByNamespace", "ByUser"]));
    }
    for (index, rule) in list(spec, "/rules").iter().enumerate() {
        policy(rule, &format!("spec.rules[{index}]"), &mut errors);
    }
    errors
}

fn policy(rule: &Value, at: &str, errors: &mut Errors) {
    if list(rule, "/subjects").is_empty() {
        errors
            .push(FieldError::required(format!("{at}.subjects"), "subjects must contain at least one value"));
    }
    let (resources, paths) = (list(rule, "/resourceRules"), list(rule, "/nonResourceRules"));
    if resources.is_empty() && paths.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(at, detail));
    }
    for (index, subject) in list(rule, "/subjects").iter().enumerate() {
        let (kind, at) = (text(subject, "/kind"), format!("{at}.subjects[{index}]"));
        let field = match kind {
            "User" => "user",
            "Group" => "group",
            "ServiceAccount" => "serviceAccount",
            other => {
                let known = ["Group", "ServiceAccount", "User"];
                errors.push(FieldError::not_supported(format!("{at}.kind"), other, &known));
                continue;
            }
        };
        if text(subject, &format!("/{field}/name")).is_empty() {
            errors.push(FieldError::required(format!("{at}.{field}.name"), ""));
        }
    }
    let mut needed = |object: &Value, at: String, keys: &[&str]| {
        for key in keys.iter().filter(|key| list(object, &format!("/{key}")).is_empty()) {
            errors.push(FieldError::required(format!("{at}.{key}"), ""));
        }
    };
    for (index, resource) in resources.iter().enumerate() {
        needed(resource, format!("{at}.resourceRules[{index}]"), &["verbs", "apiGroups", "resources"]);
    }
    for (index, path) in paths.iter().enumerate() {
        needed(path, format!("{at}.nonResourceRules[{index}]"), &["verbs", "nonResourceURLs"]);
    }
    for (index, resource) in resources.iter().enumerate() {
        if resource["clusterScope"] != true && list(resource, "/namespaces").is_empty() {
            let detail = "resource rules that are not cluster scoped must supply at least one namespace";
            errors.push(FieldError::required(format!("{at}.resourceRules[{index}].namespaces"), detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: &Kind, name: &str, spec: Value, expected: &[&str]) {
        let mut object = json!({"metadata": {"name": name}, "spec": spec});
        (kind.default)(&mut object);
        let fields: Vec<String> = (kind.validate)(&object).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, expected, "{object}");
    }

    #[test]
    fn a_level_is_exempt_or_limited() {
        let queue =
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}});
        check(&PRIORITY_LEVEL, "a", queue.clone(), &[]);
        check(&PRIORITY_LEVEL, "a", json!({"type": "Limited"}), &["spec.limited"]);
        check(&PRIORITY_LEVEL, "a", json!({"type": "Exempt"}), &["spec.type"]);
        check(&PRIORITY_LEVEL, "exempt", json!({"type": "Exempt"}), &[]);
        check(&PRIORITY_LEVEL, "catch-all", json!({"type": "Exempt"}), &["spec.type"]);
        let mut hand = queue;
        hand["limited"]["limitResponse"]["queuing"] = json!({"queues": 2, "handSize": 3});
        check(&PRIORITY_LEVEL, "a", hand.clone(), &["spec.limited.limitResponse.queuing.handSize"]);
        hand["limited"]["limitResponse"]["queuing"] = json!({"queues": 4096, "handSize": 8});
        check(&PRIORITY_LEVEL, "a", hand, &["spec.limited.limitResponse.queuing.handSize"]);
        let none = json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}});
        check(&PRIORITY_LEVEL, "a", none, &["spec.limited.limitResponse.queuing"]);
    }

    #[test]
    fn a_schema_says_who_and_what() {
        let spec = |precedence: i64, rule: Value| json!({"priorityLevelConfiguration": {"name": "x"}, "matchingPrecedence": precedence, "rules": [rule]});
        let subjects = json!([{"kind": "User", "user": {"name": "*"}}]);
        let paths = json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
        let good = json!({"subjects": subjects, "nonResourceRules": paths});
        check(&FLOW_SCHEMA, "a", spec(5, good.clone()), &[]);
        check(&FLOW_SCHEMA, "a", spec(1, good.clone()), &["spec.matchingPrecedence"]);
        check(&FLOW_SCHEMA, "a", spec(10_001, good), &["spec.matchingPrecedence"]);
        check(&FLOW_SCHEMA, "a", spec(5, json!({"subjects": subjects})), &["spec.rules[0]"]);
        let resource = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        let rule = json!({"subjects": [{"kind": "Robot"}], "resourceRules": resource});
        let wrong = ["spec.rules[0].subjects[0].kind", "spec.rules[0].resourceRules[0].namespaces"];
        check(&FLOW_SCHEMA, "a", spec(5, rule), &wrong);
    }
}
