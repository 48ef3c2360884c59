//! LimitRange: what single Pods, containers and claims of a namespace may ask for, and do if they say nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::role::CREATED_AT;
use crate::{
    access::{each, ensure, entries, has, list, set, text},
    field::FieldError,
    kind::{Column, Kind},
    quantity::Quantity,
    resource_names,
    table::NAME,
    validate::{Errors, names, quantity},
};

pub static KIND: Kind = Kind {
    short_names: &["limits"],
    default: defaults,
    validate,
    columns: COLUMNS,
    ..Kind::namespaced("", "v1", "LimitRange", "limitranges", "limitrange", "io.k8s.api.core.v1.LimitRange")
};

const COLUMNS: &[Column] = &[NAME, CREATED_AT];

/// For containers a maximum is the default limit, and that the default request.
fn defaults(range: &mut Value) {
    each(range, "/spec/limits", |limit| {
        if text(limit, "/type") != "Container" {
            return;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let source = limit.get(from).cloned().unwrap_or_else(|| json!({}));
            let Some(target) = ensure(limit, to) else { continue };
            for (name, amount) in source.as_object().into_iter().flatten() {
                if target.get(name).is_none() {
                    set(target, name, amount.clone());
                }
            }
        }
    });
}

fn validate(range: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for (index, limit) in list(range, "/spec/limits").iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = text(limit, "/type");
        kind_of(kind, &format!("{path}.type"), &mut errors);
        if seen.contains(&kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), &kind.into()));
        }
        seen.push(kind);
        one(limit, kind, &path, &mut errors);
    }
    errors
}

fn kind_of(kind: &str, path: &str, errors: &mut Errors) {
    let wrong = names::qualified(kind);
    let known = kind.contains('/') || matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
    if wrong.is_empty() && !known {
        errors.push(FieldError::invalid(
            path,
            &kind.into(),
            "must be a standard limit type or fully qualified",
        ));
    }
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, &kind.into(), why)));
}

fn one(limit: &Value, kind: &str, path: &str, errors: &mut Errors) {
    let mut amounts: BTreeMap<&str, BTreeMap<&str, Quantity>> = BTreeMap::new();
    for key in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let is_default = key.starts_with("default");
        if kind == "Pod" && is_default {
            if entries(limit, &format!("/{key}")).next().is_some() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
            }
            continue;
        }
        let read = amounts.entry(key).or_default();
        for (name, amount) in entries(limit, &format!("/{key}")) {
            let at = format!("{path}.{key}[{name}]");
            match kind {
                "Pod" | "Container" => resource_names::of_containers(name, &at, errors),
                _ => resource_names::any(name, &at, errors),
            }
            read.extend(quantity(amount, &at, errors).map(|amount| (name.as_str(), amount)));
        }
    }
    if kind == "PersistentVolumeClaim" && !has(limit, "/min/storage") && !has(limit, "/max/storage") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(format!("{path}.limits"), detail));
    }
    let all: BTreeSet<&str> = amounts.values().flat_map(|amounts| amounts.keys().copied()).collect();
    for name in all {
        let of = |key: &str| amounts.get(key).and_then(|amounts| amounts.get(name)).copied();
        let bounds = Bounds { name, path, of: &of };
        bounds.ordered(errors);
        bounds.ratio(errors);
    }
}

/// All that is said of one resource.
struct Bounds<'a> {
    name: &'a str,
    path: &'a str,
    of: &'a dyn Fn(&str) -> Option<Quantity>,
}

