//! Whether requests and limits lie between the bounds of a limit range. Pure.
//!
//! In an update only what changes is looked at: what is stored was right once.

use serde_json::Value;
use tiphys_api::{
    amounts::{self, Amounts},
    quantity::Quantity,
};

use crate::admission::items;

/// Requests and limits of a container, a Pod or a claim.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn of(resources: &Value) -> Self {
        Self { requests: amounts::read(resources, "/requests"), limits: amounts::read(resources, "/limits") }
    }

    fn of_pod(pod: &Value) -> Self {
        let total = |which: &str| amounts::of_containers(&pod["spec"], which);
        Self { requests: total("requests"), limits: total("limits") }
    }

    fn same(&self, other: &Self, name: &str) -> bool {
        self.requests.get(name) == other.requests.get(name) && self.limits.get(name) == other.limits.get(name)
    }
}

pub fn of_containers(limit: &Value, pod: &Value, old: Option<&Value>) -> Vec<String> {
    let mut errors = Vec::new();
    for list in ["containers", "initContainers"] {
        for container in items(&pod["spec"][list]) {
            let before = old.and_then(|old| {
                let mut all = items(&old["spec"][list]);
                all.find(|other| other["name"] == container["name"])
            });
            let before = before.map(|before| Asked::of(&before["resources"]));
            errors.extend(check(limit, &Asked::of(&container["resources"]), before.as_ref()));
        }
    }
    errors
}

pub fn of_pod(limit: &Value, pod: &Value, old: Option<&Value>) -> Vec<String> {
    check(limit, &Asked::of_pod(pod), old.map(Asked::of_pod).as_ref())
}

/// Claims have requests only.
pub fn of_claim(limit: &Value, claim: &Value, old: Option<&Value>) -> Vec<String> {
    let requests = |claim: &Value| amounts::read(claim, "/spec/resources/requests");
    let (new, old) = (requests(claim), old.map(requests).unwrap_or_default());
    let kind = kind(limit);
    let changed = |name: &String| new.get(name).is_none_or(|amount| old.get(name) != Some(amount));
    let mut errors = Vec::new();
    for (name, bound) in amounts::read(limit, "/min").iter().filter(|(name, _)| changed(name)) {
        errors.extend(under(kind, name, *bound, new.get(name), None));
    }
    for (name, bound) in amounts::read(limit, "/max").iter().filter(|(name, _)| changed(name)) {
        match new.get(name) {
            None => {
                errors.push(format!("maximum {name} usage per {kind} is {bound}.  No request is specified"))
            }
            Some(request) if request > bound => {
                errors.push(format!("maximum {name} usage per {kind} is {bound}, but request is {request}"));
            }
            Some(_) => {}
        }
    }
    errors
}

fn check(limit: &Value, asked: &Asked, before: Option<&Asked>) -> Vec<String> {
    let kind = kind(limit);
    let changed = |name: &str| before.is_none_or(|before| !asked.same(before, name));
    let mut errors = Vec::new();
    type Check = fn(&str, &str, Quantity, Option<&Quantity>, Option<&Quantity>) -> Option<String>;
    let checks: [(&str, Check); 3] = [("/min", under), ("/max", over), ("/maxLimitRequestRatio", apart)];
    for (field, check) in checks {
        for (name, bound) in amounts::read(limit, field).iter().filter(|(name, _)| changed(name)) {
            errors.extend(check(kind, name, *bound, asked.requests.get(name), asked.limits.get(name)));
        }
    }
    errors
}

fn kind(limit: &Value) -> &str {
    limit["type"].as_str().unwrap_or_default()
}

fn under(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let told = |why: &str| Some(format!("minimum {name} usage per {kind} is {bound}{why}"));
    match (request, limit) {
        (None, _) => told(".  No request is specified"),
        (Some(request), _) if *request < bound => told(&format!(", but request is {request}")),
        (_, Some(limit)) if *limit < bound => told(&format!(", but limit is {limit}")),
        _ => None,
    }
}

fn over(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let told = |why: &str| Some(format!("maximum {name} usage per {kind} is {bound}{why}"));
    match (request, limit) {
        (_, None) => told(".  No limit is specified"),
        (_, Some(limit)) if *limit > bound => told(&format!(", but limit is {limit}")),
        (Some(request), _) if *request > bound => told(&format!(", but request is {request}")),
        _ => None,
    }
}

/// How many times the request a limit may be.
fn apart(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let told =
        |why: &str| Some(format!("{name} max limit to request ratio per {kind} is {bound}, but {why}"));
    let some = |amount: Option<&Quantity>| amount.copied().filter(|amount| !amount.is_zero());
    let Some(request) = some(request) else { return told("no request is specified or request is 0") };
    let Some(limit) = some(limit) else { return told("no limit is specified or limit is 0") };
    if limit.exceeds(request, bound) {
        let ratio = limit.as_f64() / request.as_f64();
        return told(&format!("provided ratio is {ratio:.6}"));
    }
    None
}
