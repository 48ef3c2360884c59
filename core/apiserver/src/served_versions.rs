//! What is served, as admission asks for it: the versions of a resource, and objects in each of them.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::schema::{self, Schema};

use crate::{
    admission::{Version, Versions},
    custom::Served,
    registry::{Registry, Resource},
};

#[async_trait]
impl Versions for Registry {
    fn of(&self, group: &str, resource: &str) -> Vec<Version> {
        let Some(stored) = self.stored(group, resource) else { return Vec::new() };
        let same = |other: &&Arc<Resource>| {
            (other.stored.group, other.stored.plural) == (stored.kind.group, stored.kind.plural)
        };
        self.all().iter().filter(same).map(|resource| version(resource)).collect()
    }

    fn of_kind(&self, api_version: &str, kind: &str) -> Option<(Version, bool)> {
        let found = self.all().into_iter().find(|resource| {
            resource.kind.kind == kind
                && resource.kind.api_version() == api_version
                && resource.kind.is_stored()
        })?;
        Some((version(&found), found.kind.is_namespaced()))
    }

    fn schema(&self, version: &Version) -> Option<Arc<Schema>> {
        resource(self, version).ok().map(|resource| resource.schema.clone())
    }

    async fn show(&self, object: &Value, version: &Version) -> Result<Value, String> {
        let resource = resource(self, version)?;
        match &resource.custom {
            Some(custom) => convert(custom, object.clone(), &version.api_version()).await,
            None => Ok(resource.served_from(object.clone())),
        }
    }

    async fn accept(&self, mut object: Value, version: &Version, written: &str) -> Result<Value, String> {
        let resource = resource(self, version)?;
        if let Some(custom) = &resource.custom {
            custom.version.shape(&mut object).map_err(|error| error.to_string())?;
            custom.version.default(&mut object);
            let (_, of_written) = written.rsplit_once('/').unwrap_or(("", written));
            let found = self.find(&version.group, of_written, &version.resource);
            let written_as = found.as_ref().and_then(|found| found.custom.as_ref()).unwrap_or(custom);
            return convert(written_as, object, written).await;
        }
        // Fields that nobody knows are dropped, as from any other client.
        schema::check(&resource.schema, &mut object).map_err(|error| error.to_string())?;
        (resource.kind.default)(&mut object);
        let mut stored = resource.to_stored(object);
        (resource.stored.default)(&mut stored);
        Ok(stored)
    }
}

/// A custom resource in one of its versions.
async fn convert(into: &Served, object: Value, api_version: &str) -> Result<Value, String> {
    if object["apiVersion"] == api_version {
        return Ok(object);
    }
    let converted = into.read(vec![object]).await.map_err(|error| error.message)?;
    Ok(converted.into_iter().next().unwrap_or_default())
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

fn resource(registry: &Registry, version: &Version) -> Result<Arc<Resource>, String> {
    let found = registry.find(&version.group, &version.version, &version.resource);
    found.ok_or_else(|| {
        format!("unable to convert to {}, Kind={}: it is not served", version.api_version(), version.kind)
    })
}
