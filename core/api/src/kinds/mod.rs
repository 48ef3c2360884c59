//! Every built-in kind, in one list. A kind is one file here and one line below.

use crate::kind::Kind;

/// All kinds served, in the order in which discovery names them.
pub fn all() -> &'static [&'static Kind] {
    ALL
}

/// The kind at `/apis/{group}/{version}/{plural}`; the core group is empty.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind that an object names by `apiVersion` and `kind`.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ALL.iter().copied().find(|k| k.group == group && k.version == version && k.kind == kind)
}

static ALL: &[&Kind] = &[];
