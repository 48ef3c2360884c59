//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: others are asked, over HTTPS.
//!
//! ```text
//! configurations ── hooks (compiled) ── matching, conditions ──> review ── crate::webhook ──> answer
//! mutating: one after the other, each sees what the ones before have made
//! validating: all at once
//! ```
//!
//! A webhook gets the object in the version that its rule names. Of what it answers only the review
//! is believed: redirects are not followed, bodies of errors neither shown nor logged.

mod answer;
mod hooks;
mod mutating;
mod validating;

use std::sync::Arc;

pub use hooks::Hook;
pub use mutating::MutatingAdmissionWebhook;
use serde_json::Value;
pub use validating::ValidatingAdmissionWebhook;

use super::{
    Cluster, Request, Version,
    compiled::Compiled,
    matching,
    review::{self, Pictures},
};
use crate::{authz::Refusal, webhook::Client};
use answer::Answer;

/// The configurations of both kinds, and the connections to their webhooks.
pub struct Webhooks {
    pub validating: Compiled<Vec<Arc<Hook>>>,
    pub mutating: Compiled<Vec<Arc<Hook>>>,
    pub client: Arc<Client>,
}

impl Webhooks {
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            validating: Compiled::new("validatingwebhookconfigurations", hooks::of),
            mutating: Compiled::new("mutatingwebhookconfigurations", hooks::of),
            client,
        }
    }
}

/// A webhook that is to be asked, and what about.
struct Invocation {
    shown: Version,
    pictures: Pictures,
    request: Value,
}

/// Whether the webhook is to be asked.
async fn invocation(
    cluster: &Cluster,
    hook: &Hook,
    request: &Request<'_>,
) -> Result<Option<Invocation>, Refusal> {
    let config = &hook.config;
    let Some(shown) = matching::shown(cluster, &config["rules"], &config["matchPolicy"], request) else {
        return Ok(None);
    };
    if !matching::selected(cluster, config, request).await? {
        return Ok(None);
    }
    let pictures = review::pictures(&*cluster.versions, request, &shown)
        .await
        .map_err(|why| Refusal::internal(format!("Internal error occurred: {why}")))?;
    let about = review::request(request, &shown, &pictures);
    if !hook.conditions_hold(cluster, request, &about, &pictures)? {
        return Ok(None);
    }
    Ok(Some(Invocation { shown, pictures, request: about }))
}

/// What came of asking.
enum Asked {
    Answered(Answer),
    /// It could not be asked, and that does not matter.
    Ignored,
}

/// Asks, within the webhook's time.
async fn ask(
    cluster: &Cluster,
    hook: &Hook,
    request: &Request<'_>,
    invocation: &Invocation,
    mutating: bool,
) -> Result<Asked, Refusal> {
    if request.dry_run && !hook.allows_dry_run() {
        return Err(Refusal::bad_request(format!(
            "admission webhook {:?} does not support dry run",
            hook.name
        )));
    }
    match answer::exchange(cluster, hook, invocation, mutating).await {
        Ok(answer) => {
            for (key, value) in &answer.annotations {
                request.notes.annotate(format!("{}/{key}", hook.name), value.clone());
            }
            answer.warnings.iter().for_each(|warning| request.notes.warn(warning.clone()));
            match answer.refused(&hook.name) {
                Some(refusal) => Err(refusal),
                None => Ok(Asked::Answered(answer)),
            }
        }
        Err(why) => {
            tracing::warn!(webhook = hook.name, ignored = hook.ignores_failure(), %why, "webhook failed");
            if hook.ignores_failure() {
                return Ok(Asked::Ignored);
            }
            Err(Refusal::internal(format!(
                "Internal error occurred: failed calling webhook {:?}: {why}",
                hook.name
            )))
        }
    }
}
