//! What is served, as admission asks for it: the versions of a resource, and objects in each of them.

use std::sync::Arc;

use serde_json::Value;
use tiphys_api::schema::{self, Schema};

use crate::{
    admission::{Version, Versions},
    registry::{Registry, Resource},
};

impl Versions for Registry {
    fn of(&self, group: &str, resource: &str) -> Vec<Version> {
        let Some(stored) = self.stored(group, resource) else { return Vec::new() };
        let same = |other: &&Arc<Resource>| {
            (other.stored.group, other.stored.plural) == (stored.kind.group, stored.kind.plural)
        };
        self.all().iter().filter(same).map(|resource| version(resource)).collect()
    }

    fn of_kind(&self, api_version: &str, kind: &str) -> Option<(Version, bool)> {
        let found = self.all().iter().find(|resource| {
            resource.kind.kind == kind
                && resource.kind.api_version() == api_version
                && resource.kind.is_stored()
        })?;
        Some((version(found), found.kind.is_namespaced()))
    }

    fn schema(&self, version: &Version) -> Option<Arc<Schema>> {
        resource(self, version).ok().map(|resource| resource.schema.clone())
    }

    fn show(&self, object: &Value, version: &Version) -> Result<Value, String> {
        Ok(resource(self, version)?.served_from(object.clone()))
    }

    fn accept(&self, mut object: Value, version: &Version) -> Result<Value, String> {
        let resource = resource(self, version)?;
        // Fields that nobody knows are dropped, as from any other client.
        schema::check(&resource.schema, &mut object).map_err(|error| error.to_string())?;
        (resource.kind.default)(&mut object);
        let mut stored = resource.to_stored(object);
        (resource.stored.default)(&mut stored);
        Ok(stored)
    }
}

fn version(resource: &Resource) -> Version {
    let kind = resource.kind;
    Version {
        group: kind.group.into(),
        version: kind.version.into(),
        resource: kind.plural.into(),
        kind: kind.kind.into(),
    }
}

fn resource<'a>(registry: &'a Registry, version: &Version) -> Result<&'a Resource, String> {
    let found = registry.find(&version.group, &version.version, &version.resource);
    found.map(|found| &**found).ok_or_else(|| {
        format!("unable to convert to {}, Kind={}: it is not served", version.api_version(), version.kind)
    })
}
