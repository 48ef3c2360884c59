//! Configurations of admission webhooks, of those that change and those that refuse.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const MUTATING: &[Name] = &[
    ("kube_mutatingwebhookconfiguration_info", Gauge, "A configuration of webhooks that change"),
    ("kube_mutatingwebhookconfiguration_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_mutatingwebhookconfiguration_metadata_resource_version", Gauge, "The version of the object"),
    (
        "kube_mutatingwebhookconfiguration_webhook_clientconfig_service",
        Gauge,
        "A webhook, with the Service that answers",
    ),
];

/// The same of those that refuse, and in the same order.
pub const VALIDATING: &[Name] = &[
    ("kube_validatingwebhookconfiguration_info", Gauge, "A configuration of webhooks that refuse"),
    ("kube_validatingwebhookconfiguration_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_validatingwebhookconfiguration_metadata_resource_version", Gauge, "The version of the object"),
    (
        "kube_validatingwebhookconfiguration_webhook_clientconfig_service",
        Gauge,
        "A webhook, with the Service that answers",
    ),
];

pub fn mutating(object: &MutatingWebhookConfiguration) -> Rows {
    let webhooks = object.webhooks.iter().flatten();
    let webhooks = webhooks.map(|webhook| (webhook.name.as_str(), &webhook.client_config));
    tell("mutatingwebhookconfiguration", MUTATING, &object.metadata, webhooks)
}

pub fn validating(object: &ValidatingWebhookConfiguration) -> Rows {
    let webhooks = object.webhooks.iter().flatten();
    let webhooks = webhooks.map(|webhook| (webhook.name.as_str(), &webhook.client_config));
    tell("validatingwebhookconfiguration", VALIDATING, &object.metadata, webhooks)
}

fn tell<'a>(
    label: &'static str,
    names: &[Name],
    meta: &ObjectMeta,
    webhooks: impl Iterator<Item = (&'a str, &'a WebhookClientConfig)>,
) -> Rows {
    let [info, created, version, service] = [0, 1, 2, 3].map(|at: usize| names[at].0);
    let mut rows = Rows::of(label, meta);
    rows.put(info, 1);
    rows.time(created, meta.creation_timestamp.as_ref());
    rows.version(version, meta);
    for (webhook, client) in webhooks {
        let answers = client.service.as_ref();
        let labels = [
            ("webhook_name", webhook),
            ("service_name", answers.map_or("", |service| &service.name)),
            ("service_namespace", answers.map_or("", |service| &service.namespace)),
        ];
        rows.with(service, &labels, 1.0);
    }
    rows
}
