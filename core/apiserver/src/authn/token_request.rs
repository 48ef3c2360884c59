//! Tokens on request: the subresource `token` of a service account.

use serde_json::{Value, json};

use super::{
    ISSUER, TokenKeys,
    jwt::{Bound, Claims, Reference},
    service_account,
};
use crate::authz::{Objects, Refusal, find};

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;
/// What the ServiceAccount plug-in writes into a Pod's volume.
const OF_A_VOLUME: i64 = 3607;
/// How long the token of such a volume really lives: programs that read it only
/// once go on working, and the token's `warnafter` says when they should have read again.
const EXTENDED: i64 = 365 * 24 * 60 * 60;

/// The TokenRequest with its status. `now` is seconds since the Unix epoch.
pub async fn answer(
    keys: &TokenKeys,
    objects: &dyn Objects,
    namespace: &str,
    name: &str,
    mut request: Value,
    now: i64,
) -> Result<Value, Refusal> {
    let account = find(objects, "", "serviceaccounts", namespace, name)
        .await
        .ok_or_else(|| Refusal::not_found("", "serviceaccounts", name))?;
    let seconds = expiration(&request)?;
    let audiences = super::review::audiences(&request);
    let mut bound =
        Bound { namespace: namespace.into(), serviceaccount: reference(&account, name), ..Bound::default() };
    bind(&mut bound, objects, &request["spec"]["boundObjectRef"]).await?;
    let extended = seconds == OF_A_VOLUME && bound.pod.is_some() && audiences == [ISSUER];
    bound.warnafter = extended.then_some(now + seconds);
    let claims = Claims {
        aud: audiences.clone(),
        exp: now + if extended { EXTENDED } else { seconds },
        iat: now,
        nbf: now,
        iss: ISSUER.into(),
        jti: uuid::Uuid::new_v4().to_string(),
        sub: service_account::user_name(namespace, name),
        kubernetes: bound,
    };
    let token = keys.sign(&claims).map_err(|error| Refusal::internal(error.to_string()))?;
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({ "name": name, "namespace": namespace, "creationTimestamp": time(now) });
    request["spec"]["audiences"] = json!(audiences);
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({ "token": token, "expirationTimestamp": time(now + seconds) });
    Ok(request)
}

fn expiration(request: &Value) -> Result<i64, Refusal> {
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT);
    let why = if seconds < SHORTEST {
        "may not specify a duration less than 10 minutes"
    } else if seconds > LONGEST {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(seconds);
    };
    let field = "spec.expirationSeconds";
    let message = format!("Invalid value: {seconds}: {why}");
    let mut refusal = Refusal::new(
        422,
        "Invalid",
        format!("TokenRequest.authentication.k8s.io \"\" is invalid: {field}: {message}"),
    );
    refusal.details = Some(json!({
        "group": "authentication.k8s.io",
        "kind": "TokenRequest",
        "causes": [{ "reason": "FieldValueInvalid", "message": message, "field": field }],
    }));
    Err(refusal)
}

/// Fills in what `boundObjectRef` names, after looking that it is there.
async fn bind(bound: &mut Bound, objects: &dyn Objects, wanted: &Value) -> Result<(), Refusal> {
    let Some(kind) = wanted["kind"].as_str() else { return Ok(()) };
    let api_version = wanted["apiVersion"].as_str().unwrap_or_default();
    let (resource, namespace) = match (api_version, kind) {
        ("v1" | "", "Pod") => ("pods", bound.namespace.as_str()),
        ("v1" | "", "Secret") => ("secrets", bound.namespace.as_str()),
        ("v1" | "", "Node") => ("nodes", ""),
        _ => {
            let message = format!("cannot bind token to object of type {api_version}, Kind={kind}");
            return Err(Refusal::bad_request(message));
        }
    };
    let name = wanted["name"].as_str().unwrap_or_default();
    let object = find(objects, "", resource, namespace, name)
        .await
        .ok_or_else(|| Refusal::not_found("", resource, name))?;
    let found = reference(&object, name);
    check_uid(wanted["uid"].as_str().unwrap_or_default(), &found, resource)?;
    match kind {
        "Pod" => {
            let account = object["spec"]["serviceAccountName"].as_str().unwrap_or_default();
            if account != bound.serviceaccount.name {
                let message = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    bound.serviceaccount.name
                );
                return Err(Refusal::bad_request(message));
            }
            bound.pod = Some(found);
            if let Some(node) = object["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
                let node_object = find(objects, "", "nodes", "", node).await;
                bound.node = node_object.map(|object| reference(&object, node));
            }
        }
        "Secret" => bound.secret = Some(found),
        _ => bound.node = Some(found),
    }
    Ok(())
}

fn check_uid(wanted: &str, found: &Reference, resource: &str) -> Result<(), Refusal> {
    if wanted.is_empty() || wanted == found.uid {
        return Ok(());
    }
    let message = format!(
        "Operation cannot be fulfilled on {resource} {:?}: the UID in the bound object reference ({wanted}) does not match \
         the UID in record. The object might have been deleted and then recreated",
        found.name
    );
    Err(Refusal::new(409, "Conflict", message))
}

fn reference(object: &Value, name: &str) -> Reference {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    Reference { name: name.into(), uid: uid.into() }
}

fn time(seconds: i64) -> String {
    // Seconds of a token's life lie far inside what a timestamp can hold.
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
