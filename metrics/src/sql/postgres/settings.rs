//! SET, SHOW, BEGIN and their like: what drivers send before and around a query.
//!
//! Settings of Postgres are taken and, but for the few that mean something here, have no
//! effect but to be shown again (`variables`). Those of the engine are refused: they would lift
//! its limits.

use std::{sync::Arc, time::Duration};

use datafusion::{
    arrow::datatypes::{DataType, Field},
    prelude::SessionContext,
    sql::sqlparser::ast::{DiscardObject, Expr, Ident, Reset, Set, Statement},
};
use datafusion_postgres::{
    hooks::{HookClient, QueryHook, transactions::TransactionStatementHook},
    pgwire::{
        api::{
            ClientInfo, Type,
            portal::Format,
            results::{DataRowEncoder, FieldInfo, QueryResponse, Response, Tag},
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
        messages::{PgWireBackendMessage, startup::ParameterStatus},
    },
};
use futures::stream;

use super::variables::{self, Variables};

/// Where the library keeps a connection's `statement_timeout`.
const TIMEOUT: &str = "statement_timeout_ms";
/// Settings that are durations, and where they are kept, in milliseconds.
const DURATIONS: [(&str, &str); 2] =
    [("statement_timeout", TIMEOUT), ("idle_session_timeout", "idle_session_timeout_ms")];
/// Settings that the library knows what to do with; clients are told of them.
const KNOWN: [&str; 6] =
    ["datestyle", "bytea_output", "intervalstyle", "application_name", "extra_float_digits", "search_path"];
/// What a client says at its begin that is no setting.
const OF_CONNECTIONS: [&str; 4] = ["user", "database", "options", "replication"];

/// Takes what the connection string sets: `options=-c statement_timeout=5000`, and what drivers
/// set beside it.
pub fn begin<C: ClientInfo + ?Sized>(client: &mut C, variables: &Variables) {
    let options = client.metadata().get("options").cloned().unwrap_or_default();
    let options = options.split_whitespace().filter_map(|word| {
        let word = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).unwrap_or(word);
        word.split_once('=')
    });
    let alone = client.metadata().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let alone = alone.filter(|(name, _)| !OF_CONNECTIONS.contains(name) && !name.starts_with("_pq_"));
    let said = alone.chain(options).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let said: Vec<_> = said.collect();
    let mut begun = Vec::new();
    for (name, value) in said {
        match (duration_key(&name), millis(&value)) {
            (Some(key), Some(millis)) => {
                client.metadata_mut().insert(key.to_owned(), millis.to_string());
                begun.push((name, shown(millis)));
            }
            (Some(_), None) => {}
            (None, _) if refused(&name, &value).is_some() => {}
            (None, _) => begun.push((name, value)),
        }
    }
    variables.begin(begun);
    // Rows are written as SHOW tells it, however the client has spelt it and wherever.
    let metadata = client.metadata_mut();
    for name in KNOWN {
        match variables.begun(name) {
            Some(value) => metadata.insert(name.to_owned(), value),
            None => metadata.remove(name),
        };
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

/// The same, as Postgres writes it: in the largest unit that gives a whole number.
fn shown(millis: u64) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    let units = [(3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match units.into_iter().find(|(unit, _)| millis.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

/// The columns of what [`answer`] says without a plan; `None` for a query.
///
/// # Errors
/// SHOW of a setting that there is not.
pub fn columns(statement: &Statement, variables: &Variables) -> PgWireResult<Option<Vec<Field>>> {
    match statement {
        Statement::ShowVariable { variable } if !is_ours(variable) => {
            let (name, _) = wanted(variable, variables)?;
            Ok(Some(vec![Field::new(name, DataType::Utf8, false)]))
        }
        Statement::Set(_)
        | Statement::Reset(_)
        | Statement::Discard { .. }
        | Statement::Deallocate { .. }
        | Statement::Close { .. }
        | Statement::UNLISTEN { .. }
        | Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => Ok(Some(Vec::new())),
        _ => Ok(None),
    }
}

/// The answer to a statement that isn't a query; `None` for a query.
pub async fn answer(
    statement: &Statement,
    session: &SessionContext,
    client: &mut dyn HookClient,
    variables: &Variables,
    format: &Format,
) -> Option<PgWireResult<Response>> {
    let done = |tag: &str| Some(Ok(Response::Execution(Tag::new(tag))));
    match statement {
        Statement::Set(said) => Some(match set(said, client, variables) {
            Ok(changed) => tell(client, variables, changed, "SET").await,
            Err(error) => Err(error),
        }),
        Statement::Reset(said) => {
            let only = match &said.reset {
                Reset::ALL => None,
                Reset::ConfigurationParameter(name) => Some(name.to_string().to_lowercase()),
            };
            let changed = reset(client, variables, only.as_deref());
            Some(tell(client, variables, changed, "RESET").await)
        }
        Statement::Discard { object_type } => {
            let changed = match object_type {
                DiscardObject::ALL => reset(client, variables, None),
                _ => Vec::new(),
            };
            Some(tell(client, variables, changed, "DISCARD ALL").await)
        }
        Statement::Deallocate { .. } => done("DEALLOCATE"),
        Statement::UNLISTEN { .. } => done("UNLISTEN"),
        Statement::ShowVariable { variable } if is_ours(variable) => None,
        Statement::ShowVariable { variable } => Some(show(variable, variables, format)),
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

/// Tells the client of settings that have changed, as drivers read rows by some, and that all is done.
async fn tell(
    client: &mut dyn HookClient,
    variables: &Variables,
    changed: Vec<&'static str>,
    tag: &str,
) -> PgWireResult<Response> {
    for name in changed {
        let Some((shown, value)) = variables.get(name) else { continue };
        let status = ParameterStatus::new(shown, value);
        client.send_message(PgWireBackendMessage::ParameterStatus(status)).await?;
    }
    Ok(Response::Execution(Tag::new(tag)))
}

/// Takes a setting; which of those that clients are told of it has changed.
fn set<C: ClientInfo + ?Sized>(
    said: &Set,
    client: &mut C,
    variables: &Variables,
) -> PgWireResult<Vec<&'static str>> {
    let (name, values) = match said {
        Set::SingleAssignment { variable, values, .. } => {
            (variable.to_string().to_lowercase(), values.as_slice())
        }
        Set::SetTimeZone { value, .. } => ("timezone".to_owned(), std::slice::from_ref(value)),
        _ => return Ok(Vec::new()),
    };
    if name.starts_with("datafusion.") {
        return Err(wrong("42501", "the engine's settings can't be changed"));
    }
    if is_default(values) {
        return Ok(reset(client, variables, Some(&name)));
    }
    let mut value = values.iter().map(text).collect::<Vec<_>>().join(", ");
    if let Some(key) = duration_key(&name) {
        let Some(millis) = millis(&value) else {
            return Err(wrong("22023", &format!("{value} is no duration: try '5s'")));
        };
        client.metadata_mut().insert(key.to_owned(), millis.to_string());
        value = shown(millis);
    }
    if let Some(why) = refused(&name, &value) {
        return Err(wrong("22023", &why));
    }
    variables.set(&name, &value).map_err(|why| wrong("53400", &why))?;
    let Some(known) = KNOWN.into_iter().find(|known| *known == name) else { return Ok(Vec::new()) };
    client.metadata_mut().insert(name, value);
    Ok(vec![known])
}

/// Why a setting can't have a value with which later rows could not be written.
fn refused(name: &str, value: &str) -> Option<String> {
    let lower = value.to_lowercase();
    let (is_good, good) = match name {
        "intervalstyle" => (
            ["postgres", "postgres_verbose", "sql_standard", "iso_8601"].contains(&lower.as_str()),
            "postgres, postgres_verbose, sql_standard or iso_8601",
        ),
        "bytea_output" => (["hex", "escape"].contains(&lower.as_str()), "hex or escape"),
        "extra_float_digits" => {
            (value.parse::<i8>().is_ok_and(|digits| (-15..=3).contains(&digits)), "-15 to 3")
        }
        _ => return None,
    };
    (!is_good).then(|| format!("invalid value for parameter \"{name}\": \"{value}\"; it may be {good}"))
}

/// A value without its quotes.
fn text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    }
}

/// `SET x TO DEFAULT`, `SET TIME ZONE LOCAL`.
fn is_default(values: &[Expr]) -> bool {
    let [Expr::Identifier(Ident { value, quote_style: None, .. })] = values else { return false };
    value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local")
}

/// A setting is as it was when the client connected; without a name all are. Which of those that
/// clients are told of it has changed.
fn reset<C: ClientInfo + ?Sized>(
    client: &mut C,
    variables: &Variables,
    only: Option<&str>,
) -> Vec<&'static str> {
    variables.reset(only);
    let durations = DURATIONS.into_iter().map(|(name, key)| {
        let begun = variables.begun(name).and_then(|value| millis(&value));
        (name, key, begun.map(|millis| millis.to_string()))
    });
    let known = KNOWN.into_iter().map(|name| (name, name, variables.begun(name)));
    let metadata = client.metadata_mut();
    let mut changed = Vec::new();
    for (name, key, begun) in durations.chain(known) {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let before = match begun.clone() {
            Some(value) => metadata.insert(key.to_owned(), value),
            None => metadata.remove(key),
        };
        if before != begun && KNOWN.contains(&name) {
            changed.push(name);
        }
    }
    changed
}

/// The setting that SHOW names, as Postgres writes it, and its value.
fn wanted(variable: &[Ident], variables: &Variables) -> PgWireResult<(String, String)> {
    let words: Vec<String> = variable.iter().map(|word| word.value.to_lowercase()).collect();
    let name = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["time", "zone"] => "timezone".to_owned(),
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        words => words.join("."),
    };
    variables.get(&name).ok_or_else(|| wrong("42704", &variables::unknown(&name)))
}

fn show(variable: &[Ident], variables: &Variables, format: &Format) -> PgWireResult<Response> {
    let (name, value) = wanted(variable, variables)?;
    let fields = Arc::new(vec![FieldInfo::new(name, None, None, Type::TEXT, format.format_for(0))]);
    let mut row = DataRowEncoder::new(fields.clone());
    row.encode_field(&Some(value.as_str()))?;
    let rows = stream::iter([Ok(row.take_row())]);
    Ok(Response::Query(QueryResponse::new(fields, rows)))
}

/// `SHOW TABLES`, `SHOW COLUMNS` and so on are questions about the tables.
fn is_ours(variable: &[Ident]) -> bool {
    let first = variable.first().map(|word| word.value.to_lowercase());
    first.is_some_and(|first| ["tables", "columns", "functions", "all"].contains(&first.as_str()))
}

fn wrong(code: &str, why: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), why.to_owned())))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
    use datafusion_postgres::pgwire::{api::DefaultClient, types::format::FormatOptions};

    use super::*;

    fn client(begun: &[(&str, &str)], variables: &Variables) -> DefaultClient<()> {
        let mut client = DefaultClient::new(([127, 0, 0, 1], 5432).into(), true);
        let begun = begun.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        client.metadata.extend(begun);
        begin(&mut client, variables);
        client
    }

    /// Which settings the client is told of, or the error's code and message.
    fn said(text: &str, client: &mut DefaultClient<()>, variables: &Variables) -> Result<String, String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, text).expect(text).remove(0);
        let Statement::Set(said) = statement else { panic!("{text} is no SET") };
        match set(&said, client, variables) {
            Ok(changed) => Ok(changed.join(", ")),
            Err(PgWireError::UserError(info)) => Err(format!("{}: {}", info.code, info.message)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn rows_are_written_as_it_was_set_however_it_is_said() {
        let variables = Variables::default();
        let mut client = client(&[], &variables);
        for (text, told) in [
            ("set bytea_output = escape", "bytea_output"),
            ("set DateStyle to German", "datestyle"),
            ("set session intervalstyle = 'iso_8601'", "intervalstyle"),
            ("set extra_float_digits = -3", "extra_float_digits"),
            ("set my.own = 1", ""),
        ] {
            assert_eq!(said(text, &mut client, &variables).as_deref(), Ok(told), "{text}");
        }
        let written = FormatOptions::from_client_metadata(&client.metadata);
        assert_eq!((written.bytea_output.as_str(), written.date_style.as_str()), ("escape", "German"));
        assert_eq!((written.interval_style.as_str(), written.extra_float_digits), ("iso_8601", -3));
        said("set datestyle = ISO, DMY", &mut client, &variables).expect("set");
        assert_eq!(FormatOptions::from_client_metadata(&client.metadata).date_style, "ISO, DMY");
    }

    #[test]
    fn what_is_set_back_the_client_is_told_of_and_only_that() {
        let variables = Variables::default();
        let begun = [("options", "-c datestyle=German"), ("IntervalStyle", "sql_standard")];
        let mut client = client(&begun, &variables);
        let written = |client: &DefaultClient<()>| {
            let written = FormatOptions::from_client_metadata(&client.metadata);
            format!("{} {}", written.date_style, written.interval_style)
        };
        assert_eq!(written(&client), "German sql_standard");
        assert_eq!(reset(&mut client, &variables, None), [""; 0], "nothing was set");
        said("set datestyle = 'SQL, DMY'", &mut client, &variables).expect("set");
        said("set intervalstyle = iso_8601", &mut client, &variables).expect("set");
        assert_eq!(written(&client), "SQL, DMY iso_8601");
        assert_eq!(said("set datestyle to default", &mut client, &variables).as_deref(), Ok("datestyle"));
        assert_eq!(reset(&mut client, &variables, None), ["intervalstyle"]);
        assert_eq!(written(&client), "German sql_standard");
    }

    #[test]
    fn values_with_which_no_row_can_be_written_are_refused() {
        let variables = Variables::default();
        let mut client = client(&[("intervalstyle", "iso"), ("options", "-c bytea_output=x")], &variables);
        assert_eq!(FormatOptions::from_client_metadata(&client.metadata), FormatOptions::default());
        let why = said("set intervalstyle = 'iso'", &mut client, &variables).expect_err("refused");
        assert!(why.starts_with("22023: invalid value for parameter \"intervalstyle\": \"iso\""), "{why}");
        for (text, is_good) in [
            ("set intervalstyle = 'Postgres_Verbose'", true),
            ("set bytea_output = base64", false),
            ("set bytea_output = hex", true),
            ("set extra_float_digits = 3", true),
            ("set extra_float_digits = 4", false),
            ("set extra_float_digits = -15", true),
            ("set extra_float_digits = -16", false),
            ("set extra_float_digits = many", false),
        ] {
            assert_eq!(said(text, &mut client, &variables).is_ok(), is_good, "{text}");
        }
        assert_eq!(variables.get("bytea_output").expect("known").1, "hex");
    }

    /// The columns of an answer as `NAME, NAME`, or the error's code.
    fn columns_of(text: &str, variables: &Variables) -> Option<String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, text).expect(text).remove(0);
        let found = match columns(&statement, variables) {
            Ok(found) => found?,
            Err(PgWireError::UserError(info)) => return Some(info.code.clone()),
            Err(error) => return Some(error.to_string()),
        };
        let names: Vec<&str> = found.iter().map(|column| column.name().as_str()).collect();
        Some(names.join(", "))
    }

    #[test]
    fn what_drivers_prepare_is_described_before_it_is_answered() {
        let variables = Variables::default();
        variables.set("my.own", "1").expect("set");
        for (text, expected) in [
            ("show transaction isolation level", Some("transaction_isolation")),
            ("SHOW standard_conforming_strings", Some("standard_conforming_strings")),
            ("show time zone", Some("TimeZone")),
            ("show my.own", Some("my.own")),
            ("show nothing_such", Some("42704")),
            ("set my.own = 1", Some("")),
            ("unlisten *", Some("")),
            ("begin", Some("")),
            ("select 1", None),
            ("show tables", None),
        ] {
            assert_eq!(columns_of(text, &variables).as_deref(), expected, "{text}");
        }
    }

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
    #[test]
    fn durations_are_shown_in_the_largest_unit_that_is_whole() {
        for (millis, expected) in
            [(0, "0"), (300, "300ms"), (1500, "1500ms"), (5000, "5s"), (60_000, "1min"), (7_200_000, "2h")]
        {
            assert_eq!(shown(millis), expected);
        }
    }
}
