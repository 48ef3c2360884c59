//! The tables `columns` and `functions`: what every column of every table says, and what
//! each function does. `describe` and information_schema know names and types only.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Schema},
    },
    common::Result,
    datasource::MemTable,
    prelude::SessionContext,
};

use crate::tables::documented;

/// Kinds of the API's objects have the same columns, one as the other.
const OF_OBJECTS: &str = "objects";

/// A table of its own: its name, its columns and what they say. All are texts.
type Own = (&'static str, [(&'static str, &'static str); 4]);

const COLUMNS: Own = (
    "columns",
    [
        ("table_name", "the table, as a statement names it; objects.* is each kind of object"),
        ("column_name", "the column"),
        ("type", "what its values are"),
        ("description", "what it says"),
    ],
);
const FUNCTIONS: Own = (
    "functions",
    [
        ("function_name", "the function"),
        ("arguments", "how it is called"),
        ("kind", "scalar, aggregate or window"),
        ("description", "what it gives"),
    ],
);

/// Adds the tables, over all that the session has by now.
///
/// # Errors
/// None in practice.
pub async fn register(session: &SessionContext) -> Result<()> {
    let mut rows: [Vec<String>; 4] = Default::default();
    for catalog in session.catalog_names() {
        let Some(catalog) = session.catalog(&catalog) else { continue };
        for (name, schema) in catalog.schema_names().into_iter().filter_map(|name| {
            let schema = catalog.schema(&name)?;
            Some((name, schema))
        }) {
            let mut tables = schema.table_names();
            if name == OF_OBJECTS {
                tables.truncate(1);
            }
            tables.sort_unstable();
            let skipped = ["information_schema", "pg_catalog"].contains(&name.as_str());
            for table in tables.iter().filter(|_| !skipped) {
                let Some(provider) = schema.table(table).await? else { continue };
                // What is beside the metrics has a name in front.
                let table = if name == OF_OBJECTS { &"*".to_owned() } else { table };
                let shown = if name == "public" { table.clone() } else { format!("{name}.{table}") };
                for field in provider.schema().fields() {
                    let about = field.metadata().get("description").cloned().unwrap_or_default();
                    let row = [shown.clone(), field.name().clone(), kind(field.data_type()), about];
                    rows.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
            }
        }
    }
    for (table, columns) in [COLUMNS, FUNCTIONS] {
        for (column, about) in columns {
            let row = [table, column, "text", about].map(str::to_owned);
            rows.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
    }
    add(session, &COLUMNS, rows)?;
    add(session, &FUNCTIONS, functions(session))
}

/// Adds a table of its own.
fn add(session: &SessionContext, (name, about): &Own, columns: [Vec<String>; 4]) -> Result<()> {
    let fields = about.map(|(column, about)| documented(column, DataType::Utf8, false, about));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let columns = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    session.register_table(*name, Arc::new(MemTable::try_new(schema, vec![vec![batch]])?)).map(drop)
}

/// The functions of the session, by name.
fn functions(session: &SessionContext) -> [Vec<String>; 4] {
    let state = session.state();
    let scalars = state.scalar_functions().iter().map(|(name, own)| (name, "scalar", own.documentation()));
    let aggregates =
        state.aggregate_functions().iter().map(|(name, own)| (name, "aggregate", own.documentation()));
    let windows = state.window_functions().iter().map(|(name, own)| (name, "window", own.documentation()));
    let mut all: Vec<_> = scalars.chain(aggregates).chain(windows).collect();
    all.sort_unstable_by_key(|(name, kind, _)| (*name, *kind));
    let mut rows: [Vec<String>; 4] = Default::default();
    for (name, kind, documentation) in all {
        let syntax = documentation.map(|about| about.syntax_example.clone()).unwrap_or_default();
        let about =
            documentation.map(|about| about.description.split_whitespace().collect::<Vec<_>>().join(" "));
        let row = [name.clone(), syntax, kind.to_owned(), about.unwrap_or_default()];
        rows.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    rows
}

/// A type as people say it.
fn kind(of: &DataType) -> String {
    match of {
        DataType::Utf8 => "text".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Float64 => "number".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Map(..) => "map of texts".into(),
        kind if kind.is_integer() => "integer".into(),
        other => other.to_string(),
    }
}
