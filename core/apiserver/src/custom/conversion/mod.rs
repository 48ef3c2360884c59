//! Objects from one version of their definition into another.

mod review;

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    status::{ApiError, Result},
    webhook::{Client, Limits, Target},
};

/// A conversion that takes longer has failed. A list is converted whole.
const LIMITS: Limits = Limits { time: Duration::from_secs(30), answer: 64 << 20 };

/// How a definition's versions are converted.
pub enum Conversion {
    /// The versions differ by name only.
    None,
    /// Its owner converts.
    Webhook { target: std::result::Result<Target, String>, client: Arc<Client> },
}

impl Conversion {
    pub fn of(definition: &Value, client: &Arc<Client>) -> Self {
        let conversion = &definition["spec"]["conversion"];
        if conversion["strategy"] != "Webhook" {
            return Self::None;
        }
        let target = Target::of(&conversion["webhook"]["clientConfig"]).map_err(|error| error.to_string());
        Self::Webhook { target, client: client.clone() }
    }

    /// Whether an object differs between versions by its apiVersion alone.
    pub fn keeps_the_rest(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The objects in the wanted version, in their order. Those that have it already are left alone.
    pub async fn convert(&self, mut objects: Vec<Value>, api_version: &str) -> Result<Vec<Value>> {
        let Self::Webhook { target, client } = self else {
            objects.iter_mut().for_each(|object| object["apiVersion"] = api_version.into());
            return Ok(objects);
        };
        let foreign: Vec<usize> =
            (0..objects.len()).filter(|at| objects[*at]["apiVersion"] != api_version).collect();
        let Some(first) = foreign.first() else { return Ok(objects) };
        let (version, kind) = (objects[*first]["apiVersion"].clone(), objects[*first]["kind"].clone());
        let failed = |why: String| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let about = format!("{}, Kind={}", text(&version), text(&kind));
            ApiError::internal(format!("conversion webhook for {about} failed: {why}"))
        };
        let target = target.as_ref().map_err(|why| failed(why.clone()))?;
        let asked: Vec<Value> = foreign.iter().map(|at| objects[*at].clone()).collect();
        let uid = uuid::Uuid::new_v4().to_string();
        let review = review::request(&uid, api_version, &asked);
        let answer = client.post(target, &review, LIMITS).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let converted = review::converted(&uid, api_version, &asked, answer).map_err(failed)?;
        for (at, object) in foreign.into_iter().zip(converted) {
            objects[at] = object;
        }
        Ok(objects)
    }
}
