//! The ConfigMap `extension-apiserver-authentication` in kube-system, by which extension servers
//! know this server as a front proxy. It is written again when somebody changes it.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use serde_json::{Value, json};
use tiphys_lifecycle::BoxError;

use crate::{
    bootstrap::{changes, ensure},
    cache::Selector,
    state::Core,
    status::Result,
};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// Of a bout of writes by several servers, or against somebody who insists.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes it, and keeps it written.
///
/// # Errors
/// It can't be written.
pub async fn start(core: &Arc<Core>) -> Result<()> {
    write(core).await?;
    let shared = core.clone();
    core.tasks.spawn_restarting("authentication of extension servers", move || {
        let core = shared.clone();
        async move {
            let only_it = Selector::parse(None, Some(&format!("metadata.name={NAME}")))?;
            let mut changes = changes::of(&core, &[("", "configmaps")], Some(NAMESPACE), &only_it).await?;
            while let Some(change) = changes.next().await {
                change?;
                write(&core).await?;
                tokio::time::sleep(PAUSE).await;
            }
            Err::<(), BoxError>("the watch of it ended".into())
        }
    });
    Ok(())
}

async fn write(core: &Arc<Core>) -> Result<()> {
    let now = jiff::Timestamp::now().as_second();
    let wanted = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": NAMESPACE, "name": NAME },
        "data": core.aggregation.trust.combined(&Value::Null, now),
    });
    let reconcile = |stored: &Value| {
        let data = Value::from(core.aggregation.trust.combined(&stored["data"], now));
        (data != stored["data"]).then(|| {
            let mut changed = stored.clone();
            changed["data"] = data;
            changed
        })
    };
    ensure(core, &wanted, &reconcile).await
}
