//! What runs beside the API server, and whether it is well: the objects of ComponentStatus.
//!
//! Nothing here knows what a component is: whoever starts one hands over its [`HealthCheck`],
//! and the check is made whenever somebody asks. Nothing is stored, and nothing is remembered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{Value, json};

/// For one check; after that nothing is known.
const LIMIT: Duration = Duration::from_secs(20);

/// How a component is, at the moment.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// A word about it if it is well.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn check(&self) -> Result<String, String>;
}

/// All components, by their names.
#[derive(Default)]
pub struct Components {
    checks: ArcSwap<BTreeMap<String, Arc<dyn HealthCheck>>>,
}

impl Components {
    pub fn add(&self, name: String, check: Arc<dyn HealthCheck>) {
        self.checks.rcu(|checks| {
            let mut checks = (**checks).clone();
            checks.insert(name.clone(), check.clone());
            checks
        });
    }

    /// The ComponentStatus of that name, asked for now.
    pub async fn get(&self, name: &str) -> Option<Value> {
        let check = self.checks.load().get(name)?.clone();
        Some(status(name, &*check).await)
    }

    /// Those whose names are wanted, all asked at once.
    pub async fn list(&self, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let checks = self.checks.load_full();
        let asked = checks.iter().filter(|(name, _)| wanted(name));
        join_all(asked.map(|(name, check)| status(name, &**check))).await
    }
}

async fn status(name: &str, check: &dyn HealthCheck) -> Value {
    let mut condition = match tokio::time::timeout(LIMIT, check.check()).await {
        Ok(Ok(message)) => json!({ "status": "True", "message": message }),
        Ok(Err(error)) => json!({ "status": "False", "error": error }),
        Err(_) => {
            json!({ "status": "Unknown", "error": format!("no answer within {} s", LIMIT.as_secs()) })
        }
    };
    condition["type"] = "Healthy".into();
    json!({
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": { "name": name },
        "conditions": [condition],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    #[async_trait]
    impl HealthCheck for Never {
        async fn check(&self) -> Result<String, String> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_component_that_does_not_answer_nothing_is_known() {
        let components = Components::default();
        components.add("slow".into(), Arc::new(Never));
        let slow = components.get("slow").await.expect("a component");
        assert_eq!(slow["conditions"][0]["status"], "Unknown");
        assert_eq!(components.list(|name| name == "slow").await, [slow]);
        assert_eq!(components.get("other").await, None);
    }
}
