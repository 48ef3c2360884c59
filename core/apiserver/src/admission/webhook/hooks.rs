//! A webhook of a configuration, ready to be asked.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    admission::{
        Cluster, Request,
        expressions::{self, CONDITION_NAMES},
        items,
        review::Pictures,
    },
    authz::Refusal,
    cel::{CelError, Expression, Scope},
};

pub struct Hook {
    /// Of its configuration.
    pub configuration: String,
    pub name: String,
    /// Tells it from all others.
    pub id: String,
    pub config: Value,
    conditions: Vec<(String, Result<Expression, CelError>)>,
}

/// The webhooks of a configuration.
pub fn of(configuration: &Value) -> Vec<Arc<Hook>> {
    let configuration_name = configuration["metadata"]["name"].as_str().unwrap_or_default();
    let hook = |(index, config): (usize, &Value)| {
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        Arc::new(Hook {
            configuration: configuration_name.to_owned(),
            id: format!("{configuration_name}/{name}/{index}"),
            name,
            config: config.clone(),
            conditions: expressions::conditions(&config["matchConditions"], CONDITION_NAMES, &[]),
        })
    };
    items(&configuration["webhooks"]).enumerate().map(hook).collect()
}

impl Hook {
    pub fn ignores_failure(&self) -> bool {
        self.config["failurePolicy"] == "Ignore"
    }

    pub fn allows_dry_run(&self) -> bool {
        ["None", "NoneOnDryRun"].iter().any(|class| self.config["sideEffects"] == *class)
    }

    /// Whether it is asked again when others have changed the object.
    pub fn follows(&self) -> bool {
        self.config["reinvocationPolicy"] == "IfNeeded"
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.config["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30))
    }

    /// All conditions must hold. One that fails is the failure policy's, unless another one is false.
    pub fn conditions_hold(
        &self,
        cluster: &Cluster,
        request: &Request<'_>,
        about: &Value,
        pictures: &Pictures,
    ) -> Result<bool, Refusal> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let values = expressions::values(cluster, request, about, pictures, &Value::Null);
        let scope = Scope::new(values, &[]);
        match expressions::all_hold(&self.conditions, &scope) {
            Ok(hold) => Ok(hold),
            Err(_) if self.ignores_failure() => Ok(false),
            Err(why) => Err(request.forbid(&why)),
        }
    }
}
