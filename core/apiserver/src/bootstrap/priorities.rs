//! The priority classes that every cluster has: of what a node, or the cluster, can't be without.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ensure;
use crate::{admission::SYSTEM_PRIORITIES, state::Core, status::Result};

pub async fn write(core: &Arc<Core>) -> Result<()> {
    for (name, value) in SYSTEM_PRIORITIES {
        ensure(core, &class(name, *value), &|_| None).await?;
    }
    Ok(())
}

fn class(name: &str, value: i64) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
        "value": value, "description": format!("Used for {} critical pods.", critical(name)),
    })
}

fn critical(name: &str) -> &str {
    name.trim_start_matches("system-").trim_end_matches("-critical")
}
