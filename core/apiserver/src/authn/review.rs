//! TokenReview and SelfSubjectReview: authentication as objects.

use serde_json::{Map, Value, json};
use tiphys_api::auth::UserInfo;

use super::ISSUER;

/// The audiences a TokenReview asks about; the API server itself when it names none.
pub fn audiences(review: &Value) -> Vec<String> {
    let asked: Vec<String> = review["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(String::from))
        .collect();
    if asked.is_empty() { vec![ISSUER.into()] } else { asked }
}

/// The TokenReview with its status: the user and the audiences in common, or why not.
pub fn token_review(mut review: Value, result: Result<(UserInfo, Vec<String>), String>) -> Value {
    let status = match result {
        Ok((user, audiences)) => {
            json!({ "authenticated": true, "user": user_info(&user), "audiences": audiences })
        }
        Err(why) => json!({ "user": {}, "error": why }),
    };
    review["status"] = status;
    review
}

/// What `kubectl auth whoami` shows.
pub fn self_subject_review(user: &UserInfo) -> Value {
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string() },
        "status": { "userInfo": user_info(user) },
    })
}

/// UserInfo of `authentication.k8s.io/v1`, without what is empty.
fn user_info(user: &UserInfo) -> Value {
    let mut info = Map::new();
    info.insert("username".into(), user.name.clone().into());
    if !user.uid.is_empty() {
        info.insert("uid".into(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".into(), json!(user.extra));
    }
    info.into()
}
