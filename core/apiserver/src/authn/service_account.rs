//! Service accounts as users, and whether what a token is bound to still exists.

use std::collections::BTreeMap;

use serde_json::Value;
use tiphys_api::auth::UserInfo;

use super::{
    AUTHENTICATED,
    jwt::{Bound, Claims, Reference},
};
use crate::authz::{Objects, find};

/// A bound object may be in deletion for this long before its tokens end, in seconds.
const DELETION_LEEWAY: i64 = 60;

const USER_PREFIX: &str = "system:serviceaccount:";

/// `system:serviceaccount:NAMESPACE:NAME`.
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("{USER_PREFIX}{namespace}:{name}")
}

/// Namespace and name, when the user is a service account.
pub fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(USER_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The groups of every service account of a namespace.
pub fn groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
}

/// The user of verified claims, when the account and the bound object are there
/// still, with the same uid. `now` is seconds since the Unix epoch.
pub async fn user(objects: &dyn Objects, claims: &Claims, now: i64) -> Result<UserInfo, String> {
    let bound = &claims.kubernetes;
    let name = &bound.serviceaccount.name;
    if claims.sub != user_name(&bound.namespace, name) {
        return Err("the subject is not the service account of the claims".into());
    }
    still_there(objects, "serviceaccounts", &bound.namespace, &bound.serviceaccount, now).await?;
    if let Some(pod) = &bound.pod {
        still_there(objects, "pods", &bound.namespace, pod, now).await?;
    } else if let Some(secret) = &bound.secret {
        still_there(objects, "secrets", &bound.namespace, secret, now).await?;
    } else if let Some(node) = &bound.node {
        still_there(objects, "nodes", "", node, now).await?;
    }
    let mut groups = groups(&bound.namespace);
    groups.push(AUTHENTICATED.into());
    Ok(UserInfo {
        name: claims.sub.clone(),
        uid: bound.serviceaccount.uid.clone(),
        groups,
        extra: extra(claims),
    })
}

pub async fn still_there(
    objects: &dyn Objects,
    resource: &str,
    namespace: &str,
    reference: &Reference,
    now: i64,
) -> Result<(), String> {
    let what = || format!("{resource} {namespace}/{}", reference.name);
    let object = find(objects, "", resource, namespace, &reference.name)
        .await
        .ok_or_else(|| format!("{} no longer exists", what()))?;
    if object["metadata"]["uid"] != *reference.uid {
        return Err(format!("{} is another one than the token was made for", what()));
    }
    if deleted_at(&object).is_some_and(|deleted| deleted + DELETION_LEEWAY < now) {
        return Err(format!("{} is being deleted", what()));
    }
    Ok(())
}

/// `metadata.deletionTimestamp` in seconds since the Unix epoch.
fn deleted_at(object: &Value) -> Option<i64> {
    let text = object["metadata"]["deletionTimestamp"].as_str()?;
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// What the token says beside the user, under upstream's keys.
fn extra(claims: &Claims) -> BTreeMap<String, Vec<String>> {
    let Bound { pod, node, .. } = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut set = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    set("credential-id", &format!("JTI={}", claims.jti));
    if let Some(pod) = pod {
        set("pod-name", &pod.name);
        set("pod-uid", &pod.uid);
    }
    if let Some(node) = node {
        set("node-name", &node.name);
        set("node-uid", &node.uid);
    }
    extra
}
