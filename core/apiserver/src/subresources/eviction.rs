//! pods/eviction: a deletion that PodDisruptionBudgets may refuse. `kubectl
//! drain` uses it.
//!
//! A Pod that isn't up costs its budget nothing. Otherwise the budget's status
//! must allow one more disruption; it is taken off there first, so that two
//! evictions never use the same one.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tiphys_api::serve::Body;

use crate::{
    cache::{FieldSelector, Freshness, LabelSelector, ListQuery, Selector},
    context::Context,
    request::{body, info::RequestInfo},
    status::{ApiError, Cause, Details, Result},
    verbs::{delete, deletion},
    write::{
        admit,
        commit::{self, Change, Part},
        decode, metadata,
    },
};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let eviction = body::decode(&ctx.headers, bytes)?;
    let mut eviction = decode::of_kind(ctx, "io.k8s.api.policy.v1.Eviction", eviction)?;
    admit::subresource(ctx, &mut eviction).await?;
    let options = deletion::options(Some(&eviction["deleteOptions"]), &ctx.options)?;
    let pod = commit::load(ctx).await?.object;
    if needs_budget(&pod) {
        for budget in budgets(ctx, &pod).await? {
            if !options.dry_run {
                take(ctx, &budget).await?;
            }
        }
    }
    delete::delete_object(ctx, &options).await?;
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    ctx.answer_value(StatusCode::CREATED, &status)
}

/// A Pod that has ended, hasn't begun, or isn't ready protects nobody.
fn needs_budget(pod: &Value) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
    let going = pod["metadata"]["deletionTimestamp"].is_string();
    let conditions = pod["status"]["conditions"].as_array();
    let ready = conditions
        .is_some_and(|list| list.iter().any(|item| item["type"] == "Ready" && item["status"] == "True"));
    !ended && !going && ready
}

/// Names of the budgets whose selector takes the Pod.
async fn budgets(ctx: &Context, pod: &Value) -> Result<Vec<String>> {
    let Some(resource) = ctx.core.registry.stored("policy", "poddisruptionbudgets") else {
        return Ok(Vec::new());
    };
    let query = ListQuery {
        namespace: Some(ctx.info.namespace.clone()),
        selector: Selector { labels: LabelSelector::default(), fields: FieldSelector::default() },
        freshness: Freshness::MostRecent,
        ..ListQuery::default()
    };
    let found = resource.cache()?.list(&query).await?;
    let mut names = Vec::new();
    for object in found.objects {
        let budget: Value = serde_json::from_slice(&object.json).map_err(ApiError::internal)?;
        if selects(&budget["spec"]["selector"], &pod["metadata"]["labels"]) {
            names.push(metadata::text(&budget, "name").to_owned());
        }
    }
    Ok(names)
}

/// A label selector object against labels; an empty one takes all, none takes nothing.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    if !selector.is_object() {
        return false;
    }
    let equal =
        selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let fits = |expression: &Value| {
        let label = &labels[expression["key"].as_str().unwrap_or_default()];
        let listed = expression["values"].as_array().is_some_and(|values| values.contains(label));
        match expression["operator"].as_str() {
            Some("In") => listed,
            Some("NotIn") => !listed,
            Some("Exists") => !label.is_null(),
            Some("DoesNotExist") => label.is_null(),
            _ => false,
        }
    };
    equal && selector["matchExpressions"].as_array().into_iter().flatten().all(fits)
}

/// Takes one allowed disruption off a budget.
async fn take(ctx: &Context, budget: &str) -> Result<()> {
    let Some(resource) = ctx.core.registry.stored("policy", "poddisruptionbudgets") else { return Ok(()) };
    let info = RequestInfo {
        group: "policy".into(),
        version: "v1".into(),
        namespace: ctx.info.namespace.clone(),
        resource: "poddisruptionbudgets".into(),
        name: budget.to_owned(),
        subresource: "status".into(),
        verb: "update",
        ..RequestInfo::default()
    };
    let on_budget = ctx.about(resource.clone(), info, ctx.options.clone());
    let now = metadata::now();
    let change = |current: &crate::storage::Current| {
        let mut object = current.object.clone();
        let allowed = object["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
        // What was allowed under another spec is not.
        let is_decided = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        if allowed < 1 || !is_decided {
            return Err(refused(budget));
        }
        object["status"]["disruptionsAllowed"] = (allowed - 1).into();
        if !object["status"]["disruptedPods"].is_object() {
            object["status"]["disruptedPods"] = json!({});
        }
        object["status"]["disruptedPods"][&ctx.info.name] = now.clone().into();
        Ok(Change::to(object))
    };
    match commit::update(&on_budget, Part::Status, &change).await {
        Err(error) if error.code == StatusCode::NOT_FOUND => Ok(()),
        done => done.map(drop),
    }
}

fn refused(budget: &str) -> ApiError {
    let cause = Cause {
        reason: "DisruptionBudget".into(),
        message: format!("The disruption budget {budget} needs more healthy pods than would be left"),
        ..Cause::default()
    };
    let details = Details { causes: vec![cause], ..Details::default() };
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    )
    .about(Some(Box::new(details)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_budgets() {
        let labels = json!({"app": "web", "tier": "front"});
        let table = [
            (json!({}), true),
            (Value::Null, false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}), true),
        ];
        for (selector, taken) in table {
            assert_eq!(selects(&selector, &labels), taken, "{selector}");
        }
    }
}
