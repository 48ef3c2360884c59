//! A write in the words of an AdmissionReview: what webhooks get, and the variable `request` of expressions.

use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use super::{Request, versions::Version};

/// An object as it is shown, with its kind.
pub struct Pictures {
    pub new: Value,
    pub old: Value,
}

/// Both objects in the version in which the write is shown.
///
/// # Errors
/// They have no form in that version.
pub async fn pictures(
    versions: &dyn super::Versions,
    request: &Request<'_>,
    shown: &Version,
) -> Result<Pictures, String> {
    let show = async |object: Option<&Value>| match object {
        None => Ok(Value::Null),
        Some(object) if is_of_its_own(request, object, versions) => Ok(object.clone()),
        Some(object) => versions.show(object, shown).await,
    };
    Ok(Pictures { new: show(request.object.as_deref()).await?, old: show(request.old).await? })
}

/// A subresource's kind (Scale, Eviction, PodExecOptions) has one version only.
pub fn is_of_its_own(request: &Request<'_>, object: &Value, versions: &dyn super::Versions) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    let all = versions.of(request.group, request.resource);
    !request.subresource.is_empty() && !all.iter().any(|version| version.kind == kind)
}

/// The request without its objects and its uid.
pub fn request(request: &Request<'_>, shown: &Version, pictures: &Pictures) -> Value {
    let object = if pictures.new.is_null() { &pictures.old } else { &pictures.new };
    let kind = kind_of(object);
    let requested = Version {
        group: request.group.to_owned(),
        version: request.version.to_owned(),
        resource: request.resource.to_owned(),
        kind: shown.kind.clone(),
    };
    let request_kind = if shown.kind == kind["kind"].as_str().unwrap_or_default() {
        json!({ "group": requested.group, "version": requested.version, "kind": kind["kind"] })
    } else {
        kind.clone()
    };
    let mut review = json!({
        "kind": kind,
        "resource": resource_of(shown),
        "requestKind": request_kind,
        "requestResource": resource_of(&requested),
        "operation": request.operation.as_str(),
        "userInfo": user_info(request.user),
        "dryRun": request.dry_run,
        "options": request.options,
    });
    let texts = [
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
        ("name", request.object_name()),
        ("namespace", request.namespace),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        review[key] = text.into();
    }
    review
}

fn kind_of(object: &Value) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    json!({ "group": group, "version": version, "kind": object["kind"] })
}

fn resource_of(version: &Version) -> Value {
    json!({ "group": version.group, "version": version.version, "resource": version.resource })
}

fn user_info(user: &UserInfo) -> Value {
    let mut info = json!({ "username": user.name, "groups": user.groups });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}
