//! An object as the cache holds it.

/// Labels of an object, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    pub fn get(&self, key: &str) -> Option<&str>;
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)>;
}

/// One version of an object. Shared by every reader; never changed.
#[derive(Debug)]
pub struct CachedObject {
    /// The store's key.
    pub key: Arc<str>,
    pub revision: Revision,
    /// The object as JSON, `metadata.resourceVersion` included.
    pub json: Bytes,
    pub labels: Labels,
    pub fields: Box<[Box<str>]>,
    ...
}

impl CachedObject {
    /// Empty for a resource without namespaces.
    pub fn namespace(&self) -> &str;
    pub fn name(&self) -> &str;
}
