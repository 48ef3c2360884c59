//! The sentences of a refusal, as clients and people know them.

use tiphys_api::auth::{Attributes, UserInfo};

use super::Refusal;

/// `User "jane" cannot list resource "pods" in API group "" in the namespace "default"`.
pub fn cannot(user: &UserInfo, attributes: &Attributes) -> String {
    let user = &user.name;
    match attributes {
        Attributes::NonResource { verb, path } => format!("User {user:?} cannot {verb} path {path:?}"),
        Attributes::Resource { verb, group, resource, subresource, namespace, .. } => {
            let slash = if subresource.is_empty() { "" } else { "/" };
            let whole = format!("{resource}{slash}{subresource}");
            let place = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {namespace:?}")
            };
            format!("User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {place}")
        }
    }
}

/// The 403 for an `Err(why)` of [`Authorizer::authorize`](tiphys_api::auth::Authorizer::authorize).
pub fn forbidden(user: &UserInfo, attributes: &Attributes, why: &str) -> Refusal {
    let why = if why.is_empty() { cannot(user, attributes) } else { why.to_owned() };
    match attributes {
        Attributes::Resource { group, resource, name, .. } => Refusal::forbidden(group, resource, name, &why),
        Attributes::NonResource { .. } => Refusal::new(403, "Forbidden", format!("forbidden: {why}")),
    }
}
