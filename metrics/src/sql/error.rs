//! Why a statement gave no answer: what is wrong, where it stands, what it may have
//! been meant to be, and the SQLSTATE that clients of Postgres expect.

use std::{fmt, time::Duration};

use datafusion::{
    common::{
        Column, DataFusionError, SchemaError, TableReference, diagnostic::Diagnostic,
        utils::datafusion_strsim::levenshtein,
    },
    prelude::SessionContext,
    sql::sqlparser::parser::ParserError,
};

/// Names that one hint lists at most.
const MOST_NAMES: usize = 40;
/// Bytes of a name that is compared with others; what is longer is none that was misspelt.
const LONGEST_NAME: usize = 64;

/// Why a statement gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The statement is wrong, or not a query.
    #[error("{0}")]
    Invalid(Wrong),
    #[error("the statement did not end within {} s; narrow it by time or add a limit", .0.as_secs_f64())]
    TooSlow(Duration),
    #[error(
        "the answer is larger than {0} MB; add a limit, select fewer columns, or take it as csv or jsonl"
    )]
    TooLarge(usize),
    #[error("the statement was cancelled")]
    Cancelled,
    #[error("the reader took nothing for too long")]
    SlowReader,
    #[error("the statement broke off; the server's log says why")]
    Died,
    #[error("the answer could not be written: {0}")]
    Format(String),
}

/// What is wrong with a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    /// SQLSTATE, five characters.
    pub code: &'static str,
    /// Line and column from 1, in characters.
    pub place: Option<(u64, u64)>,
    /// What may have been meant, and what there is.
    pub hint: Option<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some((line, column)) = self.place {
            write!(f, " at line {line}, column {column}")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl Wrong {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code, place: None, hint: None }
    }

    /// The place as a number of characters from 1.
    pub fn position(&self, statement: &str) -> Option<usize> {
        let (line, column) = self.place?;
        let before = usize::try_from(line).ok()?.checked_sub(1)?;
        let lines: usize =
            statement.split_inclusive('\n').take(before).map(|line| line.chars().count()).sum();
        Some(lines + usize::try_from(column).ok()?)
    }
}

impl SqlError {
    /// The engine's error, without the names of its own layers.
    pub fn of(error: &DataFusionError) -> Self {
        Self::Invalid(wrong(error))
    }

    /// The same, with what the session has under similar names.
    pub async fn within(error: &DataFusionError, session: &SessionContext) -> Self {
        let mut wrong = wrong(error);
        if wrong.code == "42P01"
            && let Some(name) = missing_table(&wrong.message)
        {
            let names = tables(session).await;
            wrong.message = format!("there is no table {name}");
            wrong.hint = Some(nearest(&name, &names, "the tables are"));
        }
        if wrong.code == NO_FUNCTION
            && let Some((name, of_rows)) = missing_function(&wrong.message)
        {
            let names = functions(session, of_rows);
            let what = if of_rows { "table function" } else { "function" };
            let message = format!("there is no {what} {name}");
            wrong.hint = Some(match meant(name, &names) {
                _ if of_rows => nearest(name, &names, "those are"),
                Some(meant) => format!("did you mean {meant}? {ALL_FUNCTIONS}"),
                None => ALL_FUNCTIONS.to_owned(),
            });
            wrong.message = message;
        }
        Self::Invalid(wrong)
    }

    /// SQLSTATE.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(wrong) => wrong.code,
            Self::TooSlow(_) | Self::Cancelled | Self::SlowReader => "57014",
            Self::TooLarge(_) => "54000",
            Self::Died | Self::Format(_) => "XX000",
        }
    }
}

/// No function has this name, or none takes these arguments.
const NO_FUNCTION: &str = "42883";

/// How `current_setting` of the Postgres door begins to say that there is no such setting.
const NO_SETTING: &str = "unrecognized configuration parameter ";

/// Too many to list.
const ALL_FUNCTIONS: &str = "the table functions has them all";

/// What the engine says in front of its sentence, for those who work on it.
const LAYERS: [&str; 6] = [
    "Error during planning: ",
    "Execution error: ",
    "Schema error: ",
    "SQL error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
];
/// How it refuses what the options rule out, and more than one statement.
const REFUSALS: [&str; 4] = [
    "DDL not supported",
    "DML not supported",
    "Statement not supported",
    "The context currently only supports a single SQL statement",
];

