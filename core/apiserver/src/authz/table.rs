//! All roles and bindings, turned around: from a subject to its rules. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;
use tiphys_api::auth::{Attributes, UserInfo};

use super::rule::Rule;
use crate::authn;

type Rules = Arc<Vec<Rule>>;

/// Who is bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

/// What a binding gives to one subject.
#[derive(Debug, Clone)]
struct Grant {
    rules: Rules,
    /// `ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`
    via: Arc<str>,
    /// The role, when there is no such role: `role.rbac.authorization.k8s.io "y" not found`.
    missing: Option<Arc<str>>,
}

type Grants = HashMap<Subject, Vec<Grant>>;

/// The objects a table is built from.
#[derive(Default)]
pub struct Sources {
    pub roles: Vec<Arc<Value>>,
    pub cluster_roles: Vec<Arc<Value>>,
    pub role_bindings: Vec<Arc<Value>>,
    pub cluster_role_bindings: Vec<Arc<Value>>,
}

/// The answer to every question, until a role or binding changes.
#[derive(Default)]
pub struct Table {
    cluster: Grants,
    namespaces: HashMap<String, Grants>,
    cluster_roles: HashMap<String, Rules>,
    roles: HashMap<(String, String), Rules>,
}

impl Table {
    pub fn build(sources: &Sources) -> Self {
        let mut table = Self {
            cluster_roles: resolve_cluster_roles(&sources.cluster_roles),
            roles: sources.roles.iter().map(|role| (key(role), Arc::new(Rule::of_role(role)))).collect(),
            ..Self::default()
        };
        for binding in &sources.cluster_role_bindings {
            let grants = table.grants(binding, "ClusterRoleBinding", "");
            insert(&mut table.cluster, grants);
        }
        for binding in &sources.role_bindings {
            let (namespace, _) = key(binding);
            let grants = table.grants(binding, "RoleBinding", &namespace);
            insert(table.namespaces.entry(namespace).or_default(), grants);
        }
        table
    }

    /// By which binding the user may, or which of the user's roles do not exist.
    pub fn decide(&self, user: &UserInfo, attributes: &Attributes) -> Result<Arc<str>, Vec<Arc<str>>> {
        let namespace = match attributes {
            Attributes::Resource { namespace, .. } => namespace.as_str(),
            Attributes::NonResource { .. } => "",
        };
        let mut missing = Vec::new();
        for grant in self.grants_of(user, namespace) {
            if grant.rules.iter().any(|rule| rule.allows(attributes)) {
                return Ok(grant.via.clone());
            }
            missing.extend(grant.missing.clone());
        }
        Err(missing)
    }

    /// All rules of a user in a namespace, cluster-wide ones included.
    pub fn rules_of(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        self.grants_of(user, namespace).flat_map(|grant| grant.rules.iter().cloned()).collect()
    }

    /// The rules of a role (`Role` of a namespace, `ClusterRole`), aggregated ones resolved.
    pub fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<Rules> {
        match kind {
            "ClusterRole" => self.cluster_roles.get(name).cloned(),
            "Role" => self.roles.get(&(namespace.to_owned(), name.to_owned())).cloned(),
            _ => None,
        }
    }

    fn grants_of(&self, user: &UserInfo, namespace: &str) -> impl Iterator<Item = &Grant> {
        let subjects: Vec<Subject> = std::iter::once(Subject::User(user.name.clone()))
            .chain(user.groups.iter().cloned().map(Subject::Group))
            .collect();
        let places = [Some(&self.cluster), self.namespaces.get(namespace)];
        places.into_iter().flatten().flat_map(move |grants| {
            subjects.iter().filter_map(|subject| grants.get(subject)).flatten().collect::<Vec<_>>()
        })
    }

    /// What a binding gives, and to whom.
    fn grants(&self, binding: &Value, kind: &str, namespace: &str) -> Vec<(Subject, Grant)> {
        let (_, name) = key(binding);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (role_kind, role_name) = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
        let rules = self.role(&role_kind, namespace, &role_name);
        let missing = rules.is_none().then(|| {
            let kind = role_kind.to_lowercase();
            format!("{kind}.{} {role_name:?} not found", super::RBAC_GROUP).into()
        });
        let rules = rules.unwrap_or_default();
        let full_name = if namespace.is_empty() { name } else { format!("{name}/{namespace}") };
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        subjects
            .filter_map(|subject| {
                let shown = text(&subject["name"]);
                let via = format!(
                    "{kind} {full_name:?} of {role_kind} {role_name:?} to {} {shown:?}",
                    text(&subject["kind"])
                );
                let grant = Grant { rules: rules.clone(), via: via.into(), missing: missing.clone() };
                Some((subject_of(subject, namespace)?, grant))
            })
            .collect()
    }
}

fn insert(grants: &mut Grants, new: Vec<(Subject, Grant)>) {
    for (subject, grant) in new {
        grants.entry(subject).or_default().push(grant);
    }
}

fn subject_of(subject: &Value, binding_namespace: &str) -> Option<Subject> {
    let name = subject["name"].as_str()?;
    match subject["kind"].as_str()? {
        "User" => Some(Subject::User(name.to_owned())),
        "Group" => Some(Subject::Group(name.to_owned())),
        "ServiceAccount" => {
            let namespace = subject["namespace"].as_str().unwrap_or(binding_namespace);
            (!namespace.is_empty()).then(|| Subject::User(authn::service_account_user(namespace, name)))
        }
        _ => None,
    }
}

/// Namespace and name.
fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn resolve_cluster_roles(roles: &[Arc<Value>]) -> HashMap<String, Rules> {
    let resolve = |role: &Arc<Value>| (key(role).1, Arc::new(resolved_rules(role, roles)));
    roles.iter().map(resolve).collect()
}

/// The rules of a ClusterRole: its own, or, with an aggregation rule, those of
/// all roles it selects, which may be aggregated themselves.
pub fn resolved_rules(role: &Value, all: &[Arc<Value>]) -> Vec<Rule> {
    let mut rules = Vec::new();
    collect_rules(role, all, &mut BTreeSet::new(), &mut rules);
    rules
}

fn collect_rules(role: &Value, all: &[Arc<Value>], seen: &mut BTreeSet<String>, rules: &mut Vec<Rule>) {
    if !seen.insert(key(role).1) {
        return;
    }
    let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else {
        for rule in Rule::of_role(role) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        return;
    };
    let mut selected: Vec<_> = all
        .iter()
        .filter(|other| selectors.iter().any(|selector| selects(selector, &other["metadata"]["labels"])))
        .collect();
    selected.sort_by_key(|other| key(other).1);
    for other in selected {
        collect_rules(other, all, seen, rules);
    }
}

/// Whether a LabelSelector selects these labels. One that says nothing selects everything.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    wanted.into_iter().all(|(name, value)| labels[name.as_str()] == *value)
        && expressions.into_iter().all(|expression| expression_holds(expression, labels))
}

fn expression_holds(expression: &Value, labels: &Value) -> bool {
    let label = &labels[expression["key"].as_str().unwrap_or_default()];
    let among = expression["values"].as_array().is_some_and(|values| values.contains(label));
    match expression["operator"].as_str() {
        Some("In") => among,
        Some("NotIn") => !among,
        Some("Exists") => label.is_string(),
        Some("DoesNotExist") => !label.is_string(),
        _ => false,
    }
}
