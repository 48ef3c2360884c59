//! Bounds of what objects of a namespace may ask for.

use k8s_openapi::api::core::v1::LimitRange;

use super::{
    Name,
    rows::{Rows, number},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_limitrange", Gauge, "A bound, by resource and kind"),
    ("kube_limitrange_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn tell(object: &LimitRange) -> Rows {
    let mut rows = Rows::of("limitrange", &object.metadata);
    rows.time("kube_limitrange_created", object.metadata.creation_timestamp.as_ref());
    for item in object.spec.iter().flat_map(|spec| &spec.limits) {
        let bounds = [
            ("min", &item.min),
            ("max", &item.max),
            ("default", &item.default),
            ("defaultRequest", &item.default_request),
            ("maxLimitRequestRatio", &item.max_limit_request_ratio),
        ];
        for (bound, amounts) in bounds {
            for (resource, amount) in amounts.iter().flatten() {
                if let Some(amount) = number(amount) {
                    let labels =
                        [("resource", resource.as_str()), ("type", &item.type_), ("constraint", bound)];
                    rows.with("kube_limitrange", &labels, amount);
                }
            }
        }
    }
    rows
}
