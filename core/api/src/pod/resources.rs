//! What containers and Pods ask for: amounts, limits, claims for devices.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    access::{entries, has, list, present, text},
    amounts,
    field::FieldError,
    quantity::Quantity,
    resource_names::{self, may_be_overcommitted},
    validate::{Errors, names, obey, quantity},
};

const HUGE_PAGES: &str = "hugepages-";

/// Requests and limits of a container at `path`, defaulted.
pub fn of_container(resources: &Value, claims: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    amounts_of(resources, resource_names::of_containers, path, errors);
    let wanted = list(resources, "/claims");
    let key = |claim: &Value| (text(claim, "/name").to_owned(), text(claim, "/request").to_owned());
    for (index, claim) in wanted.iter().enumerate() {
        let ((name, request), field) = (key(claim), format!("{path}.claims[{index}]"));
        if name.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        if !request.is_empty() {
            obey(names::dns_label, &request, &format!("{field}.request"), errors);
        }
        // All of a claim, and one request of it, are the same thing twice.
        let overlaps = |other: &Value| {
            let (its_name, its_request) = key(other);
            its_name == name && (its_request == request || its_request.is_empty() || request.is_empty())
        };
        if wanted[..index].iter().any(overlaps) {
            errors.push(FieldError::duplicate(&*field, &name.as_str().into()));
        }
        if !claims.contains(name.as_str()) {
            let mut error = FieldError::not_found(field, &name);
            error.message.push_str(": must be one of the names in pod.spec.resourceClaims");
            error.message.push_str(&if claims.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", Vec::from_iter(claims.iter().copied()).join(", "))
            });
            errors.push(error);
        }
    }
}

type NameRule = fn(&str, &str, &mut Errors);

fn amounts_of(resources: &Value, name_rule: NameRule, path: &str, errors: &mut Errors) {
    let (mut compute, mut huge) = (false, false);
    for kind in ["limits", "requests"] {
        for (name, amount) in entries(resources, &format!("/{kind}")) {
            let field = format!("{path}.{kind}[{name}]");
            name_rule(name, &field, errors);
            let parsed = quantity(amount, &field, errors);
            resource_names::whole(name, parsed, &field, errors);
            compute |= matches!(name.as_str(), "cpu" | "memory");
            if let Some(size) = name.strip_prefix(HUGE_PAGES) {
                huge = true;
                pages(size, parsed, &field, errors);
            }
            if kind == "requests"
                && let Some(request) = parsed
            {
                within_limit(name, request, resources, path, errors);
            }
        }
    }
    if huge && !compute {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn within_limit(name: &str, request: Quantity, resources: &Value, path: &str, errors: &mut Errors) {
    let limit = resources.get("limits").and_then(|limits| limits.get(name)).and_then(Value::as_str);
    let Some(limit) = limit else {
        if !may_be_overcommitted(name) {
            let detail = "Limit must be set for non overcommitable resources";
            errors.push(FieldError::required(format!("{path}.limits"), detail));
        }
        return;
    };
    let Ok(limit) = limit.parse::<Quantity>() else { return };
    let detail = if request != limit && !may_be_overcommitted(name) {
        format!("must be equal to {name} limit of {limit}")
    } else if request > limit {
        format!("must be less than or equal to {name} limit of {limit}")
    } else {
        return;
    };
    errors.push(FieldError::invalid(format!("{path}.requests"), &request.to_string().into(), detail));
}

/// So many whole pages.
fn pages(size: &str, amount: Option<Quantity>, field: &str, errors: &mut Errors) {
    let (Some(amount), Ok(size)) = (amount, size.parse::<Quantity>()) else { return };
    let page = size.units();
    if page > 0 && (!amount.is_whole() || amount.units() % page != 0) {
        let detail = format!("{amount} is not positive integer multiple of {HUGE_PAGES}{size}");
        errors.push(FieldError::invalid(field, &amount.to_string().into(), detail));
    }
}

/// What a Pod bounds as a whole: not less than its containers ask for.
pub fn of_pod(spec: &Value, path: &str, errors: &mut Errors) {
    let Some(resources) = present(spec, "/resources") else { return };
    if has(resources, "/claims") {
        let detail = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(format!("{path}.claims"), detail));
    }
    amounts_of(resources, pod_level, path, errors);
    let mut alone = spec.clone();
    crate::access::remove(&mut alone, "resources");
    let given = amounts::read(resources, "/requests");
    for (name, sum) in amounts::of_containers(&alone, "requests") {
        let of_pod = given.get(&name).copied().unwrap_or(Quantity::ZERO);
        if is_pod_level(&name) && sum > of_pod {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(
                format!("{path}.requests[{name}]"),
                &of_pod.to_string().into(),
                detail,
            ));
        }
    }
    let limits = amounts::read(resources, "/limits");
    for (index, container) in list(spec, "/containers").iter().enumerate() {
        for (name, limit) in amounts::read(container, "/resources/limits") {
            if let Some(most) = limits.get(&name).filter(|most| limit > **most) {
                let field = format!("{path}.containers[{index}][{name}].limits");
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(FieldError::invalid(field, &limit.to_string().into(), detail));
            }
        }
    }
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with(HUGE_PAGES)
}

fn pod_level(name: &str, field: &str, errors: &mut Errors) {
    resource_names::any(name, field, errors);
    if !is_pod_level(name) {
        errors.push(FieldError::not_supported(field, name, &["cpu", "hugepages-", "memory"]));
    }
}

/// Whether a container starts anew when its amounts change.
pub fn resize_policy(container: &Value, spec: &Value, path: &str, errors: &mut Errors) {
    let policies = list(container, "/resizePolicy");
    let names: Vec<&str> = policies.iter().map(|policy| text(policy, "/resourceName")).collect();
    for (index, policy) in policies.iter().enumerate() {
        if names[..index].contains(&names[index]) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &names[index].into()));
        }
        let restart = text(policy, "/restartPolicy");
        let forms: [(&str, &[&str]); 2] =
            [(names[index], &["cpu", "memory"]), (restart, &["NotRequired", "RestartContainer"])];
        for (value, allowed) in forms {
            match value {
                "" => errors.push(FieldError::required(path, "")),
                value if !allowed.contains(&value) => {
                    errors.push(FieldError::not_supported(path, value, allowed));
                }
                _ => {}
            }
        }
        if text(spec, "/restartPolicy") == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, &restart.into(), detail));
        }
    }
}

/// The Pod's names for claims. Gives them, for containers to refer to.
pub fn claims<'a>(claims: &'a [Value], path: &str, errors: &mut Errors) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(claim, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !known.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
        } else {
            obey(names::dns_label, name, &format!("{path}.name"), errors);
        }
        let kinds = ["resourceClaimName", "resourceClaimTemplateName"];
        let given: Vec<&str> = kinds.into_iter().filter(|kind| has(claim, &format!("/{kind}"))).collect();
        match given.as_slice() {
            [] => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(FieldError::invalid(&*path, claim, detail));
            }
            [_] => {}
            _ => {
                let detail =
                    "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(FieldError::invalid(&*path, claim, detail));
            }
        }
        for kind in given {
            obey(names::dns_subdomain, text(claim, &format!("/{kind}")), &format!("{path}.{kind}"), errors);
        }
    }
    known
}
