//! CSIDriver: what a CSI driver can do and wants from the kubelet. Served; no CSI volume is mounted yet.

use serde_json::{Value, json};

use crate::{
    access::{default, ensure, flag, has, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, optional_one_of, unchanged},
};

const MODES: [&str; 2] = ["Persistent", "Ephemeral"];
const SHORTEST_TOKEN: i64 = 600;
const LONGEST_TOKEN: i64 = 1 << 32;

pub static KIND: Kind = Kind {
    default: defaults,
    validate,
    validate_update: |new, old| {
        let mut errors = unchanged(new, old, &["/spec/attachRequired", "/spec/volumeLifecycleModes"]);
        // The field's old name is what the message has.
        errors
            .iter_mut()
            .filter(|error| error.field == "spec.attachRequired")
            .for_each(|error| error.field = "spec.attachedRequired".into());
        errors
    },
    counts_generations: true,
    columns: &[
        NAME,
        switch("AttachRequired", |d, _| is_true(d, "/spec/attachRequired", true)),
        switch("PodInfoOnMount", |d, _| is_true(d, "/spec/podInfoOnMount", false)),
        switch("StorageCapacity", |d, _| is_true(d, "/spec/storageCapacity", false)),
        Column::text("TokenRequests", |d, _| audiences(d)),
        switch("RequiresRepublish", |d, _| is_true(d, "/spec/requiresRepublish", false)),
        Column::text("Modes", |d, _| {
            let modes: Vec<&str> =
                list(d, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
            if modes.is_empty() { "<none>".into() } else { modes.join(",").into() }
        }),
        AGE,
    ],
    ..Kind::cluster(
        "storage.k8s.io",
        "v1",
        "CSIDriver",
        "csidrivers",
        "csidriver",
        "io.k8s.api.storage.v1.CSIDriver",
    )
};

const fn switch(name: &'static str, cell: fn(&Value, i64) -> Value) -> Column {
    Column { kind: "boolean", ..Column::text(name, cell) }
}

fn is_true(driver: &Value, pointer: &str, absent: bool) -> Value {
    if has(driver, pointer) { flag(driver, pointer).into() } else { absent.into() }
}

fn audiences(driver: &Value) -> Value {
    let Some(requests) = present(driver, "/spec/tokenRequests").and_then(Value::as_array) else {
        return "<unset>".into();
    };
    let all: Vec<&str> = requests.iter().map(|request| text(request, "/audience")).collect();
    all.join(",").into()
}

fn defaults(driver: &mut Value) {
    let Some(spec) = ensure(driver, "spec") else { return };
    default(spec, "attachRequired", true);
    default(spec, "podInfoOnMount", false);
    default(spec, "storageCapacity", false);
    default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if list(spec, "/volumeLifecycleModes").is_empty() {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
    default(spec, "requiresRepublish", false);
    default(spec, "seLinuxMount", false);
}

fn validate(driver: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = driver.get("spec").unwrap_or(&Value::Null);
    let policies = &["File", "None", "ReadWriteOnceWithFSType"];
    optional_one_of(spec, "fsGroupPolicy", "spec", policies, &mut errors);
    tokens(list(spec, "/tokenRequests"), &mut errors);
    for mode in list(spec, "/volumeLifecycleModes").iter().filter_map(Value::as_str) {
        if !MODES.contains(&mode) {
            errors.push(FieldError::not_supported("spec.volumeLifecycleModes", mode, &MODES));
        }
    }
    if let Some(period) = int(spec, "/nodeAllocatableUpdatePeriodSeconds").filter(|period| *period < 10) {
        let detail = "must be greater than or equal to 10 seconds";
        errors.push(FieldError::invalid("spec.nodeAllocatableUpdatePeriodSeconds", &period.into(), detail));
    }
    if flag(spec, "/serviceAccountTokenInSecrets") && !has(spec, "/tokenRequests") {
        let detail = "serviceAccountTokenInSecrets can only be set when tokenRequests is configured";
        errors.push(FieldError::invalid("spec.serviceAccountTokenInSecrets", &true.into(), detail));
    }
    errors
}

fn tokens(requests: &[Value], errors: &mut Errors) {
    for (index, request) in requests.iter().enumerate() {
        let path = format!("spec.tokenRequests[{index}]");
        let audience = text(request, "/audience");
        if requests[..index].iter().any(|other| text(other, "/audience") == audience) {
            errors.push(FieldError::duplicate(format!("{path}.audience"), &audience.into()));
            continue;
        }
        let Some(seconds) = int(request, "/expirationSeconds") else { continue };
        let detail = match seconds {
            ..SHORTEST_TOKEN => "may not specify a duration less than 10 minutes",
            SHORTEST_TOKEN..=LONGEST_TOKEN => continue,
            _ => "may not specify a duration larger than 2^32 seconds",
        };
        errors.push(FieldError::invalid(format!("{path}.expirationSeconds"), &seconds.into(), detail));
    }
}
