//! Attachments of volumes to nodes.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::{Name, rows::Rows, words::named};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_volumeattachment_info", Gauge, "An attachment, with its driver and node"),
    ("kube_volumeattachment_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_volumeattachment_spec_source_persistentvolume", Gauge, "The volume that is to be attached"),
    ("kube_volumeattachment_status_attached", Gauge, "Whether it is attached"),
    ("kube_volumeattachment_status_attachment_metadata", Gauge, "What its driver says of the attachment"),
];

pub fn tell(object: &VolumeAttachment) -> Rows {
    let mut rows = Rows::of("volumeattachment", &object.metadata);
    let info = [("attacher", object.spec.attacher.as_str()), ("node", &object.spec.node_name)];
    rows.with("kube_volumeattachment_info", &info, 1.0);
    rows.time("kube_volumeattachment_created", object.metadata.creation_timestamp.as_ref());
    if let Some(volume) = &object.spec.source.persistent_volume_name {
        let name = "kube_volumeattachment_spec_source_persistentvolume";
        rows.with(name, &[("volumename", volume)], 1.0);
    }
    let status = object.status.as_ref();
    rows.flag("kube_volumeattachment_status_attached", status.is_some_and(|status| status.attached));
    let said = status.and_then(|status| status.attachment_metadata.as_ref());
    let labels = named("metadata", said, |_| true);
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    rows.with("kube_volumeattachment_status_attachment_metadata", &labels, 1.0);
    rows
}
