//! What strict decoding finds fault with in a body: fields that nobody knows and names that
//! stand twice, in the words and in the order of upstream's decoders. Pure.
//!
//! | body | what is told |
//! |---|---|
//! | JSON of a built-in kind | both as they stand in it; of an unknown field only that it is unknown |
//! | JSON of a custom kind | doubled names, then unknown fields |
//! | YAML | doubled names by their lines, then unknown fields |
//! | a patch | doubled names of the patch, then unknown fields of what it makes |

use std::collections::HashSet;

use serde_json::Value;

use crate::{
    patch::PatchType,
    request::duplicates::{self, Fault},
};

/// Decoders stop counting here.
const MOST: usize = 100;

/// What was found, as single warnings and as parts of one refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub warnings: Vec<String>,
    pub errors: Vec<String>,
}

impl Faults {
    fn alike(told: Vec<String>) -> Self {
        Self { warnings: told.clone(), errors: told }
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn strict_message(&self) -> String {
        format!("strict decoding error: {}", self.errors.join(", "))
    }

    /// These, and the fields that nobody knows in what a patch made.
    pub fn and_unknown(&self, unknown: &[String]) -> Self {
        let told = || unknown.iter().map(|field| unknown_field(field));
        Self {
            warnings: self.warnings.iter().cloned().chain(told()).collect(),
            errors: self.errors.iter().cloned().chain(told()).collect(),
        }
    }
}

/// The faults of a whole object.
pub fn of_object(media_type: &str, body: &[u8], is_custom: bool, unknown: &[String]) -> Faults {
    match media_type {
        "application/yaml" => of_yaml(body, "").and_unknown(unknown),
        "application/json" if is_custom => of_json(body, &[]).and_unknown(unknown),
        "application/json" => of_json(body, unknown),
        _ => Faults::default().and_unknown(unknown),
    }
}

/// The faults of a patch that is no applied configuration.
pub fn of_patch(patch_type: PatchType, patch: &Value, body: &[u8]) -> Faults {
    if patch_type != PatchType::Json {
        return of_json(body, &[]);
    }
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let unknown: Vec<String> = operations
        .flat_map(|(index, operation)| {
            let names = operation.as_object().into_iter().flat_map(|fields| fields.keys());
            names
                .filter(|name| !OPERATION.contains(&name.as_str()))
                .map(move |name| format!("[{index}].{name}"))
        })
        .collect();
    let told = of_json(body, &unknown).errors;
    Faults::alike(told.iter().map(|fault| format!("json patch {fault}")).collect())
}

/// The members of an operation of a JSON patch.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// The faults of an applied configuration, always read as YAML. What is undeclared in it is refused.
pub fn of_applied(body: &[u8]) -> Faults {
    of_yaml(body, "error converting YAML to JSON: ")
}

fn of_json(body: &[u8], unknown: &[String]) -> Faults {
    let unknown: HashSet<&str> = unknown.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    let told = duplicates::of_json(body, &unknown).into_iter().map(|fault| match fault {
        Fault::Unknown(path) => unknown_field(&path),
        Fault::Doubled(doubled) => format!("duplicate field \"{}\"", doubled.path),
    });
    Faults::alike(told.filter(|told| seen.insert(told.clone())).take(MOST).collect())
}

fn of_yaml(body: &[u8], before: &str) -> Faults {
    let doubled = duplicates::of_yaml(std::str::from_utf8(body).unwrap_or_default());
    if doubled.is_empty() {
        return Faults::default();
    }
    let lines = doubled.iter().map(|one| format!("line {}: key {:?} already set in map", one.line, one.name));
    let lines: Vec<String> = lines.collect();
    let error = format!("{before}yaml: unmarshal errors:\n  {}", lines.join("\n  "));
    Faults { warnings: lines, errors: vec![error] }
}

pub fn unknown_field(field: &str) -> String {
    format!("unknown field \"{field}\"")
}

/// A strategic merge patch as refusals show it: in the words of Go, names in order.
pub fn shown(patch: &Value) -> String {
    match patch {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}:{}", shown(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &str = r#"{"spec": {"odd": {"x": 1, "x": 2}, "twice": 1, "odd": 2, "twice": 2, "twice": 3,
        "list": [{"strange": 1, "name": "a", "name": "b"}]}}"#;

    fn unknown() -> Vec<String> {
        ["spec.list[0].strange", "spec.odd"].map(String::from).into()
    }

    #[test]
    fn each_decoder_has_its_order() {
        let json = |is_custom| of_object("application/json", BODY.as_bytes(), is_custom, &unknown());
        let built_in = [
            r#"unknown field "spec.odd""#,
            r#"duplicate field "spec.twice""#,
            r#"unknown field "spec.list[0].strange""#,
            r#"duplicate field "spec.list[0].name""#,
        ];
        assert_eq!(json(false).warnings, built_in);
        let custom = [
            r#"duplicate field "spec.odd.x""#,
            r#"duplicate field "spec.odd""#,
            r#"duplicate field "spec.twice""#,
            r#"duplicate field "spec.list[0].name""#,
            r#"unknown field "spec.list[0].strange""#,
            r#"unknown field "spec.odd""#,
        ];
        assert_eq!(json(true).errors, custom);
        let yaml = of_object("application/yaml", b"a: 1\na: 2\nb: {c: 1, c: 2}\n", false, &["b".to_owned()]);
        let lines = [r#"line 2: key "a" already set in map"#, r#"line 3: key "c" already set in map"#];
        assert_eq!(yaml.warnings, [lines[0], lines[1], r#"unknown field "b""#]);
        assert_eq!(
            yaml.strict_message(),
            format!(
                "strict decoding error: yaml: unmarshal errors:\n  {}\n  {}, unknown field \"b\"",
                lines[0], lines[1]
            )
        );
        assert!(of_object("application/vnd.kubernetes.protobuf", b"x", false, &[]).is_empty());
    }

    #[test]
    fn patches_are_told_by_their_type() {
        let body = r#"[{"op": "add", "path": "/a", "path": "/b", "value": {"x": 1, "x": 2}}, {"op": "test", "odd": 1}]"#;
        let patch: Value = serde_json::from_str(body).unwrap();
        let told = [
            r#"json patch duplicate field "[0].path""#,
            r#"json patch duplicate field "[0].value.x""#,
            r#"json patch unknown field "[1].odd""#,
        ];
        assert_eq!(of_patch(PatchType::Json, &patch, body.as_bytes()).errors, told);
        let body = r#"{"a": 1, "a": {"b": 1, "b": 2}}"#;
        let told = [r#"duplicate field "a""#, r#"duplicate field "a.b""#];
        assert_eq!(of_patch(PatchType::Merge, &json!({}), body.as_bytes()).errors, told);
        let many: String = (0..200).map(|n| format!(r#""k{n}": 1, "k{n}": 2, "#)).collect();
        let many = format!("{{{many} \"z\": 1}}");
        assert_eq!(of_patch(PatchType::Strategic, &json!({}), many.as_bytes()).errors.len(), MOST);
    }

    #[test]
    fn a_patch_is_shown_as_go_shows_it() {
        let patch = json!({"spec": {"b": [1, "x", null], "a": true}});
        assert_eq!(shown(&patch), "map[spec:map[a:true b:[1 x <nil>]]]");
    }
}
