//! Acting as someone else: `Impersonate-User`, `-Group`, `-Uid`, `-Extra-*`.
//!
//! Every single one of them is authorized by the verb `impersonate` on that very
//! user, group, uid or extra value; one that is refused refuses the request.

use http::{HeaderMap, HeaderName};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, service_account};
use crate::authz::{Refusal, forbidden};

const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Whom the request asks to act as; `user` itself when it asks for nobody.
/// The headers are taken out.
pub fn impersonate(
    user: UserInfo,
    headers: &mut HeaderMap,
    authorizer: &dyn Authorizer,
) -> Result<UserInfo, Refusal> {
    let Some(mut wanted) = take(headers)? else { return Ok(user) };
    for attributes in questions(&wanted) {
        authorizer.authorize(&user, &attributes).map_err(|why| forbidden(&user, &attributes, &why))?;
    }
    complete_groups(&mut wanted);
    Ok(wanted)
}

/// What the headers ask for.
fn take(headers: &mut HeaderMap) -> Result<Option<UserInfo>, Refusal> {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut wanted = UserInfo::default();
    for name in names {
        let values = headers
            .get_all(&name)
            .iter()
            .map(|value| value.to_str().map(String::from))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Refusal::bad_request(format!("header {name} is not text")))?;
        headers.remove(&name);
        match name.as_str() {
            "impersonate-user" => wanted.name = single(&name, values)?,
            "impersonate-uid" => wanted.uid = single(&name, values)?,
            "impersonate-group" => wanted.groups = values,
            other => match other.strip_prefix(EXTRA_PREFIX) {
                Some(key) if !key.is_empty() => {
                    wanted.extra.entry(percent_decoded(key)).or_default().extend(values);
                }
                _ => return Err(Refusal::bad_request(format!("header {name} is not known"))),
            },
        }
    }
    if wanted.name.is_empty() {
        let message = "impersonation of a group, uid or extra needs the header Impersonate-User too";
        return Err(Refusal::bad_request(message));
    }
    Ok(Some(wanted))
}

fn single(name: &HeaderName, mut values: Vec<String>) -> Result<String, Refusal> {
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => Err(Refusal::bad_request(format!("header {name} is given more than once"))),
    }
}

/// One question a part of the wanted user.
fn questions(wanted: &UserInfo) -> Vec<Attributes> {
    let mut questions = Vec::new();
    match service_account::split_user_name(&wanted.name) {
        Some((namespace, name)) => questions.push(question("", "serviceaccounts", "", namespace, name)),
        None => questions.push(question("", "users", "", "", &wanted.name)),
    }
    questions.extend(wanted.groups.iter().map(|group| question("", "groups", "", "", group)));
    let group = "authentication.k8s.io";
    if !wanted.uid.is_empty() {
        questions.push(question(group, "uids", "", "", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        questions.extend(values.iter().map(|value| question(group, "userextras", key, "", value)));
    }
    questions
}

fn question(group: &str, resource: &str, subresource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes::Resource {
        verb: "impersonate".into(),
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// The groups that come with being a service account, authenticated or nobody.
fn complete_groups(user: &mut UserInfo) {
    if let (true, Some((namespace, _))) =
        (user.groups.is_empty(), service_account::split_user_name(&user.name))
    {
        user.groups = service_account::groups(namespace);
    }
    let implied = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !user.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        user.groups.push(implied.into());
    }
}

/// `%2f` in a header's name stands for what a header's name cannot hold.
fn percent_decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'%')
            .then(|| tail.get(..2).and_then(|two| std::str::from_utf8(two).ok()))
            .flatten()
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Allows what its list names, as `resource[/subresource] [namespace/]name`.
    struct Only(&'static [&'static str]);

    impl Authorizer for Only {
        fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> Result<(), String> {
            let Attributes::Resource { verb, resource, subresource, namespace, name, .. } = attributes else {
                return Err("not a resource".into());
            };
            assert_eq!(verb, "impersonate");
            let join = |a: &str, b: &str| {
                if a.is_empty() || b.is_empty() { format!("{a}{b}") } else { format!("{a}/{b}") }
            };
            let asked = format!("{} {}", join(resource, subresource), join(namespace, name));
            if self.0.contains(&&*asked) { Ok(()) } else { Err(asked) }
        }
    }

    fn run(allowed: &'static [&'static str], lines: &[(&'static str, &str)]) -> Result<UserInfo, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let result = impersonate(UserInfo::named("admin", &[]), &mut headers, &Only(allowed));
        assert!(result.is_err() || headers.is_empty());
        result.map_err(|refusal| refusal.code)
    }

    #[test]
    fn abuse_05_each_part_needs_the_right_to_it() {
        let user = ("impersonate-user", "jane");
        let group = ("impersonate-group", "dev");
        assert_eq!(run(&[], &[user]), Err(403));
        assert_eq!(run(&["users bob"], &[user]), Err(403));
        assert_eq!(run(&["users jane"], &[user, group]), Err(403));
        assert_eq!(run(&["users jane", "groups ops"], &[user, group]), Err(403));
        assert_eq!(run(&["users jane"], &[user, ("impersonate-uid", "1")]), Err(403));
        let extra = ("impersonate-extra-scopes", "all");
        assert_eq!(run(&["users jane", "userextras/scopes some"], &[user, extra]), Err(403));
        assert_eq!(run(&["groups system:masters"], &[("impersonate-group", "system:masters")]), Err(400));
        assert_eq!(run(&["users jane"], &[user, ("impersonate-other", "x")]), Err(400));
        assert_eq!(run(&["users a:b"], &[("impersonate-user", "system:serviceaccount:a:b")]), Err(403));
    }

    #[test]
    fn the_impersonated_user_is_complete() {
        let lines =
            [("impersonate-user", "jane"), ("impersonate-group", "dev"), ("impersonate-extra-a%2fb", "c")];
        let jane = run(&["users jane", "groups dev", "userextras/a/b c"], &lines).unwrap();
        assert_eq!(jane.groups, ["dev", "system:authenticated"]);
        assert_eq!(jane.extra, BTreeMap::from([("a/b".into(), vec!["c".into()])]));

        let robot = [("impersonate-user", "system:serviceaccount:ns:robot")];
        let robot = run(&["serviceaccounts ns/robot"], &robot).unwrap();
        assert_eq!(
            robot.groups,
            ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]
        );

        let nobody = run(&["users system:anonymous"], &[("impersonate-user", "system:anonymous")]).unwrap();
        assert_eq!(nobody.groups, ["system:unauthenticated"]);

        assert_eq!(run(&[], &[]).unwrap().name, "admin");
    }
}
