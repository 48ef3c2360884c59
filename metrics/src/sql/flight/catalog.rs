//! What drivers ask about the server: its catalog, schemas, tables, and what it can do.

use arrow_flight::{
    error::FlightError,
    sql::{
        CommandGetCatalogs, CommandGetDbSchemas, CommandGetTables, SqlInfo,
        metadata::{SqlInfoData, SqlInfoDataBuilder},
    },
};
use datafusion::{arrow::array::RecordBatch, prelude::SessionContext};

use crate::sql::session::CATALOG;

/// The type of all tables.
pub const TABLE: &str = "TABLE";

type Result<T> = std::result::Result<T, FlightError>;

/// # Errors
/// None in practice, as below.
pub fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch> {
    let mut catalogs = query.into_builder();
    catalogs.append(CATALOG);
    catalogs.build()
}

/// # Errors
/// A pattern that can't be one.
pub fn schemas(query: CommandGetDbSchemas, session: &SessionContext) -> Result<RecordBatch> {
    let mut schemas = query.into_builder();
    for name in session.catalog(CATALOG).iter().flat_map(|catalog| catalog.schema_names()) {
        schemas.append(CATALOG, name);
    }
    schemas.build()
}

/// # Errors
/// A pattern that can't be one; a table that is gone.
pub async fn tables(query: CommandGetTables, session: &SessionContext) -> Result<RecordBatch> {
    let mut tables = query.into_builder();
    let Some(catalog) = session.catalog(CATALOG) else { return tables.build() };
    for name in catalog.schema_names() {
        let Some(schema) = catalog.schema(&name) else { continue };
        for table in schema.table_names() {
            let found =
                schema.table(&table).await.map_err(|error| FlightError::ExternalError(error.into()))?;
            if let Some(found) = found {
                tables.append(CATALOG, &name, &table, TABLE, &found.schema())?;
            }
        }
    }
    tables.build()
}

/// What the server says of itself.
///
/// # Errors
/// None in practice.
pub fn facts() -> Result<SqlInfoData> {
    let mut facts = SqlInfoDataBuilder::new();
    facts.append(SqlInfo::FlightSqlServerName, "Tiphys");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    facts.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerTransaction, 0_i32);
    facts.build()
}
