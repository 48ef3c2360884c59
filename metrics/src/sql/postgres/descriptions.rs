//! What columns and tables say of themselves, where Postgres' clients look for it:
//! `col_description`, `obj_description` and the table `pg_description`, as psql's `\d+` and
//! the browsers of databases ask.
//!
//! The catalog numbers tables as it is read, so the descriptions are put together for the
//! statement that asks for them. What it must not do: slow down any other statement.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray},
        compute::cast,
        datatypes::{DataType, Field, Int32Type, Schema},
    },
    catalog::{MemTable, SchemaProvider, TableProvider},
    common::Result,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};

use crate::sql::session::CATALOG;

const PG_CATALOG: &str = "pg_catalog";
const TABLE: &str = "pg_description";
/// The number of `pg_class` itself in Postgres' catalog: what is described is a relation.
const OF_RELATIONS: i32 = 1259;
/// The metadata by which a column describes itself.
const DESCRIPTION: &str = "description";

/// What a row of a table is; the API's objects are alike.
const TABLES: [(&str, &str); 14] = [
    ("node", "a node at a moment"),
    ("pod", "a Pod at a moment"),
    ("container", "a container at a moment"),
    ("volume", "a volume of a Pod, as it is now"),
    ("disk", "a disk of a node at a moment"),
    ("samples", "a sample of a series: scraped, sent or derived"),
    ("spans", "a span of a trace"),
    ("advise", "a container, its requests and what it used"),
    ("logs", "a log record"),
    ("events", "an occurrence, kept for 7 days"),
    ("decisions", "a decision of the autoscaler"),
    ("columns", "a column of a table"),
    ("functions", "a function"),
    (OBJECTS, "an object, as the API has it now"),
];
const OBJECTS: &str = "objects";

/// By number of the table and of the column, 0 for the table itself.
type Described = BTreeMap<(i32, i32), String>;

/// Whether a statement asks for descriptions.
pub fn are_asked(text: &str) -> bool {
    text.to_lowercase().contains("_description")
}

/// Makes the descriptions known to the session, as they are now.
///
/// # Errors
/// None in practice.
pub async fn register(session: &SessionContext) -> Result<()> {
    let described = Arc::new(described(session).await?);
    if let Some(catalog) = session.catalog(CATALOG)
        && let Some(there) = catalog.schema(PG_CATALOG)
    {
        let ours = (&*there as &dyn Any).downcast_ref::<WithDescriptions>();
        let of_postgres = ours.map_or(there.clone(), |ours| ours.of_postgres.clone());
        let table = Arc::new(rows(&described)?);
        catalog.register_schema(PG_CATALOG, Arc::new(WithDescriptions { of_postgres, table }))?;
    }
    for udf in functions(&described) {
        session.register_udf(udf);
    }
    Ok(())
}

async fn described(session: &SessionContext) -> Result<Described> {
    let relations = "select c.oid, n.nspname, c.relname from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where n.nspname not in ('pg_catalog', 'information_schema')";
    let mut described = Described::new();
    for batch in session.sql(relations).await?.collect().await? {
        let numbers = cast(batch.column(0), &DataType::Int32)?;
        let names = [cast(batch.column(1), &DataType::Utf8)?, cast(batch.column(2), &DataType::Utf8)?];
        for row in 0..batch.num_rows() {
            let number = numbers.as_primitive::<Int32Type>().value(row);
            let [schema, table] = names.each_ref().map(|names| names.as_string::<i32>().value(row));
            let found = session.catalog(CATALOG).and_then(|catalog| catalog.schema(schema));
            let Some(found) = found else { continue };
            let Some(provider) = found.table(table).await? else { continue };
            let what = if schema == OBJECTS { OBJECTS } else { table };
            if let Some((_, about)) = TABLES.iter().find(|(name, _)| *name == what) {
                described.insert((number, 0), (*about).to_owned());
            }
            for (place, field) in (1..).zip(provider.schema().fields()) {
                if let Some(about) = field.metadata().get(DESCRIPTION) {
                    described.insert((number, place), about.clone());
                }
            }
        }
    }
    Ok(described)
}

/// The table, as Postgres has it.
fn rows(described: &Described) -> Result<MemTable> {
    let integer = |name: &str| Field::new(name, DataType::Int32, false);
    let text = Field::new("description", DataType::Utf8, false);
    let schema =
        Arc::new(Schema::new(vec![integer("objoid"), integer("classoid"), integer("objsubid"), text]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(described.keys().map(|key| key.0))),
        Arc::new(Int32Array::from_iter_values(described.keys().map(|_| OF_RELATIONS))),
        Arc::new(Int32Array::from_iter_values(described.keys().map(|key| key.1))),
        Arc::new(StringArray::from_iter_values(described.values())),
    ];
    MemTable::try_new(schema.clone(), vec![vec![RecordBatch::try_new(schema, columns)?]])
}

/// `col_description(table, column)`, and `obj_description(object, catalog)`, which knows relations.
fn functions(described: &Arc<Described>) -> [ScalarUDF; 2] {
    let found = described.clone();
    let of_column = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let pairs = arrays[0].as_primitive::<Int32Type>().iter().zip(arrays[1].as_primitive::<Int32Type>());
        let about: StringArray =
            pairs.map(|(table, column)| found.get(&(table?, column.filter(|place| *place > 0)?))).collect();
        Ok(ColumnarValue::Array(Arc::new(about)))
    };
    let found = described.clone();
    let of_object = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let pairs = arrays[0].as_primitive::<Int32Type>().iter().zip(arrays[1].as_string::<i32>());
        let about: StringArray =
            pairs.map(|(object, of)| found.get(&(object.filter(|_| of == Some("pg_class"))?, 0))).collect();
        Ok(ColumnarValue::Array(Arc::new(about)))
    };
    let integers = vec![DataType::Int32, DataType::Int32];
    let named = vec![DataType::Int32, DataType::Utf8];
    let stable = Volatility::Stable;
    [
        create_udf("col_description", integers, DataType::Utf8, stable, Arc::new(of_column)),
        create_udf("obj_description", named, DataType::Utf8, stable, Arc::new(of_object)),
    ]
}

/// Postgres' catalog with our descriptions instead of those of its own functions.
#[derive(Debug)]
struct WithDescriptions {
    of_postgres: Arc<dyn SchemaProvider>,
    table: Arc<MemTable>,
}

#[async_trait]
impl SchemaProvider for WithDescriptions {
    fn table_names(&self) -> Vec<String> {
        self.of_postgres.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name.eq_ignore_ascii_case(TABLE) {
            return Ok(Some(self.table.clone()));
        }
        self.of_postgres.table(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.of_postgres.table_exist(name)
    }
}
