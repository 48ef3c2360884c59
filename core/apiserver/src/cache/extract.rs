//! What selectors need of an object, read from its bytes once.

use super::Labels;

/// Labels and selectable fields of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub labels: Labels,
    /// Values of the selectable fields, in the order of [`Extract::fields`]; empty if absent.
    pub fields: Box<[Box<str>]>,
}

/// Reads what selectors need. [`FieldPaths`] does for every kind whose fields are plain paths.
pub trait Extract: Send + Sync + 'static {
    /// Names of the selectable fields, without metadata.name and metadata.namespace, which every object has.
    fn fields(&self) -> &[String];
    fn extract(&self, json: &[u8]) -> Meta;
}

/// Fields by their dotted paths: `spec.nodeName`, `status.phase`.
#[derive(Debug, Clone)]
pub struct FieldPaths {
    paths: Vec<String>,
}

impl FieldPaths {
    pub fn new<I, S>(paths: I) -> Self where I: IntoIterator<Item = S>, S: Into<String>;
}
