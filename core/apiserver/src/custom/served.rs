//! What a custom resource's definition says of one served version, as the verbs use it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use tiphys_api::custom::Version;

use super::conversion::Conversion;
use crate::status::{ApiError, Result};

pub struct Served {
    pub version: Arc<Version>,
    /// The version in which objects are kept; its apiVersion.
    pub storage: Arc<Version>,
    pub storage_api_version: String,
    pub conversion: Arc<Conversion>,
    /// The definition is being deleted.
    pub ending: Arc<AtomicBool>,
}

impl Served {
    /// Whether cached bytes are what clients of this version get.
    pub fn as_stored(&self) -> bool {
        self.version.storage && self.conversion.keeps_the_rest()
    }

    /// Refuses new objects of a kind that is going.
    pub fn check_open(&self) -> Result<()> {
        if !self.ending.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut refusal = ApiError::method_not_allowed();
        refusal.message = "create not allowed while custom resource definition is terminating".into();
        Err(refusal)
    }

    /// Stored objects in this version, as its schema of today has them.
    pub async fn read(&self, objects: Vec<Value>) -> Result<Vec<Value>> {
        let mut objects = self.conversion.convert(objects, &self.version.kind.api_version()).await?;
        objects.iter_mut().for_each(|object| self.version.on_read(object));
        Ok(objects)
    }

    /// An object of this version in the one that is stored.
    pub async fn to_store(&self, object: Value) -> Result<Value> {
        let mut objects = self.conversion.convert(vec![object], &self.storage_api_version).await?;
        let mut object = objects.pop().unwrap_or_default();
        if !self.version.storage {
            self.storage.on_read(&mut object);
        }
        Ok(object)
    }

    /// Whether a stored object would be written anew even if nothing else changed.
    pub fn is_stale(&self, stored: &Value) -> bool {
        stored["apiVersion"] != self.storage_api_version
    }
}