fn wrong(error: &DataFusionError) -> Wrong {
    if let DataFusionError::SQL(syntax, _) = error.find_root() {
        return syntax_error(syntax);
    }
    let diagnostic = error.diagnostic();
    let place =
        diagnostic.and_then(|diagnostic| diagnostic.span).map(|span| (span.start.line, span.start.column));
    let mut inner = error;
    loop {
        inner = match inner {
            DataFusionError::Context(_, cause) | DataFusionError::Diagnostic(_, cause) => cause,
            DataFusionError::Shared(cause) => cause,
            DataFusionError::Collection(all) if !all.is_empty() => &all[0],
            _ => break,
        };
    }
    if let DataFusionError::SchemaError(schema, _) = inner {
        return schema_error(schema, place);
    }
    let text = inner.strip_backtrace();
    let text = LAYERS.iter().fold(&*text, |text, layer| text.strip_prefix(layer).unwrap_or(text));
    if let Some(said) = of_arguments(text) {
        return Wrong { message: said.to_owned(), code: NO_FUNCTION, place, hint: None };
    }
    if REFUSALS.iter().any(|refusal| text.starts_with(refusal)) {
        let what = "one question at a time is answered: SELECT, WITH, SHOW, DESCRIBE or EXPLAIN";
        return Wrong::new("25006", format!("{what} ({text})"));
    }
    let code = code(inner, text);
    let (text, hint) = match text.split_once(".\nDid you mean ") {
        Some((said, meant)) => (said, Some(format!("did you mean {}?", meant.trim_end_matches('?')))),
        None => (text, helped(diagnostic)),
    };
    Wrong { message: text.to_owned(), code, place, hint }
}

/// What a function says of its arguments, among the engine's sentences around it.
fn of_arguments(text: &str) -> Option<&str> {
    let (_, said) = text.split_once(" user-defined coercion failed with: ")?;
    let said = LAYERS.iter().fold(said, |said, layer| said.strip_prefix(layer).unwrap_or(said));
    Some(said.split_once(". No function matches ").map_or(said, |(said, _)| said))
}

fn helped(diagnostic: Option<&Diagnostic>) -> Option<String> {
    diagnostic?.helps.first().map(|help| help.message.clone())
}

fn code(error: &DataFusionError, text: &str) -> &'static str {
    match error {
        _ if text.starts_with(NO_SETTING) => "42704",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::Internal(_) => "XX000",
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => "22000",
        DataFusionError::Plan(_) if missing_table(text).is_some() => "42P01",
        DataFusionError::Plan(_) if missing_function(text).is_some() => NO_FUNCTION,
        _ => "42000",
    }
}

fn syntax_error(error: &ParserError) -> Wrong {
    let (ParserError::ParserError(message) | ParserError::TokenizerError(message)) = error else {
        return Wrong::new("54001", "the statement is nested too deeply");
    };
    let mut wrong = Wrong::new("42601", message.clone());
    // The parser says the place in its sentence.
    if let Some((said, place)) = message.split_once(" at Line: ")
        && let Some((line, column)) = place.split_once(", Column: ")
        && let (Ok(line), Ok(column)) = (line.trim().parse(), column.trim().parse())
    {
        wrong.message = said.to_owned();
        wrong.place = Some((line, column));
    }
    wrong
}

fn schema_error(error: &SchemaError, place: Option<(u64, u64)>) -> Wrong {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let hint = column_hint(field, valid_fields);
            let message = format!("there is no column {}", field.quoted_flat_name());
            let own = field.spans().first().map(|span| (span.start.line, span.start.column));
            Wrong { message, code: "42703", place: place.or(own), hint }
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("more than one table has a column {}: name the table too", field.name);
            Wrong { message, code: "42702", place, hint: None }
        }
        other => Wrong { message: other.to_string(), code: "42701", place, hint: None },
    }
}

fn column_hint(field: &Column, valid: &[Column]) -> Option<String> {
    let mut names: Vec<String> = valid.iter().map(|column| column.name.clone()).collect();
    // The same name of two tables is told once.
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    (!names.is_empty()).then(|| nearest(&field.name, &names, "the columns are"))
}

