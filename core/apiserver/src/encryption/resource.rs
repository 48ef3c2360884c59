//! Which resource a key of the store belongs to, and which entry of the
//! configuration means it. Pure.

use tiphys_api::kinds;

pub const ROOT: &str = "/registry/";

/// The group and plural of a key such as `/registry/apps/deployments/default/web`.
pub fn of_key(key: &str) -> Option<(&str, &str)> {
    let mut parts = key.strip_prefix(ROOT)?.split('/');
    let first = parts.next()?;
    if is_group(first) { Some((first, parts.next()?)) } else { Some(("", first)) }
}

fn is_group(name: &str) -> bool {
    name.contains('.') || kinds::all().iter().any(|kind| kind.group == name)
}

/// A resource as the configuration names it: `secrets`, `deployments.apps`,
/// `*.apps`, `*.` (the core group), `*.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// `None` is any.
    group: Option<String>,
    plural: Option<String>,
}

impl Pattern {
    pub fn parse(text: &str) -> Option<Self> {
        let (plural, group) = text.split_once('.').unwrap_or((text, ""));
        if plural.is_empty() || (plural == "*" && !text.contains('.')) {
            return None;
        }
        let unless_any = |part: &str| (part != "*").then(|| part.to_owned());
        let pattern = Self { group: unless_any(group), plural: unless_any(plural) };
        // Any group with one plural is nothing that can be meant.
        (pattern.group.is_some() || pattern.plural.is_none()).then_some(pattern)
    }

    pub fn matches(&self, group: &str, plural: &str) -> bool {
        self.group.as_deref().is_none_or(|wanted| wanted == group)
            && self.plural.as_deref().is_none_or(|wanted| wanted == plural)
    }

    /// The prefix that all its keys have.
    pub fn prefix(&self) -> String {
        match (&self.group, &self.plural) {
            (Some(group), Some(plural)) if group.is_empty() => format!("{ROOT}{plural}/"),
            (Some(group), Some(plural)) => format!("{ROOT}{group}/{plural}/"),
            (Some(group), None) if !group.is_empty() => format!("{ROOT}{group}/"),
            _ => ROOT.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_resource() {
        assert_eq!(of_key("/registry/secrets/default/a"), Some(("", "secrets")));
        assert_eq!(of_key("/registry/apps/deployments/default/a"), Some(("apps", "deployments")));
        assert_eq!(of_key("/registry/example.com/widgets/a"), Some(("example.com", "widgets")));
        assert_eq!(of_key("/bootstrap/authority"), None);
    }

    #[test]
    fn patterns_match_as_kubernetes_means_them() {
        for (pattern, yes, no, prefix) in [
            ("secrets", ("", "secrets"), ("", "pods"), "/registry/secrets/"),
            ("deployments.apps", ("apps", "deployments"), ("", "deployments"), "/registry/apps/deployments/"),
            (
                "widgets.example.com",
                ("example.com", "widgets"),
                ("com", "widgets"),
                "/registry/example.com/widgets/",
            ),
            ("*.apps", ("apps", "deployments"), ("batch", "jobs"), "/registry/apps/"),
            ("*.", ("", "pods"), ("apps", "deployments"), "/registry/"),
            ("*.*", ("batch", "jobs"), ("x", ""), "/registry/"),
        ] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            assert!(parsed.matches(yes.0, yes.1), "{pattern}");
            assert!(pattern == "*.*" || !parsed.matches(no.0, no.1), "{pattern}");
            assert_eq!(parsed.prefix(), prefix);
        }
        for wrong in ["", "*", "secrets.*", ".apps"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong:?}");
        }
    }
}
