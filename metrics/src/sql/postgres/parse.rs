//! Text into statements. What people write is parsed as it stands, so that errors say
//! where; what clients ask of Postgres' own catalog is put into words that the engine knows.

use datafusion::sql::sqlparser::{
    ast::Statement,
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;

/// Statements that one message may hold.
pub const MOST_STATEMENTS: usize = 16;
/// How deep a statement may be nested.
const DEPTH: usize = 100;

/// Words of statements about the catalog, and of what only Postgres has.
const CATALOG_WORDS: [&str; 9] = [
    "pg_",
    "regclass",
    "regtype",
    "information_schema",
    "current_catalog",
    "version()",
    "operator(",
    "collate",
    "current_schema",
];

/// What psql's `\d+` asks for in words that the engine doesn't know, and what stands for it:
/// no table here has options of storage.
const UNKNOWN: (&str, &str) = (
    "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ')",
    "''",
);

/// The statements of a text; none of one that says nothing.
///
/// # Errors
/// The syntax is wrong.
pub fn statements(
    compatible: &PostgresCompatibilityParser,
    text: &str,
) -> Result<Vec<Statement>, ParserError> {
    let lower = text.to_lowercase();
    let own = || {
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(DEPTH).try_with_sql(text)?.parse_statements()
    };
    let of_the_catalog = CATALOG_WORDS.iter().any(|word| lower.contains(word));
    if of_the_catalog || lower.trim_start().starts_with("abort") {
        // The first parse is for its limits and for where an error is.
        if let Err(error @ ParserError::RecursionLimitExceeded) = own() {
            return Err(error);
        }
        return compatible.parse(&text.replace(UNKNOWN.0, UNKNOWN.1));
    }
    own()
}
