//! The subresource `scale`: autoscaling/v1 Scale, made from the object by the
//! paths that its kind names. A write changes the number of replicas only.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use tiphys_api::{
    field::{FieldError, Reason},
    kind::{Column, ScalePaths},
    serve::Body,
    table::{self, AGE, NAME},
};

use crate::{
    context::Context,
    patch::{self, PatchType},
    request::{accept::Shape, body},
    respond,
    status::{ApiError, Result},
    storage::Current,
    verbs::get,
    write::{
        commit::{self, Change, Part},
        decode,
    },
};

pub async fn answer(ctx: &Context, paths: ScalePaths, bytes: &[u8]) -> Result<Response<Body>> {
    let object = match ctx.info.verb {
        "get" => {
            let object = get::decoded(ctx).await?;
            // Of a built-in kind defaulting has seen to it.
            if ctx.resource.custom.is_some() && object.pointer(paths.spec_replicas).is_none() {
                let field = paths.spec_replicas.replace('/', ".");
                return Err(ApiError::internal(format!("the spec replicas field {field:?} does not exist")));
            }
            object
        }
        "update" => {
            let wanted = decode::of_kind(ctx, SCALE, body::decode(&ctx.headers, bytes)?)?;
            commit::update(ctx, Part::Sub("scale"), &|current| change(ctx, paths, current, &wanted)).await?
        }
        "patch" => patched(ctx, paths, bytes).await?,
        _ => return Err(ApiError::method_not_allowed()),
    };
    let shown = shaped(scale_of(&object, paths), ctx.accept.shape, &ctx.options.include_object);
    ctx.answer_value(StatusCode::OK, &shown)
}

/// The object after its Scale was patched.
async fn patched(ctx: &Context, paths: ScalePaths, bytes: &[u8]) -> Result<Value> {
    let patch_type = PatchType::from_content_type(&body::media_type(&ctx.headers))
        .ok_or_else(|| ApiError::unsupported_media_type(&["application/merge-patch+json"]))?;
    if patch_type == PatchType::Apply {
        let config = body::from_yaml(bytes)?;
        return commit::update(ctx, Part::Sub("scale"), &|current| {
            let after = patch::merge::apply(&scale_of(&current.object, paths), &config);
            change(ctx, paths, current, &decode::of_kind(ctx, SCALE, after)?)
        })
        .await;
    }
    let given = decode::patch(ctx, patch_type, bytes)?;
    commit::update(ctx, Part::Sub("scale"), &|current| {
        let before = scale_of(&current.object, paths);
        let after = match patch_type {
            PatchType::Json => patch::json::apply(&before, &given.patch, body::LIMIT)?,
            // A Scale has no list that would merge: the other types are one.
            _ => patch::merge::apply(&before, &given.patch),
        };
        change(ctx, paths, current, &decode::patched_kind(ctx, SCALE, after, &given)?)
    })
    .await
}

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// What `kubectl get --subresource=scale` prints.
const COLUMNS: &[Column] = &[
    NAME,
    Column::number("Desired", |scale, _| table::number(scale, "/spec/replicas")),
    Column::number("Available", |scale, _| table::number(scale, "/status/replicas")),
    AGE,
];

fn shaped(scale: Value, shape: Shape, include_object: &str) -> Value {
    match shape {
        Shape::Object => scale,
        Shape::Metadata(version) => respond::shape::metadata(scale, version),
        Shape::Table(version) => respond::table::of_columns(COLUMNS, version, scale, include_object),
    }
}

fn change(ctx: &Context, paths: ScalePaths, current: &Current, scale: &Value) -> Result<Change> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| ApiError::bad_request("spec.replicas: must be an integer"))?,
    };
    if replicas < 0 {
        let error = FieldError {
            reason: Reason::Invalid,
            field: "spec.replicas".into(),
            message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
        };
        return Err(ApiError::invalid("autoscaling", "Scale", &ctx.info.name, &[error]));
    }
    let mut object = current.object.clone();
    object["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
    if let Some(uid) = scale["metadata"]["uid"].as_str() {
        object["metadata"]["uid"] = uid.into();
    }
    set(&mut object, paths.spec_replicas, replicas.into());
    Ok(Change::to(object))
}

/// Sets the value at a pointer, making the objects on the way.
pub fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for key in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
    }
    *place = value;
}

/// The Scale of an object.
pub fn scale_of(object: &Value, paths: ScalePaths) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": number(paths.spec_replicas) },
        "status": { "replicas": number(paths.status_replicas) },
    });
    let selector = if paths.selector.is_empty() { None } else { object.pointer(paths.selector) };
    if let Some(selector) = selector.map(selector_text).filter(|text| !text.is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// A selector object, or a map of labels, as clients write it in a query.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let Some(fields) = selector.as_object() else { return String::new() };
    let is_selector = fields.contains_key("matchLabels") || fields.contains_key("matchExpressions");
    let labels = if is_selector { selector["matchLabels"].as_object() } else { Some(fields) };
    let equal = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(|expression| {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    equal.chain(expressions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: ScalePaths = ScalePaths {
        spec_replicas: "/spec/replicas",
        status_replicas: "/status/replicas",
        selector: "/spec/selector",
    };

    #[test]
    fn a_scale_is_read_off_the_object() {
        let object = json!({
            "metadata": {"name": "d", "namespace": "n", "resourceVersion": "7"},
            "spec": {"replicas": 3, "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}},
            "status": {"replicas": 2},
        });
        let scale = scale_of(&object, PATHS);
        assert_eq!(scale["spec"]["replicas"], 3);
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=web,tier in (a,b)"}));
    }

    #[test]
    fn a_kind_that_names_no_selector_has_none() {
        let paths = ScalePaths { selector: "", ..PATHS };
        let object = json!({"apiVersion": "a/v1", "metadata": {"name": "d"}, "spec": {"replicas": 3}});
        assert_eq!(scale_of(&object, paths)["status"], json!({"replicas": 0}));
    }

    #[test]
    fn a_table_says_what_is_wanted_and_what_is_there() {
        let scale = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3}, "status": {"replicas": 2}});
        let table = shaped(scale, Shape::Table("v1"), "None");
        assert_eq!(table["rows"][0]["cells"], json!(["d", 3, 2, "<unknown>"]));
        assert_eq!(table["columnDefinitions"][1]["name"], "Desired");
    }

    #[test]
    fn replicas_are_set_where_there_were_none() {
        let mut object = json!({"metadata": {}});
        set(&mut object, PATHS.spec_replicas, 4.into());
        assert_eq!(object["spec"]["replicas"], 4);
    }
}
