//! The paths of a kind, their verbs, actions and query parameters: what v2 and
//! v3 have in common. Pure.

use tiphys_api::kind::{Kind, Subresource};

/// One operation of one path.
pub struct Operation {
    /// get, post, put, patch, delete
    pub method: &'static str,
    /// `x-kubernetes-action`
    pub action: &'static str,
    /// What `x-kubernetes-group-version-kind` names.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub query: &'static [Query],
    /// Whether a list is answered.
    pub list: bool,
}

pub struct Path {
    /// `/api/v1/namespaces/{namespace}/pods/{name}`
    pub path: String,
    pub namespaced: bool,
    pub named: bool,
    pub operations: Vec<Operation>,
}

/// A query parameter.
#[derive(Clone, Copy)]
pub struct Query {
    pub name: &'static str,
    pub kind: &'static str,
    pub description: &'static str,
}

const fn query(name: &'static str, kind: &'static str, description: &'static str) -> Query {
    Query { name, kind, description }
}

const DRY_RUN: Query =
    query("dryRun", "string", "All: the request is checked and answered, but nothing is stored.");
const FIELD_MANAGER: Query =
    query("fieldManager", "string", "The name under which the changed fields are owned.");
const FIELD_VALIDATION: Query =
    query("fieldValidation", "string", "What happens with unknown fields: Ignore, Warn (default) or Strict.");
const FORCE: Query = query("force", "boolean", "For apply: take fields that other managers own.");
const LABELS: Query = query("labelSelector", "string", "Only objects whose labels fit.");
const FIELDS: Query = query("fieldSelector", "string", "Only objects whose fields fit.");
const VERSION: Query = query("resourceVersion", "string", "How new the answer must be.");
const VERSION_MATCH: Query = query("resourceVersionMatch", "string", "Exact or NotOlderThan.");
const LIMIT: Query = query("limit", "integer", "At most this many objects in one answer.");
const CONTINUE: Query = query("continue", "string", "The token of the page before.");
const TIMEOUT: Query = query("timeoutSeconds", "integer", "How long a watch lasts.");
const WATCH: Query = query("watch", "boolean", "Watch for changes in place of a list.");
const BOOKMARKS: Query = query("allowWatchBookmarks", "boolean", "Send bookmarks now and then.");
const INITIAL: Query = query("sendInitialEvents", "boolean", "Begin a watch with the objects there are.");
const GRACE: Query = query("gracePeriodSeconds", "integer", "Seconds that processes get to end.");
const PROPAGATION: Query = query("propagationPolicy", "string", "Orphan, Background or Foreground.");

const WRITE: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: &[Query] = &[DRY_RUN, GRACE, PROPAGATION];
const LIST: &[Query] =
    &[BOOKMARKS, CONTINUE, FIELDS, LABELS, LIMIT, VERSION, VERSION_MATCH, INITIAL, TIMEOUT, WATCH];
const DELETE_COLLECTION: &[Query] =
    &[CONTINUE, DRY_RUN, FIELDS, GRACE, LABELS, LIMIT, PROPAGATION, VERSION, VERSION_MATCH];

/// All paths of a kind below its group and version (`api/v1`, `apis/apps/v1`).
pub fn of(kind: &Kind, root: &str) -> Vec<Path> {
    let place = if kind.is_namespaced() { "namespaces/{namespace}/" } else { "" };
    let collection = format!("/{root}/{place}{}", kind.plural);
    let mut paths = Vec::new();
    push(&mut paths, collection.clone(), kind.is_namespaced(), false, collection_operations(kind));
    if kind.is_namespaced() && kind.verbs.contains(&"list") {
        let everywhere = vec![operation(kind, "get", "list", LIST, true)];
        push(&mut paths, format!("/{root}/{}", kind.plural), false, false, everywhere);
    }
    push(&mut paths, format!("{collection}/{{name}}"), kind.is_namespaced(), true, object_operations(kind));
    for subresource in kind.subresources {
        let path = format!("{collection}/{{name}}/{}", subresource.name());
        push(&mut paths, path, kind.is_namespaced(), true, subresource_operations(kind, subresource));
    }
    paths
}

fn push(paths: &mut Vec<Path>, path: String, namespaced: bool, named: bool, operations: Vec<Operation>) {
    if !operations.is_empty() {
        paths.push(Path { path, namespaced, named, operations });
    }
}

fn operation(
    kind: &Kind,
    method: &'static str,
    action: &'static str,
    query: &'static [Query],
    list: bool,
) -> Operation {
    Operation { method, action, group: kind.group, version: kind.version, kind: kind.kind, query, list }
}

fn collection_operations(kind: &Kind) -> Vec<Operation> {
    let all = [
        ("list", "get", "list", LIST, true),
        ("create", "post", "post", WRITE, false),
        ("deletecollection", "delete", "deletecollection", DELETE_COLLECTION, false),
    ];
    of_verbs(kind, &all)
}

fn object_operations(kind: &Kind) -> Vec<Operation> {
    let all = [
        ("get", "get", "get", &[] as &'static [Query], false),
        ("update", "put", "put", WRITE, false),
        ("patch", "patch", "patch", PATCH, false),
        ("delete", "delete", "delete", DELETE, false),
    ];
    of_verbs(kind, &all)
}

type Row = (&'static str, &'static str, &'static str, &'static [Query], bool);

fn of_verbs(kind: &Kind, rows: &[Row]) -> Vec<Operation> {
    rows.iter()
        .filter(|(verb, ..)| kind.verbs.contains(verb))
        .map(|(_, method, action, query, list)| operation(kind, method, action, query, *list))
        .collect()
}

fn subresource_operations(kind: &Kind, subresource: &Subresource) -> Vec<Operation> {
    let about = subresource.discovery(kind);
    let connects = about.kind.ends_with("Options");
    let rows: [Row; 4] = [
        ("get", "get", if connects { "connect" } else { "get" }, &[], false),
        ("create", "post", if connects { "connect" } else { "post" }, WRITE, false),
        ("update", "put", "put", WRITE, false),
        ("patch", "patch", "patch", PATCH, false),
    ];
    rows.iter()
        .filter(|(verb, ..)| about.verbs.contains(verb))
        .map(|(_, method, action, query, list)| Operation {
            method,
            action,
            group: about.group,
            version: about.version,
            kind: about.kind,
            query,
            list: *list,
        })
        .collect()
}
