//! Which rule of the policy a request falls under. Pure.

use tiphys_api::auth::{Attributes, UserInfo};

use super::policy::{GroupResources, Level, Policy, Rule, Stage};

/// What a policy says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    omitted: Vec<Stage>,
    pub omit_managed_fields: bool,
}

impl Verdict {
    pub fn writes(&self, stage: Stage) -> bool {
        !self.omitted.contains(&stage)
    }
}

impl Policy {
    /// `None` where nothing is to be written.
    pub fn verdict(&self, user: &UserInfo, attributes: &Attributes) -> Option<Verdict> {
        let rule = self.rules.iter().find(|rule| rule.fits(user, attributes))?;
        if rule.level == Level::None {
            return None;
        }
        Some(Verdict {
            level: rule.level,
            omitted: self.omit_stages.iter().chain(&rule.omit_stages).copied().collect(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        })
    }
}

impl Rule {
    fn fits(&self, user: &UserInfo, attributes: &Attributes) -> bool {
        let (Attributes::Resource { verb, .. } | Attributes::NonResource { verb, .. }) = attributes;
        let among = |list: &[String], word: &str| list.is_empty() || list.iter().any(|entry| entry == word);
        among(&self.users, &user.name)
            && (self.user_groups.is_empty()
                || user.groups.iter().any(|group| self.user_groups.contains(group)))
            && among(&self.verbs, verb)
            && self.fits_target(attributes)
    }

    fn fits_target(&self, attributes: &Attributes) -> bool {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        match attributes {
            Attributes::Resource { group, resource, subresource, namespace, name, .. } => {
                if !of_resources {
                    return self.non_resource_urls.is_empty();
                }
                let in_namespace = self.namespaces.is_empty() || self.namespaces.contains(namespace);
                let named = |rule: &GroupResources| rule.fits(group, resource, subresource, name);
                in_namespace && (self.resources.is_empty() || self.resources.iter().any(named))
            }
            Attributes::NonResource { path, .. } => {
                let fits = |url: &String| {
                    url == path || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
                };
                !of_resources
                    && (self.non_resource_urls.is_empty() || self.non_resource_urls.iter().any(fits))
            }
        }
    }
}

impl GroupResources {
    fn fits(&self, group: &str, resource: &str, subresource: &str, name: &str) -> bool {
        if self.group != group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        let named = self.resource_names.is_empty() || self.resource_names.iter().any(|one| one == name);
        named
            && self.resources.iter().any(|rule| match rule.split_once('/') {
                _ if rule == "*" => true,
                None => rule == resource && subresource.is_empty(),
                Some(("*", wanted)) => wanted == subresource,
                Some((wanted, "*")) => wanted == resource,
                Some((wanted, sub)) => wanted == resource && sub == subresource,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:kube-proxy]
  verbs: [watch]
- level: None
  nonResourceURLs: ['/healthz*', /version]
- level: Request
  resources: [{group: '', resources: [pods, pods/status, '*/scale']}]
  omitStages: [ResponseStarted]
  omitManagedFields: true
- level: Metadata
  resources: [{group: '', resources: [configmaps], resourceNames: [one]}]
  namespaces: [kube-system]
- level: RequestResponse
  userGroups: [admins]
";

    fn check(user: &str, group: &str, attributes: &Attributes, expected: Option<Level>) {
        let policy = Policy::parse(POLICY).unwrap();
        let verdict = policy.verdict(&UserInfo::named(user, &[group]), attributes);
        assert_eq!(verdict.map(|verdict| verdict.level), expected, "{user} {attributes:?}");
    }

    fn named(resource: &str, namespace: &str, wanted: &str) -> Attributes {
        let mut attributes = Attributes::core("get", resource, namespace);
        if let Attributes::Resource { name, .. } = &mut attributes {
            *name = wanted.into();
        }
        attributes
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let path = |path: &str| Attributes::NonResource { verb: "get".into(), path: path.into() };
        check("system:kube-proxy", "x", &Attributes::core("watch", "pods", ""), None);
        check("system:kube-proxy", "x", &Attributes::core("list", "pods", ""), Some(Level::Request));
        check("jane", "x", &path("/healthz/etcd"), None);
        check("jane", "admins", &path("/metrics"), Some(Level::RequestResponse));
        check("jane", "x", &path("/metrics"), None);
        check("jane", "x", &Attributes::core("get", "pods/log", "a"), None);
        check("jane", "x", &Attributes::core("get", "pods/status", "a"), Some(Level::Request));
        check(
            "jane",
            "x",
            &Attributes::core("get", "replicationcontrollers/scale", "a"),
            Some(Level::Request),
        );
        check("jane", "x", &named("configmaps", "kube-system", "one"), Some(Level::Metadata));
        check("jane", "x", &named("configmaps", "kube-system", "two"), None);
        check("jane", "x", &named("configmaps", "default", "one"), None);
    }

    #[test]
    fn stages_are_left_out_by_policy_and_by_rule() {
        let policy = Policy::parse(POLICY).unwrap();
        let pods = Attributes::core("watch", "pods", "a");
        let verdict = policy.verdict(&UserInfo::named("jane", &[]), &pods).unwrap();
        assert!(!verdict.writes(Stage::RequestReceived) && !verdict.writes(Stage::ResponseStarted));
        assert!(verdict.writes(Stage::ResponseComplete) && verdict.omit_managed_fields);
    }
}
