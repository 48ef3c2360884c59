//! One device of a slice: its attributes, capacities, counters, taints.

use serde_json::Value;

use super::{each_up_to, names, slice, taint, unique};
use crate::{
    access::{entries, flag, has, list, present, text},
    field::FieldError,
    quantity::Quantity,
    validate::{Errors, labels},
};

const MOST_PROPERTIES: usize = 32;
const MOST_VALUES: usize = 48;
const MOST_COUNTERS: usize = 32;
const MOST_CONSUMPTIONS: usize = 2;
const MOST_CONDITIONS: usize = 4;
const MOST_OPTIONS: usize = 10;
const LONGEST_VALUE: usize = 64;
const ONE_PLACE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
    `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
const NO_PLACE: &str = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is \
    set to true in the ResourceSlice spec";

pub fn validate(device: &Value, own_place: bool, path: &str, errors: &mut Errors) {
    names::label(text(device, "/name"), &format!("{path}.name"), errors);
    properties(device, path, errors);
    let shared = flag(device, "/allowMultipleAllocations");
    for (name, capacity) in entries(device, "/capacity") {
        let path = format!("{path}.capacity");
        names::qualified(name, &path, errors);
        policy(capacity, shared, &format!("{path}[{name}].requestPolicy"), errors);
    }
    each_up_to(device, "taints", path, taint::MOST, errors, taint::taint);
    each_up_to(device, "consumesCounters", path, MOST_CONSUMPTIONS, errors, |used, path, errors| {
        names::label(text(used, "/counterSet"), &format!("{path}.counterSet"), errors);
        counters(used, path, errors);
    });
    unique(device, "consumesCounters", "counterSet", path, errors);
    let places = ["nodeName", "nodeSelector", "allNodes"];
    if own_place {
        slice::place(device, path, &places, ONE_PLACE, errors);
    } else if places.iter().any(|key| has(device, &format!("/{key}"))) {
        errors.push(FieldError::invalid(path, &Value::Null, NO_PLACE));
    }
    binding(device, path, errors);
}

fn properties(device: &Value, path: &str, errors: &mut Errors) {
    let count = entries(device, "/attributes").count() + entries(device, "/capacity").count();
    if count > MOST_PROPERTIES {
        let detail =
            format!("the total number of attributes and capacities must not exceed {MOST_PROPERTIES}");
        errors.push(FieldError::invalid(path, &count.into(), detail));
    }
    let in_lists = |attribute: &Value| {
        let all: usize =
            ["/ints", "/bools", "/strings", "/versions"].iter().map(|at| list(attribute, at).len()).sum();
        all.max(1)
    };
    let values: usize = entries(device, "/attributes").map(|(_, attribute)| in_lists(attribute)).sum();
    if values > MOST_VALUES {
        let detail = format!("the total number of attribute values must not exceed {MOST_VALUES}");
        errors.push(FieldError::invalid(path, &values.into(), detail));
    }
    for (name, given) in entries(device, "/attributes") {
        let path = format!("{path}.attributes");
        names::qualified(name, &path, errors);
        attribute(given, &format!("{path}[{name}]"), errors);
    }
}

fn attribute(attribute: &Value, path: &str, errors: &mut Errors) {
    let kinds = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| has(attribute, &format!("/{kind}"))).collect();
    if given.len() != 1 {
        let value = if given.is_empty() { "".into() } else { attribute.clone() };
        errors.push(FieldError::invalid(path, &value, "exactly one value must be specified"));
    }
    for kind in given {
        let (value, field) = (&attribute[kind], format!("{path}.{kind}"));
        let texts: Vec<(String, &str)> = match value {
            Value::String(one) => vec![(field, one.as_str())],
            Value::Array(all) if all.is_empty() => {
                errors.push(FieldError::invalid(field, value, "must not be empty if specified"));
                continue;
            }
            Value::Array(all) => all
                .iter()
                .enumerate()
                .filter_map(|(index, one)| Some((format!("{field}[{index}]"), one.as_str()?)))
                .collect(),
            _ => continue,
        };
        for (field, one) in texts {
            if kind.starts_with("version") && !is_semver(one) {
                let detail = "must be a string compatible with semver.org spec 2.0.0";
                errors.push(FieldError::invalid(&*field, &one.into(), detail));
            }
            if one.len() > LONGEST_VALUE {
                errors.push(FieldError::too_long(field, LONGEST_VALUE));
            }
        }
    }
}

/// `1.2.3-rc.1+build.5`
fn is_semver(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| number(part))
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// `counters` of a set or of a device that uses one.
pub fn counters(object: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.counters");
    let count = entries(object, "/counters").count();
    if count == 0 {
        errors.push(FieldError::required(path, ""));
    } else if count > MOST_COUNTERS {
        errors.push(FieldError::too_many(path, count, MOST_COUNTERS));
    } else {
        entries(object, "/counters").for_each(|(name, _)| names::label(name, &path, errors));
    }
}

/// The amounts of a capacity that claims may take.
fn policy(capacity: &Value, shared: bool, path: &str, errors: &mut Errors) {
    let Some(policy) = present(capacity, "/requestPolicy") else { return };
    let amount = |value: Option<&Value>| value?.as_str()?.parse::<Quantity>().ok();
    let (values, range) = (list(policy, "/validValues"), present(policy, "/validRange"));
    if !shared {
        return errors.push(FieldError::forbidden(path, "allowMultipleAllocations must be true"));
    }
    if !values.is_empty() && range.is_some() {
        let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the \
                      same time";
        return errors.push(FieldError::forbidden(path, detail));
    }
    let which = if values.is_empty() { "validRange" } else { "validValues" };
    let Some(normal) = amount(policy.get("default")) else {
        if !values.is_empty() || range.is_some() {
            let detail = format!("required when {which} is defined");
            errors.push(FieldError::required(format!("{path}.default"), &detail));
        }
        return;
    };
    let most = amount(capacity.get("value")).unwrap_or(Quantity::ZERO);
    let path = format!("{path}.{which}");
    if !values.is_empty() {
        options(values, normal, most, &path, errors);
    } else if let Some(range) = range {
        bounds([amount(range.get("min")), amount(range.get("max"))], normal, most, &path, errors);
        if amount(range.get("step")).is_some_and(|step| step.is_zero() || step.is_negative()) {
            let detail = "must be greater than zero";
            errors.push(FieldError::invalid(format!("{path}.step"), &range["step"], detail));
        }
    }
}

fn options(values: &[Value], normal: Quantity, most: Quantity, path: &str, errors: &mut Errors) {
    if values.len() > MOST_OPTIONS {
        return errors.push(FieldError::too_many(path, values.len(), MOST_OPTIONS));
    }
    let parsed: Vec<Option<Quantity>> =
        values.iter().map(|v| v.as_str().unwrap_or_default().parse().ok()).collect();
    for (index, pair) in parsed.windows(2).enumerate().filter(|(_, pair)| pair[0] > pair[1]) {
        let _ = pair;
        let field = format!("{path}[{}]", index + 1);
        errors.push(FieldError::invalid(
            field,
            &values[index + 1],
            "values must be sorted in ascending order",
        ));
    }
    for (index, value) in parsed.iter().enumerate() {
        let field = format!("{path}[{index}]");
        if value.is_some_and(|value| value > most) {
            let detail = format!("option is larger than capacity value: {most}");
            errors.push(FieldError::invalid(&*field, &values[index], detail));
        }
        if parsed[..index].contains(value) {
            errors.push(FieldError::duplicate(field, &values[index]));
        }
    }
    if !parsed.contains(&Some(normal)) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.push(FieldError::invalid(path, &normal.to_string().into(), detail));
    }
}

fn bounds(range: [Option<Quantity>; 2], normal: Quantity, most: Quantity, path: &str, errors: &mut Errors) {
    let [low, high] = range;
    let Some(low) = low else {
        let detail = "required when validRange is defined";
        return errors.push(FieldError::required(format!("{path}.min"), detail));
    };
    let mut refuse = |key: &str, value: Quantity, detail: String| {
        errors.push(FieldError::invalid(format!("{path}.{key}"), &value.to_string().into(), detail));
    };
    if low > most {
        refuse("min", low, format!("min is larger than capacity value: {most}"));
    }
    if normal < low {
        refuse("default", normal, format!("default is less than min: {low}"));
    }
    let Some(high) = high else { return };
    if low > high {
        refuse("max", low, format!("min is larger than max: {high}"));
    }
    if high > most {
        refuse("max", high, format!("max is larger than capacity value: {most}"));
    }
    if normal > high {
        refuse("default", normal, format!("default is more than max: {high}"));
    }
}

/// Conditions that must be met before a Pod is bound to the device's node.
pub fn binding(device: &Value, path: &str, errors: &mut Errors) {
    let keys = ["bindingConditions", "bindingFailureConditions"];
    for key in keys {
        each_up_to(device, key, path, MOST_CONDITIONS, errors, |condition, path, errors| {
            labels::key_of(condition.as_str().unwrap_or_default(), path, errors);
        });
        let all = list(device, &format!("/{key}"));
        for (index, one) in all.iter().enumerate().filter(|(index, one)| all[..*index].contains(one)) {
            errors.push(FieldError::duplicate(format!("{path}.{key}[{index}]"), one));
        }
    }
    let given = keys.map(|key| !list(device, &format!("/{key}")).is_empty());
    let (missing, other) = match given {
        [false, true] => (keys[0], keys[1]),
        [true, false] => (keys[1], keys[0]),
        _ => return,
    };
    let detail = format!("{missing} are required to use {other}");
    errors.push(FieldError::invalid(format!("{path}.{missing}"), &Value::Array(Vec::new()), detail));
}
