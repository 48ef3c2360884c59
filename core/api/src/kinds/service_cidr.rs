//! ServiceCIDR: a range that Services' addresses come from. Served; the API server
//! takes addresses from the range it was started with only.

use serde_json::Value;

use crate::{
    access::{empty_status, keep_status, list},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, addresses, obey},
};

const PATH: &str = "spec.cidrs";

pub static KIND: Kind = Kind {
    subresources: &[Subresource::Status],
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate: |ranges| check(list(ranges, "/spec/cidrs")),
    validate_update,
    columns: &[
        NAME,
        Column::text("CIDRs", |ranges, _| {
            let all: Vec<&str> = list(ranges, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
            all.join(",").into()
        }),
        AGE,
    ],
    ..Kind::cluster(
        "networking.k8s.io",
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        "servicecidr",
        "io.k8s.api.networking.v1.ServiceCIDR",
    )
};

fn check(ranges: &[Value]) -> Errors {
    let mut errors = Vec::new();
    let all = Value::from(ranges);
    if ranges.is_empty() {
        errors.push(FieldError::required(PATH, "at least one CIDR required"));
    } else if ranges.len() > 2 {
        errors.push(FieldError::invalid(PATH, &all, "may only hold up to 2 values"));
    } else {
        for (index, range) in ranges.iter().enumerate() {
            let text = range.as_str().unwrap_or_default();
            obey(addresses::canonical_cidr, text, &format!("{PATH}[{index}]"), &mut errors);
        }
        let families: Vec<bool> = ranges.iter().filter_map(Value::as_str).map(addresses::is_ipv6).collect();
        if errors.is_empty() && families.len() == 2 && families[0] == families[1] {
            let detail =
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(FieldError::invalid(PATH, &all, detail));
        }
    }
    errors
}

/// A second range may come, nothing else.
fn validate_update(new: &Value, old: &Value) -> Errors {
    let (was, is) = (list(old, "/spec/cidrs"), list(new, "/spec/cidrs"));
    if was.len() != is.len() && (was.len(), is.len()) != (1, 2) {
        return vec![FieldError::immutable(PATH, &is.into())];
    }
    let changed = was.iter().zip(is).enumerate().filter(|(_, (was, is))| was != is);
    changed.map(|(index, (_, is))| FieldError::immutable(format!("{PATH}[{index}]"), is)).collect()
}
