//! ComponentStatus: whether what runs beside the API server is well.
//!
//! It is found out when it is asked for and never stored, so it can be read only. Upstream
//! warns of it since 1.19: it speaks for one server of several.

use serde_json::Value;

use crate::{
    access::{find, list, text},
    kind::{Column, Kind},
    table::NAME,
    validate::names,
};

pub static KIND: Kind = Kind {
    short_names: &["cs"],
    verbs: &["get", "list"],
    deprecation: Some("v1 ComponentStatus is deprecated in v1.19+"),
    validate_name: names::path_segment,
    columns: &[
        NAME,
        Column::text("Status", |c, _| status(c).into()),
        Column::text("Message", |c, _| healthy(c, "/message").into()),
        Column::text("Error", |c, _| healthy(c, "/error").into()),
    ],
    ..Kind::cluster(
        "",
        "v1",
        "ComponentStatus",
        "componentstatuses",
        "componentstatus",
        "io.k8s.api.core.v1.ComponentStatus",
    )
};

fn status(component: &Value) -> &'static str {
    match healthy(component, "/status") {
        "" => "Unknown",
        "True" => "Healthy",
        _ => "Unhealthy",
    }
}

/// A text of the condition Healthy.
fn healthy<'a>(component: &'a Value, pointer: &str) -> &'a str {
    find(list(component, "/conditions"), "type", "Healthy").map_or("", |found| text(found, pointer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_shows_the_condition() {
        let cells = |component: &Value| -> Vec<Value> {
            KIND.columns.iter().map(|column| (column.cell)(component, 0)).collect()
        };
        let of = |status: &str| {
            let condition = json!({"type": "Healthy", "status": status, "message": "m", "error": "e"});
            json!({"metadata": {"name": "a"}, "conditions": [{"type": "Other", "status": "True"}, condition]})
        };
        assert_eq!(cells(&of("True")), ["a", "Healthy", "m", "e"]);
        assert_eq!(cells(&of("False"))[1], "Unhealthy");
        assert_eq!(cells(&of("Unknown"))[1], "Unhealthy");
        assert_eq!(cells(&json!({"metadata": {"name": "a"}})), ["a", "Unknown", "", ""]);
    }
}