/// The nearest name, if one is near.
fn meant<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let wanted = name.to_lowercase();
    let distance = |known: &String| {
        let last = known.rsplit('.').next().unwrap_or(known).to_lowercase();
        levenshtein(&wanted, &known.to_lowercase()).min(levenshtein(&wanted, &last))
    };
    let near = names.iter().map(|known| (distance(known), known)).min();
    near.filter(|(distance, _)| *distance * 3 <= wanted.chars().count() + 1).map(|(_, known)| known)
}

/// The nearest name if one is near, and all there are.
fn nearest(name: &str, names: &[String], all: &str) -> String {
    let mut list = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES {
        list.push_str(", ...");
    }
    match meant(name, names) {
        Some(meant) => format!("did you mean {meant}? {all} {list}"),
        None => format!("{all} {list}"),
    }
}

/// The name in the engine's `table 'catalog.schema.name' not found`.
fn missing_table(message: &str) -> Option<String> {
    let full = message.strip_prefix("table '")?.strip_suffix("' not found")?;
    let name = TableReference::parse_str(full);
    let in_schema = name.schema().filter(|schema| *schema != "public");
    Some(in_schema.map_or_else(|| name.table().to_owned(), |schema| format!("{schema}.{}", name.table())))
}

/// The name in the engine's sentences about functions, and whether it stands where a table does.
fn missing_function(message: &str) -> Option<(&str, bool)> {
    if let Some(name) = message.strip_prefix("table function '") {
        return Some((name.strip_suffix("' not found")?, true));
    }
    let rest = message.strip_prefix("Invalid function '")?;
    Some((rest.split_once('\'').map_or(rest, |(name, _)| name), false))
}

/// The functions that the session has where one stands.
fn functions(session: &SessionContext, of_rows: bool) -> Vec<String> {
    let state = session.state();
    let mut names: Vec<String> = if of_rows {
        state.table_functions().keys().cloned().collect()
    } else {
        let of_a_row = state.scalar_functions().keys().chain(state.higher_order_functions().keys());
        let of_many = state.aggregate_functions().keys().chain(state.window_functions().keys());
        of_a_row.chain(of_many).cloned().collect()
    };
    names.sort_unstable();
    names
}

/// All tables that the session has.
async fn tables(session: &SessionContext) -> Vec<String> {
    let mut names = Vec::new();
    for catalog in session.catalog_names().iter().filter_map(|name| session.catalog(name)) {
        for schema in catalog.schema_names() {
            if ["information_schema", "pg_catalog"].contains(&schema.as_str()) {
                continue;
            }
            let Some(provider) = catalog.schema(&schema) else { continue };
            let prefix = if schema == "public" { String::new() } else { format!("{schema}.") };
            names.extend(provider.table_names().into_iter().map(|table| format!("{prefix}{table}")));
        }
    }
    names.sort_unstable_by_key(|name| (name.contains('.'), name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_through_lines() {
        let at = |line, column| Wrong { place: Some((line, column)), ..Wrong::default() };
        assert_eq!(at(1, 8).position("select x"), Some(8));
        assert_eq!(at(2, 3).position("selécт\n, x"), Some(10));
        assert_eq!(Wrong::default().position("x"), None);
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        let names = ["container", "node", "objects.pods"].map(str::to_owned);
        assert!(nearest("contaner", &names, "").starts_with("did you mean container?"));
        assert!(nearest("pod", &names, "").starts_with("did you mean objects.pods?"));
        assert!(!nearest("zebra", &names, "").contains("did you mean"));
    }

    #[test]
    fn functions_are_named_in_the_engines_sentences() {
        let table = [
            ("Invalid function 'suum'.\nDid you mean 'sum'?", Some(("suum", false))),
            ("Invalid function 'suum'", Some(("suum", false))),
            ("table function 'red' not found", Some(("red", true))),
            ("table 'tiphys.public.red' not found", None),
        ];
        for (message, expected) in table {
            assert_eq!(missing_function(message), expected, "{message}");
        }
        let around = "Function 'f' user-defined coercion failed with: Error during planning: f takes a time: \
            f(time). No function matches the given name and argument types 'f(Utf8)'. You might need";
        assert_eq!(of_arguments(around), Some("f takes a time: f(time)"));
        assert_eq!(of_arguments("f takes a time"), None);
    }
}
