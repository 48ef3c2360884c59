//! What drivers ask about the server: its catalog, schemas, tables, and what it can do. There are
//! no keys and no types to declare a column with; who asks is given the columns of such answers,
//! without a row.

use std::sync::Arc;

use arrow_flight::{
    error::FlightError,
    sql::{
        CommandGetCatalogs, CommandGetDbSchemas, CommandGetTables, SqlInfo, SqlNullOrdering,
        SqlSupportedCaseSensitivity,
        metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
    },
};
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    prelude::SessionContext,
};

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

/// The columns of an answer about primary keys.
pub fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// The columns of an answer about foreign keys, from whichever side they are asked for.
pub fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// The types to declare columns with: none.
///
/// # Errors
/// None in practice.
pub fn types() -> Result<XdbcTypeInfoData> {
    XdbcTypeInfoDataBuilder::new().build()
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
    facts.append(SqlInfo::FlightSqlServerCancel, false);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    // What JDBC's drivers tell tools that write statements.
    for refused in [SqlInfo::SqlDdlCatalog, SqlInfo::SqlDdlSchema, SqlInfo::SqlDdlTable] {
        facts.append(refused, false);
    }
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    facts.append(SqlInfo::SqlIdentifierCase, lower);
    let as_written = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    facts.append(SqlInfo::SqlQuotedIdentifierCase, as_written);
    facts.append(SqlInfo::SqlAllTablesAreSelectable, true);
    facts.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    facts.append(SqlInfo::SqlSearchStringEscape, "\\");
    facts.append(SqlInfo::SqlSupportsColumnAliasing, true);
    facts.append(SqlInfo::SqlNullPlusNullIsNull, true);
    facts.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    facts.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    facts.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    facts.append(SqlInfo::SqlSchemaTerm, "schema");
    facts.append(SqlInfo::SqlCatalogTerm, "database");
    facts.append(SqlInfo::SqlCatalogAtStart, true);
    facts.build()
}
