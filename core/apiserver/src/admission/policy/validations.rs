//! What a policy's expressions say about one write.

use kube_cel::cel::Value as Cel;

use super::compiled::{Compiled, Policy, Validation};
use crate::{
    admission::expressions::{all_hold, evaluation},
    cel::{CelError, Scope},
};

/// The longest message that an expression may make.
const LONGEST_MESSAGE: usize = 5 * 1024;

#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    pub denials: Vec<Denied>,
    pub annotations: Vec<(String, String)>,
    /// Annotations that could not be made: refused whatever the binding's actions are.
    pub failures: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Denied {
    /// Of the validation.
    pub index: usize,
    pub message: String,
    pub reason: String,
}

/// `scope` has all values, the authorizer included.
pub fn verdict(policy: &Policy, scope: &Scope<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    match all_hold(&policy.conditions, scope) {
        Ok(true) => {}
        Ok(false) => return verdict,
        Err(why) => {
            if !policy.ignores_failure() {
                verdict.denials.push(Denied { index: 0, message: why, reason: String::new() });
            }
            return verdict;
        }
    }
    for (index, validation) in policy.validations.iter().enumerate() {
        let denied = match holds(&validation.expression, scope) {
            Ok(true) => None,
            Ok(false) => Some((message(validation, scope), validation.reason.clone())),
            Err(_) if policy.ignores_failure() => None,
            Err(why) => Some((why.to_string(), String::new())),
        };
        verdict.denials.extend(denied.map(|(message, reason)| Denied { index, message, reason }));
    }
    for (key, expression) in &policy.audit_annotations {
        match annotation(expression, scope) {
            Ok(None) => {}
            Ok(Some(value)) => verdict.annotations.push((key.clone(), value)),
            Err(_) if policy.ignores_failure() => {}
            Err(why) => verdict.failures.push(why),
        }
    }
    verdict
}

/// Anything but `true` is a denial.
fn holds(expression: &Compiled, scope: &Scope<'_>) -> Result<bool, CelError> {
    Ok(matches!(value(expression, scope)?, Cel::Bool(true)))
}

pub fn value(expression: &Compiled, scope: &Scope<'_>) -> Result<Cel, CelError> {
    let expression = expression.as_ref().map_err(Clone::clone)?;
    expression.evaluate(scope).map_err(|error| evaluation(expression, &error))
}

fn message(validation: &Validation, scope: &Scope<'_>) -> String {
    let made = validation.message_expression.as_ref().and_then(|expression| match value(expression, scope) {
        Ok(Cel::String(text)) => Some(text.trim().to_owned()),
        _ => None,
    });
    let usable = |text: &String| !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
    let fixed = || Some(validation.message.clone()).filter(|message| !message.is_empty());
    made.filter(usable).or_else(fixed).unwrap_or_else(|| format!("failed expression: {}", validation.source))
}

fn annotation(expression: &Compiled, scope: &Scope<'_>) -> Result<Option<String>, String> {
    match value(expression, scope).map_err(|error| error.to_string())? {
        Cel::Null => Ok(None),
        Cel::String(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        other => {
            let source = expression.as_ref().map_or("", |expression| expression.source());
            Err(format!(
                "valueExpression '{source}' resulted in unsupported return type: {}. \
                 Return type must be either string or null.",
                other.type_of()
            ))
        }
    }
}
