//! Which namespace a sender's series get. Pure.
//!
//! The right is Kubernetes' own: verb `create`, group `metrics.tiphys.io`, the door's name
//! as resource, in the namespace. Who has it in all namespaces may ask for `*`: then the
//! series keep the label `namespace` that they come with.

use http::{HeaderMap, StatusCode};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::{Door, Refusal};

/// The group of the doors' rights.
pub const GROUP: &str = "metrics.tiphys.io";

/// Where a request's series go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Into {
    Namespace(String),
    /// Where they say.
    Any,
}

impl Into {
    /// On whose account a request is read: the namespace, or `*`.
    pub fn owner(&self) -> &str {
        match self {
            Self::Namespace(namespace) => namespace,
            Self::Any => "*",
        }
    }
}

/// # Errors
/// Nobody, no namespace, or no right; the message says what would do.
pub fn admit(
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    door: Door,
    authorizer: &dyn Authorizer,
) -> Result<Into, Refusal> {
    let user = user.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "no token: sign in first"))?;
    let asked = ["x-tiphys-namespace", "x-scope-orgid"].into_iter().find_map(|name| headers.get(name));
    // What is no text is no namespace either, and is refused as one.
    let asked = asked.map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let own = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next());
    let Some(namespace) = asked.or(own) else {
        return Err(Refusal::malformed(format!(
            "`{}` has no namespace of its own: name one by the header X-Tiphys-Namespace",
            user.name
        )));
    };
    let any = namespace == "*";
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !any && (namespace.is_empty() || namespace.len() > 63 || !namespace.bytes().all(allowed)) {
        let shown: String = namespace.chars().take(63).collect();
        return Err(Refusal::malformed(format!("`{}` is no name of a namespace", shown.escape_debug())));
    }
    let attributes = Attributes::Resource {
        verb: "create".into(),
        group: GROUP.into(),
        version: "v1".into(),
        resource: door.resource().into(),
        subresource: String::new(),
        namespace: if any { String::new() } else { namespace.to_owned() },
        name: String::new(),
    };
    authorizer.authorize(user, &attributes).map_err(|reason| {
        let place = if any { "all namespaces".to_owned() } else { format!("namespace `{namespace}`") };
        let resource = door.resource();
        Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "`{}` may not write series of {place} ({reason}): give it a Role there with verb create, \
                 group {GROUP}, resource {resource}",
                user.name
            ),
        )
    })?;
    Ok(if any { Into::Any } else { Into::Namespace(namespace.to_owned()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    struct OnlyShop;

    impl Authorizer for OnlyShop {
        fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> Result<(), String> {
            let Attributes::Resource { verb, group, resource, namespace, .. } = attributes else {
                return Err("no".into());
            };
            let wanted = ("create", GROUP, "otlp", "shop");
            match (verb.as_str(), group.as_str(), resource.as_str(), namespace.as_str()) == wanted {
                true => Ok(()),
                false => Err("no Role says so".into()),
            }
        }
    }

    #[test]
    fn a_sender_writes_where_it_may() {
        let check = |name: &str, asked: Option<&str>, door, wanted: Result<Into, &str>| {
            let mut headers = HeaderMap::new();
            headers.extend(asked.map(|asked| {
                let name = http::HeaderName::from_static("x-tiphys-namespace");
                (name, HeaderValue::from_str(asked).expect("a header"))
            }));
            let user = UserInfo::named(name, &[]);
            match (admit(Some(&user), &headers, door, &OnlyShop), wanted) {
                (Err(refusal), Err(part)) => assert!(refusal.message.contains(part), "{refusal}"),
                (found, wanted) => assert_eq!(found.ok(), wanted.ok()),
            }
        };
        let account = "system:serviceaccount:shop:app";
        check(account, None, Door::Otlp, Ok(Into::Namespace("shop".into())));
        check(account, Some("ops"), Door::Otlp, Err("no Role says so"));
        check(account, None, Door::RemoteWrite, Err("resource remotewrite"));
        check(account, Some("*"), Door::Otlp, Err("all namespaces"));
        check("ada", None, Door::Otlp, Err("X-Tiphys-Namespace"));
        check("ada", Some("a/b"), Door::Otlp, Err("is no name"));
        let refusal = admit(None, &HeaderMap::new(), Door::Otlp, &OnlyShop).expect_err("nobody");
        assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
    }
}
