//! Who may write into which namespace by which door.
//!
//! ```text
//! credential (a request's headers) -> who (TokenReview) -> may (SubjectAccessReview), for each namespace
//! ```
//!
//! The rights are Kubernetes' own: verb `create`, group `logs.tiphys.io`, the
//! door's name as resource, in the namespace. So a token is a service account's,
//! a right is a Role, and both end when they are deleted.

mod credential;
mod review;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use credential::{asked_namespace, token};
pub use review::Reviews;

use super::{Door, Refusal, refusal::Kind};

/// The group of the doors' rights.
pub const GROUP: &str = "logs.tiphys.io";

/// Who sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sender {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Sender {
    /// The namespace of a service account.
    pub fn own_namespace(&self) -> Option<&str> {
        self.name.strip_prefix("system:serviceaccount:")?.split(':').next()
    }
}

/// Knows senders and their rights.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Whose token it is.
    async fn who(&self, token: &str) -> Result<Sender, Refusal>;

    /// Whether the sender may write into the namespace by the door.
    async fn may(&self, sender: &Sender, door: Door, namespace: &str) -> Result<(), Refusal>;
}

/// The namespace that records go to: what the request asks for, else what the
/// records name, else the sender's own.
pub fn namespace(asked: Option<&str>, named: Option<&str>, sender: &Sender) -> Result<String, Refusal> {
    let namespace = asked.or(named.filter(|named| !named.is_empty())).or_else(|| sender.own_namespace());
    let Some(namespace) = namespace else {
        return Err(Refusal::malformed(format!(
            "`{}` has no namespace of its own: name one by the header X-Tiphys-Namespace",
            sender.name
        )));
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if namespace.is_empty() || namespace.len() > 63 || !namespace.bytes().all(allowed) {
        let shown: String = namespace.chars().take(63).collect();
        return Err(Refusal::malformed(format!("`{}` is no name of a namespace", shown.escape_debug())));
    }
    Ok(namespace.to_owned())
}

/// What a sender without the right is told.
fn forbidden(sender: &Sender, door: Door, namespace: &str, reason: &str) -> Refusal {
    let resource = door.resource();
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    Refusal::new(
        Kind::Forbidden,
        format!(
            "`{}` may not write logs of namespace `{namespace}`{reason}: give it a Role there with verb create, \
             group {GROUP}, resource {resource}, or send with the header X-Tiphys-Namespace to a namespace where it may",
            sender.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_the_one_asked_for_or_named_or_ones_own() {
        let sender = |name: &str| Sender { name: name.into(), ..Sender::default() };
        let account = sender("system:serviceaccount:shop:sender");
        let check = |asked, named, sender: &Sender, expected: Result<&str, &str>| {
            let found = namespace(asked, named, sender);
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected)),
                Err(part) => assert!(found.expect_err("refused").message.contains(part)),
            }
        };
        check(None, None, &account, Ok("shop"));
        check(None, Some(""), &account, Ok("shop"));
        check(None, Some("ops"), &account, Ok("ops"));
        check(Some("dev"), Some("ops"), &account, Ok("dev"));
        check(None, None, &sender("ada"), Err("X-Tiphys-Namespace"));
        check(Some("a/b"), None, &account, Err("`a/b` is no name"));
        check(Some(""), None, &account, Err("is no name"));
    }
}
