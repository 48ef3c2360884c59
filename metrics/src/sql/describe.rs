//! The table `columns`: what every column of every table says. `describe` and
//! information_schema know names and types only.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    common::Result,
    datasource::MemTable,
    prelude::SessionContext,
};

/// Adds the table, over all that the session has by now.
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
            tables.sort_unstable();
            for table in tables.iter().filter(|_| name != "information_schema") {
                let Some(provider) = schema.table(table).await? else { continue };
                // What is beside the metrics has a name in front.
                let shown = if name == "public" { table.clone() } else { format!("{name}.{table}") };
                for field in provider.schema().fields() {
                    let about = field.metadata().get("description").cloned().unwrap_or_default();
                    let row = [shown.clone(), field.name().clone(), kind(field.data_type()), about];
                    rows.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
            }
        }
    }
    let names = ["table_name", "column_name", "type", "description"];
    let fields: Vec<_> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = rows.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    session.register_table("columns", Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
    Ok(())
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
