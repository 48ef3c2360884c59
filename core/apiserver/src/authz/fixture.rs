//! A cluster that is a list of objects, for tests.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::Objects;

/// Objects with apiVersion, kind and metadata; the resource is the kind's plural.
#[derive(Default)]
pub struct Fixture(Vec<Arc<Value>>);

impl Fixture {
    pub fn new(objects: impl IntoIterator<Item = Value>) -> Self {
        Self(objects.into_iter().map(Arc::new).collect())
    }
}

fn is(object: &Value, group: &str, resource: &str) -> bool {
    let api_version = object["apiVersion"].as_str().unwrap();
    let object_group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = match (kind.strip_suffix("class"), kind.strip_suffix('y')) {
        (Some(stem), _) => format!("{stem}classes"),
        (None, Some(stem)) => format!("{stem}ies"),
        (None, None) => format!("{kind}s"),
    };
    object_group == group && plural == resource
}

fn field<'a>(object: &'a Value, path: &str) -> &'a str {
    let value = path.split('.').fold(object, |value, part| &value[part]);
    value.as_str().unwrap_or_default()
}

#[async_trait]
impl Objects for Fixture {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let mut all = self.list(group, resource, namespace, &[("metadata.name", name)]).into_iter();
        all.find(|object| field(object, "metadata.namespace") == namespace)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str, fields: &[(&str, &str)]) -> Vec<Arc<Value>> {
        let matches = |object: &&Arc<Value>| {
            is(object, group, resource)
                && (namespace.is_empty() || field(object, "metadata.namespace") == namespace)
                && fields.iter().all(|(path, value)| field(object, path) == *value)
        };
        self.0.iter().filter(matches).cloned().collect()
    }

    async fn get_live(&self, _: &str, _: &str, _: &str, _: &str) -> Option<Arc<Value>> {
        None
    }
}
