//! Which namespaces' logs a user may see. The rule: `get pods/log` in the namespace.

use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::RootError;

/// What a request may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `None`: every namespace. An empty list sees nothing.
    pub namespaces: Option<Vec<String>>,
    /// The user asked for all and gets some.
    pub restricted: bool,
}

/// Decided at once, or after the namespaces that have records are known.
#[derive(Debug)]
pub(super) enum Decision {
    Scope(Scope),
    /// Filter the candidates with [`among`].
    AskForNamespaces,
}

/// What `user` may see of `namespace`, or of all.
pub(super) fn decide(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    namespace: Option<&str>,
) -> Result<Decision, RootError> {
    let everywhere = may_read(authorizer, user, "").is_ok();
    match namespace.filter(|namespace| !namespace.is_empty()) {
        None if everywhere => Ok(Decision::Scope(Scope { namespaces: None, restricted: false })),
        None => Ok(Decision::AskForNamespaces),
        Some(namespace) => {
            if !everywhere {
                may_read(authorizer, user, namespace).map_err(RootError::Forbidden)?;
            }
            Ok(Decision::Scope(Scope { namespaces: Some(vec![namespace.into()]), restricted: false }))
        }
    }
}

/// Those of `candidates` that `user` may read.
pub(super) fn among(authorizer: &dyn Authorizer, user: &UserInfo, mut candidates: Vec<String>) -> Scope {
    candidates.sort_unstable();
    candidates.dedup();
    candidates.retain(|namespace| !namespace.is_empty() && may_read(authorizer, user, namespace).is_ok());
    Scope { namespaces: Some(candidates), restricted: true }
}

/// Whether `user` may delete the logs of a namespace: the right to deletecollection pods/log.
pub(super) fn may_delete(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    namespace: &str,
) -> Result<(), String> {
    authorizer.authorize(user, &Attributes::core("deletecollection", "pods/log", namespace)).map_err(|reason| {
        format!(
            "user `{}` may not delete the logs of `{namespace}`: {reason}; ask for the right to deletecollection pods/log there",
            user.name
        )
    })
}

pub(super) fn may_read(authorizer: &dyn Authorizer, user: &UserInfo, namespace: &str) -> Result<(), String> {
    authorizer.authorize(user, &Attributes::core("get", "pods/log", namespace)).map_err(|reason| {
        let place = if namespace.is_empty() { "any namespace" } else { namespace };
        format!(
            "user `{}` may not read the logs of `{place}`: {reason}; ask for the right to get pods/log there",
            user.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Reads(&'static [&'static str]);

    impl Authorizer for Reads {
        fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> Result<(), String> {
            let Attributes::Resource { verb, resource, subresource, namespace, .. } = attributes else {
                return Err("no resource".into());
            };
            let log = verb == "get" && resource == "pods" && subresource == "log";
            let granted = self.0.contains(&namespace.as_str());
            if log && granted { Ok(()) } else { Err("no rule allows it".into()) }
        }
    }

    #[test]
    fn abuse_30_a_user_is_held_to_the_namespaces_of_pods_log() {
        let user = UserInfo::named("ada", &[]);
        let scope = |reads: &'static [&'static str], asked| match decide(&Reads(reads), &user, asked) {
            Ok(Decision::Scope(scope)) => scope.namespaces,
            Ok(Decision::AskForNamespaces) => {
                among(&Reads(reads), &user, vec!["b".into(), "a".into(), String::new(), "a".into()])
                    .namespaces
            }
            Err(_) => Some(vec!["forbidden".into()]),
        };
        let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(scope(&[""], None), None);
        assert_eq!(scope(&[""], Some("a")), list(&["a"]));
        assert_eq!(scope(&["a"], None), list(&["a"]));
        assert_eq!(scope(&[], None), list(&[]));
        assert_eq!(scope(&["a"], Some("a")), list(&["a"]));
        assert_eq!(scope(&["a"], Some("b")), list(&["forbidden"]));
    }
}
