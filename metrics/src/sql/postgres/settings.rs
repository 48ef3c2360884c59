//! SET, SHOW, BEGIN and their like: what drivers send before and around a query.
//!
//! Settings of Postgres are taken and, but for the few that mean something here, have no
//! effect. Those of the engine are refused: they would lift its limits.

use std::time::Duration;

use datafusion::{
    prelude::SessionContext,
    sql::sqlparser::ast::{Expr, Set, Statement},
};
use datafusion_postgres::{
    hooks::{HookClient, QueryHook, set_show::SetShowHook, transactions::TransactionStatementHook},
    pgwire::{
        api::{
            ClientInfo,
            results::{Response, Tag},
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
    },
};

/// Where the library keeps a connection's `statement_timeout`.
const TIMEOUT: &str = "statement_timeout_ms";
/// Settings that are durations, and where they are kept, in milliseconds.
const DURATIONS: [(&str, &str); 2] =
    [("statement_timeout", TIMEOUT), ("idle_session_timeout", "idle_session_timeout_ms")];
/// Settings that the library knows what to do with.
const KNOWN: [&str; 7] = [
    "statement_timeout",
    "datestyle",
    "bytea_output",
    "intervalstyle",
    "application_name",
    "extra_float_digits",
    "search_path",
];

/// Takes what the connection string sets: `options=-c statement_timeout=5000`.
pub fn begin<C: ClientInfo + ?Sized>(client: &mut C) {
    let options = client.metadata().get("options").cloned().unwrap_or_default();
    for setting in options.split_whitespace().filter_map(|word| {
        let word = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).unwrap_or(word);
        word.split_once('=')
    }) {
        let (name, value) = setting;
        if let (Some(key), Some(millis)) = (duration_key(name), millis(value)) {
            client.metadata_mut().insert(key.to_owned(), millis.to_string());
        }
    }
}

/// How long a statement may take, if the client has said.
pub fn timeout<C: ClientInfo + ?Sized>(client: &C) -> Option<Duration> {
    duration(client, TIMEOUT)
}

/// How long a connection may be idle: as the client has said, and so long at most.
pub fn idle<C: ClientInfo + ?Sized>(client: &C, most: Duration) -> Duration {
    let own = duration_key("idle_session_timeout").and_then(|key| duration(client, key));
    own.map_or(most, |own| own.min(most))
}

fn duration_key(name: &str) -> Option<&'static str> {
    DURATIONS.into_iter().find(|(known, _)| *known == name).map(|(_, key)| key)
}

/// A duration that the client has set; 0 is none.
fn duration<C: ClientInfo + ?Sized>(client: &C, key: &str) -> Option<Duration> {
    let millis: u64 = client.metadata().get(key)?.parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// `5000`, `5s`, `1min`.
fn millis(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches(['\'', '"']);
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)?.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// The answer to a statement that isn't a query; `None` for a query.
pub async fn answer(
    statement: &Statement,
    session: &SessionContext,
    client: &mut dyn HookClient,
) -> Option<PgWireResult<Response>> {
    let done = |tag: &str| Some(Ok(Response::Execution(Tag::new(tag))));
    match statement {
        Statement::Set(Set::SingleAssignment { variable, values, .. }) => {
            let name = variable.to_string().to_lowercase();
            if name.starts_with("datafusion.") {
                return Some(Err(refused("the engine's settings can't be changed")));
            }
            if let Some(key) = duration_key(&name) {
                let value = values.first().map(ToString::to_string).unwrap_or_default();
                let Some(millis) = millis(&value) else {
                    return Some(Err(invalid(&format!("{value} is no duration: try '5s'"))));
                };
                client.metadata_mut().insert(key.to_owned(), millis.to_string());
                return done("SET");
            }
            if KNOWN.contains(&name.as_str()) && matches!(values.first(), Some(Expr::Value(_))) {
                return SetShowHook.handle_simple_query(statement, session, client).await;
            }
            done("SET")
        }
        Statement::Set(_) => done("SET"),
        Statement::Reset(_) => done("RESET"),
        Statement::Discard { .. } => done("DISCARD ALL"),
        Statement::Deallocate { .. } => done("DEALLOCATE"),
        Statement::UNLISTEN { .. } => done("UNLISTEN"),
        Statement::ShowVariable { variable } if is_ours(variable) => None,
        Statement::ShowVariable { .. } => SetShowHook.handle_simple_query(statement, session, client).await,
        // Nothing is ever written, so that there is nothing to go back to.
        Statement::Savepoint { .. } => done("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => done("RELEASE"),
        // It heals a transaction that an error broke.
        Statement::Rollback { savepoint: Some(_), .. } => {
            Some(Ok(Response::TransactionStart(Tag::new("ROLLBACK"))))
        }
        _ => TransactionStatementHook.handle_simple_query(statement, session, client).await,
    }
}

/// `SHOW TABLES`, `SHOW COLUMNS` and so on are questions about the tables.
fn is_ours(variable: &[datafusion::sql::sqlparser::ast::Ident]) -> bool {
    let first = variable.first().map(|word| word.value.to_lowercase());
    first.is_some_and(|first| ["tables", "columns", "functions", "all"].contains(&first.as_str()))
}

fn refused(why: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), "42501".to_owned(), why.to_owned())))
}

fn invalid(why: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), "22023".to_owned(), why.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn durations_have_units() {
        let table = [
            ("5000", Some(5000)),
            ("'250ms'", Some(250)),
            ("2s", Some(2000)),
            ("1 min", Some(60_000)),
            ("0", Some(0)),
            ("soon", None),
            ("5x", None),
        ];
        for (text, expected) in table {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
