//! The versions under which a resource is served, as rules of webhooks and policies name them.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::schema::Schema;

/// One version of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    /// Plural.
    pub resource: String,
    pub kind: String,
}

/// What is served, and how an object looks in each version.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Every version under which the objects of a resource are served.
    fn of(&self, group: &str, resource: &str) -> Vec<Version>;

    /// The resource of a kind, in the version named; and whether it has namespaces.
    fn of_kind(&self, api_version: &str, kind: &str) -> Option<(Version, bool)>;

    /// What objects of the version look like.
    fn schema(&self, version: &Version) -> Option<Arc<Schema>>;

    /// An object, in the version in which it is written, in another one.
    ///
    /// # Errors
    /// The version is not served any more, or the owner's conversion fails.
    async fn show(&self, object: &Value, version: &Version) -> Result<Value, String>;

    /// An object of a version as it is written: in the schema's shape, completed. Custom
    /// resources are written in the `written` apiVersion, all others in the stored one.
    ///
    /// # Errors
    /// A field of the wrong type, or the owner's conversion fails.
    async fn accept(&self, object: Value, version: &Version, written: &str) -> Result<Value, String>;
}

impl Version {
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}