impl Bounds<'_> {
    fn wrong(&self, key: &str, value: Quantity, detail: String) -> FieldError {
        FieldError::invalid(format!("{}.{key}[{}]", self.path, self.name), &value.to_string().into(), detail)
    }

    /// The smaller one, the greater one, where an error stands and with which of the two.
    fn ordered(&self, errors: &mut Errors) {
        const RULES: [(&str, &str, &str, &str, &str, bool); 6] = [
            ("min", "max", "min", "min value", "max value", true),
            ("min", "defaultRequest", "defaultRequest", "min value", "default request value", false),
            ("defaultRequest", "max", "defaultRequest", "default request value", "max value", true),
            (
                "defaultRequest",
                "default",
                "defaultRequest",
                "default request value",
                "default limit value",
                true,
            ),
            ("min", "default", "default", "min value", "default value", true),
            ("default", "max", "default", "default value", "max value", false),
        ];
        for (small, great, at, small_word, great_word, with_small) in RULES {
            let (Some(low), Some(high)) = ((self.of)(small), (self.of)(great)) else { continue };
            if low > high {
                let detail = format!("{small_word} {low} is greater than {great_word} {high}");
                errors.push(self.wrong(at, if with_small { low } else { high }, detail));
            }
        }
        if let (Some(limit), Some(request)) = ((self.of)("default"), (self.of)("defaultRequest"))
            && !resource_names::may_be_overcommitted(self.name)
            && limit != request
        {
            let detail = format!(
                "default value {limit} must equal to defaultRequest value {request} in {}",
                self.name
            );
            errors.push(self.wrong("defaultRequest", request, detail));
        }
    }

    fn ratio(&self, errors: &mut Errors) {
        let Some(ratio) = (self.of)("maxLimitRequestRatio") else { return };
        if ratio < Quantity::from_units(1) {
            errors.push(self.wrong("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1")));
        }
        if let (Some(min), Some(max)) = ((self.of)("min"), (self.of)("max")) {
            let most = max.as_f64() / min.as_f64();
            if ratio.as_f64() > most {
                let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
                errors.push(self.wrong("maxLimitRequestRatio", ratio, detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::{json_of, rows};

    fn told(limits: Value) -> Vec<String> {
        let mut range = json!({ "spec": { "limits": limits } });
        defaults(&mut range);
        validate(&range).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_maximum_is_the_default() {
        let mut range = json!({ "spec": { "limits": [{ "type": "Container", "max": { "cpu": "2" }, "min": { "memory": "1Mi" } }] } });
        defaults(&mut range);
        let limit = &range["spec"]["limits"][0];
        assert_eq!(limit["default"], json!({ "cpu": "2" }));
        assert_eq!(limit["defaultRequest"], json!({ "cpu": "2", "memory": "1Mi" }));
    }

    /// Limits, and what is said of them.
    const CONTRADICTIONS: &str = r#"
[{ "type": "Cow" }] => spec.limits[0].type: Invalid value: "Cow": must be a standard limit type or fully qualified
[{ "type": "Pod" }, { "type": "Pod" }] => spec.limits[1].type: Duplicate value: "Pod"
[{ "type": "Pod", "default": { "cpu": "1" } }] => spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'
[{ "type": "PersistentVolumeClaim" }] => spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided
[{ "type": "Pod", "max": { "cpu": "1" }, "min": { "cpu": "2" } }] => spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1
[{ "type": "Container", "default": { "cpu": "1" }, "defaultRequest": { "cpu": "2" } }] => spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1
[{ "type": "Container", "default": { "example.com/gpu": "2" }, "defaultRequest": { "example.com/gpu": "1" } }] => spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in example.com/gpu
[{ "type": "Pod", "maxLimitRequestRatio": { "cpu": "500m" } }] => spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1
[{ "type": "Pod", "min": { "cpu": "1" }, "max": { "cpu": "2" }, "maxLimitRequestRatio": { "cpu": "3" } }] => spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000
[{ "type": "Container", "max": { "storage": "1" } }] => spec.limits[0].max[storage]: Invalid value: "storage": must be a standard resource for containers | spec.limits[0].default[storage]: Invalid value: "storage": must be a standard resource for containers | spec.limits[0].defaultRequest[storage]: Invalid value: "storage": must be a standard resource for containers
"#;

    #[test]
    fn what_contradicts_itself_is_named() {
        let good = json!([
            { "type": "Container", "max": { "cpu": "2" }, "min": { "cpu": "1" }, "default": { "cpu": "2" },
              "defaultRequest": { "cpu": "1" }, "maxLimitRequestRatio": { "cpu": "2" } },
            { "type": "Pod", "max": { "memory": "1Gi" } },
            { "type": "PersistentVolumeClaim", "max": { "storage": "1Gi" } },
        ]);
        assert_eq!(told(good), [""; 0]);
        for (limits, expected) in rows(CONTRADICTIONS) {
            assert_eq!(told(json_of(limits)), expected.split(" | ").collect::<Vec<_>>(), "{limits}");
        }
    }
}
