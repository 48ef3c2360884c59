//! Fields of an applied configuration that its schema doesn't declare, as server-side apply
//! tells of them: by the keys of list elements and not by their places.

use serde_json::Value;
use tiphys_api::schema::{ListType, Schema};

use super::{shape, shown};

/// What is wrong, by the paths that decoding gives (`spec.containers[0].odd`): one on the same line,
/// several below each other. `object` may lack them already.
pub fn message(unknown: &[String], object: &Value, schema: &Schema) -> String {
    let told = |path: &String| format!("{}: field not declared in schema", place(path, object, schema));
    match unknown {
        [one] => told(one),
        many => many.iter().fold("errors:".to_owned(), |listed, path| format!("{listed}\n  {}", told(path))),
    }
}

/// `.spec.containers[name="a"].odd`
fn place(path: &str, object: &Value, schema: &Schema) -> String {
    let (mut value, mut schema) = (object, schema);
    let (mut rest, mut place) = (path, String::new());
    while !rest.is_empty() {
        if let Some((index, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let at: usize = index.parse().unwrap_or_default();
            value = &value[at];
            let element = match schema.list {
                ListType::Atomic => format!("i:{at}"),
                _ => shape::element_at(value, at, schema),
            };
            place.push_str(&shown(&element));
            schema = shape::item(schema);
            rest = behind.strip_prefix('.').unwrap_or(behind);
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(below) = value.get(name) else {
            // It is the undeclared one itself, whatever its name is made of.
            place.push_str(&shown(&super::field(rest)));
            break;
        };
        place.push_str(&shown(&super::field(name)));
        (value, schema) = (below, shape::field(schema, name));
        rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
    }
    place
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tiphys_api::schema;

    use super::*;

    #[test]
    fn elements_are_named_by_their_keys() {
        let pod = schema::of("io.k8s.api.core.v1.Pod").unwrap();
        let object = json!({"spec": {
            "containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}], "command": ["x"]}],
            "tolerations": [{"key": "k"}],
        }});
        for (path, expected) in [
            ("odd", ".odd"),
            ("spec.odd.name", ".spec.odd.name"),
            ("spec.containers[0].odd", r#".spec.containers[name="a"].odd"#),
            (
                "spec.containers[0].ports[0].odd",
                r#".spec.containers[name="a"].ports[containerPort=80,protocol="TCP"].odd"#,
            ),
            ("spec.tolerations[0].odd", ".spec.tolerations[0].odd"),
        ] {
            assert_eq!(place(path, &object, &pod), expected, "{path}");
        }
        let two = ["odd".to_owned(), "spec.odd".to_owned()];
        let told = message(&two, &object, &pod);
        assert_eq!(
            told,
            "errors:\n  .odd: field not declared in schema\n  .spec.odd: field not declared in schema"
        );
        assert_eq!(message(&two[..1], &object, &pod), ".odd: field not declared in schema");
    }
}
