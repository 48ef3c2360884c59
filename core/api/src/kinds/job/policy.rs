//! When a Job fails or succeeds before all its Pods have: rules over exit codes, conditions, indexes.

use serde_json::Value;

use crate::{
    access::{find, has, int, list, present, text},
    field::FieldError,
    validate::{Errors, labels},
};

const MOST_RULES: usize = 20;
const MOST_VALUES: usize = 255;
const LONGEST_INDEXES: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// `podFailurePolicy` of the Job's spec at `path`.
pub fn failure(spec: &Value, path: &str, errors: &mut Errors) {
    let rules = list(spec, "/podFailurePolicy/rules");
    let path = format!("{path}.podFailurePolicy.rules");
    if rules.len() > MOST_RULES {
        errors.push(FieldError::too_many(&*path, rules.len(), MOST_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (action, field) = (text(rule, "/action"), format!("{path}.action"));
        match action {
            "" => errors
                .push(FieldError::required(field, &format!("valid values: {ACTIONS:?}").replace(',', ""))),
            "FailIndex" if !has(spec, "/backoffLimitPerIndex") => {
                let detail = "requires the backoffLimitPerIndex to be set";
                errors.push(FieldError::invalid(field, &action.into(), detail));
            }
            known if ACTIONS.contains(&known) => {}
            other => errors.push(FieldError::not_supported(field, other, &ACTIONS)),
        }
        let (codes, conditions) = (present(rule, "/onExitCodes"), list(rule, "/onPodConditions"));
        if let Some(codes) = codes {
            exit_codes(codes, spec, &format!("{path}.onExitCodes"), errors);
        }
        on_conditions(conditions, &format!("{path}.onPodConditions"), errors);
        let detail = match (codes, conditions) {
            (Some(_), [_, ..]) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (None, []) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(FieldError::unfit(path, detail));
    }
}

fn on_conditions(conditions: &[Value], path: &str, errors: &mut Errors) {
    if conditions.len() > MOST_RULES {
        errors.push(FieldError::too_many(path, conditions.len(), MOST_RULES));
    }
    for (index, pattern) in conditions.iter().enumerate() {
        let path = format!("{path}[{index}]");
        labels::key_of(text(pattern, "/type"), &format!("{path}.type"), errors);
        let (status, known) = (text(pattern, "/status"), ["False", "True", "Unknown"]);
        if !known.contains(&status) {
            errors.push(FieldError::not_supported(format!("{path}.status"), status, &known));
        }
    }
}

fn exit_codes(codes: &Value, spec: &Value, path: &str, errors: &mut Errors) {
    let operator = text(codes, "/operator");
    match operator {
        "In" | "NotIn" => {}
        "" => {
            errors.push(FieldError::required(format!("{path}.operator"), "valid values: [\"In\" \"NotIn\"]"));
        }
        other => errors.push(FieldError::not_supported(format!("{path}.operator"), other, &["In", "NotIn"])),
    }
    if let Some(name) = present(codes, "/containerName") {
        let lists = ["/template/spec/containers", "/template/spec/initContainers"];
        let text = name.as_str().unwrap_or_default();
        if !lists.iter().any(|at| find(list(spec, at), "name", text).is_some()) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.push(FieldError::invalid(format!("{path}.containerName"), name, detail));
        }
    }
    let (values, field) = (list(codes, "/values"), format!("{path}.values"));
    if values.is_empty() {
        errors.push(FieldError::invalid(&*field, &values.into(), "at least one value is required"));
    } else if values.len() > MOST_VALUES {
        errors.push(FieldError::too_many(&*field, values.len(), MOST_VALUES));
    }
    for (index, value) in values.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if operator == "In" && value.as_i64() == Some(0) {
            errors.push(FieldError::invalid(&*field, value, "must not be 0 for the In operator"));
        }
        if values[..index].contains(value) {
            errors.push(FieldError::duplicate(field, value));
        }
    }
    if !values.is_sorted_by_key(|value| value.as_i64().unwrap_or_default()) {
        errors.push(FieldError::invalid(field, &values.into(), "must be ordered"));
    }
}

/// `successPolicy` of the Job's spec at `path`.
pub fn success(spec: &Value, path: &str, errors: &mut Errors) {
    let Some(policy) = present(spec, "/successPolicy") else { return };
    let path = format!("{path}.successPolicy");
    if text(spec, "/completionMode") != "Indexed" {
        return errors.push(FieldError::invalid(path, policy, "requires indexed completion mode"));
    }
    let (rules, field) = (list(policy, "/rules"), format!("{path}.rules"));
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(&*field, detail));
    } else if rules.len() > MOST_RULES {
        errors.push(FieldError::too_many(&*field, rules.len(), MOST_RULES));
    }
    let completions = int(spec, "/completions").unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, completions, &format!("{field}[{index}]"), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &str, errors: &mut Errors) {
    let (indexes, count) = (present(rule, "/succeededIndexes"), int(rule, "/succeededCount"));
    if indexes.is_none() && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(path, detail));
    }
    let mut total = None;
    if let Some(given) = indexes {
        let (text, field) = (given.as_str().unwrap_or_default(), format!("{path}.succeededIndexes"));
        if text.len() > LONGEST_INDEXES {
            errors.push(FieldError::too_long(&*field, LONGEST_INDEXES));
        }
        match indexes_of(text, completions) {
            Ok(number) => total = Some(number),
            Err(why) => {
                let detail = format!("error parsing succeededIndexes: {why}");
                errors.push(FieldError::invalid(field, given, detail));
            }
        }
    }
    let Some(count) = count else { return };
    let mut refuse = |detail: String| {
        errors.push(FieldError::invalid(format!("{path}.succeededCount"), &count.into(), detail));
    };
    if count < 0 {
        refuse("must be greater than or equal to 0".into());
    }
    if count > completions {
        refuse(format!("must be less than or equal to {completions} (the number of specified completions)"));
    }
    if let Some(total) = total.filter(|total| count > *total) {
        refuse(format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        ));
    }
}

/// How many indexes `0,2-4` names; they ascend, and all are below `completions`.
fn indexes_of(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, -1);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let number = |text: &str| {
            text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let (first, end) = match part.split_once('-') {
            Some((first, end)) => (number(first)?, number(end)?),
            None => (number(part)?, number(part)?),
        };
        if first <= last {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if part.contains('-') && end <= first {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        if end >= completions {
            return Err(format!("too large index: {part:?}"));
        }
        total += end - first + 1;
        last = end;
    }
    Ok(total)
}
