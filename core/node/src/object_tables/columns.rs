//! The columns that every kind has: one list, with their documentation, and objects as rows.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, Int64Array, MapBuilder, RecordBatch, RecordBatchOptions, StringArray,
            StringBuilder, TimestampMicrosecondArray,
        },
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
    common::{DataFusionError, Result},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An object, of which only what has a column is read.
pub struct Object {
    json: Box<RawValue>,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
    creation_timestamp: Option<jiff::Timestamp>,
    labels: HashMap<String, String>,
    annotations: HashMap<String, String>,
    owner_references: Vec<Owner>,
    generation: Option<i64>,
    resource_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Deserialize)]
struct Shape {
    metadata: Metadata,
}

impl Object {
    /// # Errors
    /// The text has no metadata as objects have it.
    pub fn read(json: Box<RawValue>) -> Result<Self> {
        let shape: Shape =
            serde_json::from_str(json.get()).map_err(|error| DataFusionError::External(error.into()))?;
        Ok(Self { json, metadata: shape.metadata })
    }
}

struct Column {
    name: &'static str,
    about: &'static str,
    value: Value,
}

enum Value {
    Text(fn(&Object) -> Option<&str>),
    Owner,
    Created,
    Generation,
    Map(fn(&Metadata) -> &HashMap<String, String>),
}

const fn text(name: &'static str, about: &'static str, value: fn(&Object) -> Option<&str>) -> Column {
    Column { name, about, value: Value::Text(value) }
}

/// All columns, in their order.
static COLUMNS: &[Column] = &[
    text("namespace", "its namespace; null for cluster-scoped kinds", |object| {
        object.metadata.namespace.as_deref()
    }),
    text("name", "its name", |object| Some(&object.metadata.name)),
    text("uid", "names it for good", |object| object.metadata.uid.as_deref()),
    Column { name: "created", about: "when it was created", value: Value::Created },
    Column {
        name: "labels",
        about: "its labels: labels['app']",
        value: Value::Map(|metadata| &metadata.labels),
    },
    Column {
        name: "annotations",
        about: "its annotations: annotations['key']",
        value: Value::Map(|metadata| &metadata.annotations),
    },
    Column {
        name: "owner",
        about: "who controls it, as Kind/name; else its first owner",
        value: Value::Owner,
    },
    Column { name: "generation", about: "how often its spec was changed", value: Value::Generation },
    text("resource_version", "the version of the object", |object| {
        object.metadata.resource_version.as_deref()
    }),
    text("object", "the whole object as JSON: object->'spec'->>'replicas'", |object| Some(object.json.get())),
];

/// The columns as the engine knows them.
pub fn schema() -> SchemaRef {
    let fields = COLUMNS.iter().map(|column| {
        let kind = match column.value {
            Value::Text(_) | Value::Owner => DataType::Utf8,
            Value::Created => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Value::Generation => DataType::Int64,
            Value::Map(_) => maps().finish().data_type().clone(),
        };
        let about = HashMap::from([("description".to_owned(), column.about.to_owned())]);
        Field::new(column.name, kind, true).with_metadata(about)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Objects as rows, with the columns at these places only; `schema` has those.
///
/// # Errors
/// None in practice: both are made from the same list.
pub fn rows(schema: &SchemaRef, places: &[usize], objects: &[Object]) -> Result<RecordBatch> {
    let columns: Result<Vec<ArrayRef>> =
        places.iter().map(|place| array(&COLUMNS[*place].value, objects)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(objects.len()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns?, &options)?)
}

fn array(value: &Value, objects: &[Object]) -> Result<ArrayRef> {
    Ok(match value {
        Value::Text(value) => Arc::new(objects.iter().map(value).collect::<StringArray>()),
        Value::Owner => Arc::new(objects.iter().map(owner).collect::<StringArray>()),
        Value::Created => {
            let times =
                objects.iter().map(|object| Some(object.metadata.creation_timestamp?.as_microsecond()));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Value::Generation => {
            Arc::new(objects.iter().map(|object| object.metadata.generation).collect::<Int64Array>())
        }
        Value::Map(value) => {
            let mut maps = maps();
            for object in objects {
                for (key, value) in value(&object.metadata) {
                    maps.keys().append_value(key);
                    maps.values().append_value(value);
                }
                maps.append(true)?;
            }
            Arc::new(maps.finish())
        }
    })
}

fn owner(object: &Object) -> Option<String> {
    let owners = &object.metadata.owner_references;
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    controller.or(owners.first()).map(|owner| format!("{}/{}", owner.kind, owner.name))
}

fn maps() -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
}
