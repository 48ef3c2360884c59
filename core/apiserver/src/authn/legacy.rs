//! Tokens that stand in Secrets of the type `kubernetes.io/service-account-token`:
//! without an end, good as long as the Secret holds them. The controllers write them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use tiphys_api::auth::UserInfo;

use super::{
    AUTHENTICATED,
    jwt::Reference,
    service_account::{groups, still_there, user_name},
};
use crate::authz::{Objects, find};

pub const ISSUER: &str = "kubernetes/serviceaccount";
/// Who put it on the Secret wants the token to end.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Claims {
    pub sub: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    pub namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    pub secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    pub uid: String,
}

/// The user of claims whose signature is right. `now` is seconds since the Unix epoch.
pub async fn user(objects: &dyn Objects, claims: &Claims, token: &str, now: i64) -> Result<UserInfo, String> {
    let Claims { sub, namespace, secret, account, uid } = claims;
    if *sub != user_name(namespace, account) {
        return Err("the subject is not the service account of the claims".into());
    }
    let found = find(objects, "", "secrets", namespace, secret)
        .await
        .ok_or_else(|| format!("secrets {namespace}/{secret} no longer exists"))?;
    let stored = BASE64_STANDARD.decode(found["data"]["token"].as_str().unwrap_or_default());
    if stored.as_deref() != Ok(token.as_bytes()) {
        return Err("the Secret holds another token".into());
    }
    let metadata = &found["metadata"];
    if metadata["deletionTimestamp"].is_string() || metadata["labels"][INVALID_SINCE].is_string() {
        return Err("the token has been made invalid".into());
    }
    let reference = Reference { name: account.clone(), uid: uid.clone() };
    still_there(objects, "serviceaccounts", namespace, &reference, now).await?;
    let mut groups = groups(namespace);
    groups.push(AUTHENTICATED.into());
    Ok(UserInfo { name: sub.clone(), uid: uid.clone(), groups, ..UserInfo::default() })
}
