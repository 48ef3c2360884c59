//! Text into statements. What people write is parsed as it stands, so that errors say
//! where; what clients ask of Postgres' own catalog is put into words that the engine knows.
//!
//! ```text
//! no word of Postgres ───────────────────────────────────────────> as it stands
//! words of it, but a table of ours (or none at all) ─ harmless ──> as it stands, but for these words
//! tables of the catalog only ──────────────────────── all rules ─> what the engine can plan of it
//! ```
//!
//! Some of the library's rules make another question of a statement: a subquery becomes null, a
//! column gets another name. What it must not do: apply them where somebody asks for our tables.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{Expr, Query, Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut},
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};
use datafusion_postgres::datafusion_pg_catalog::sql::{
    PostgresCompatibilityParser,
    rules::{
        CurrentUserVariableToSessionUserFunctionCall, FixArrayLiteral, FixVersionColumnName,
        PrependUnqualifiedPgTableName, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
        RewriteRegCastToSubquery, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
    },
};

/// Statements that one message may hold.
pub const MOST_STATEMENTS: usize = 16;
/// How deep a statement may be nested.
const DEPTH: usize = 100;

/// What words of Postgres' own begin with.
const PREFIX: &str = "pg_";
/// The schemas of the catalog.
const SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];
/// The types by which the catalog's numbers are named.
const NAMED_NUMBERS: [&str; 4] = ["regclass", "regnamespace", "regproc", "regtype"];
/// Other words that only Postgres has.
const WORDS: [&str; 6] =
    ["information_schema", "current_catalog", "current_schema", "version", "operator", "collate"];

/// What psql's `\d+` asks for in words that the engine doesn't know, and what stands for it:
/// no table here has options of storage.
const UNKNOWN: (&str, &str) = (
    "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ')",
    "''",
);

/// How Grafana asks which schemas may be left out in front of a table, and the one that may.
const SEARCH_PATH: (&str, &str) = (
    "select case when trim(s[i]) = '\"$user\"' then user else trim(s[i]) end
     from generate_series(
         array_lower(string_to_array(current_setting('search_path'),','),1),
         array_upper(string_to_array(current_setting('search_path'),','),1)
     ) as i, string_to_array(current_setting('search_path'),',') s",
    "public",
);

/// Parses what clients of Postgres send.
pub struct Translator {
    whole: PostgresCompatibilityParser,
    /// Those of its rules that leave every statement the question it is.
    harmless: Vec<Box<dyn SqlStatementRewriteRule>>,
    /// Grafana's question, as the parser writes it.
    search_path: Option<String>,
}

impl Default for Translator {
    fn default() -> Self {
        let asked = Parser::new(&PostgreSqlDialect {}).try_with_sql(SEARCH_PATH.0);
        let asked = asked.and_then(|mut parser| parser.parse_query());
        Self {
            whole: PostgresCompatibilityParser::new(),
            harmless: vec![
                Box::new(RewriteArrayAnyAllOperation),
                Box::new(StripCallableQualifier),
                Box::new(FixArrayLiteral),
                Box::new(CurrentUserVariableToSessionUserFunctionCall),
                Box::new(StripCollate),
                Box::new(RewritePgCatalogOperator),
                Box::new(RewriteRegCastToSubquery::new()),
                Box::new(FixVersionColumnName),
            ],
            search_path: asked.ok().map(|query| query.to_string()),
        }
    }
}

impl Translator {
    /// The statements of a text; none of one that says nothing.
    ///
    /// # Errors
    /// The syntax is wrong.
    pub fn statements(&self, text: &str) -> Result<Vec<Statement>, ParserError> {
        let own = parsed(text);
        if matches!(own, Err(ParserError::RecursionLimitExceeded)) || !has_words_of_postgres(text) {
            return own;
        }
        let own = match own {
            Ok(own) if !own.iter().any(is_of_the_catalog) => {
                return Ok(own.into_iter().map(|statement| self.plain(statement)).collect());
            }
            own => own,
        };
        match (own, self.whole.parse(&text.replace(UNKNOWN.0, UNKNOWN.1))) {
            // This one says where.
            (Err(error), Err(_)) => Err(error),
            // No rule makes another question of one about our tables.
            (Err(error), Ok(translated)) if translated.iter().any(|it| Named::by(it).ours) => Err(error),
            (Ok(own), Ok(translated)) if own.len() == translated.len() => {
                Ok(own.into_iter().zip(translated).map(|(own, other)| self.chosen(own, other)).collect())
            }
            (_, translated) => translated,
        }
    }

    fn plain(&self, statement: Statement) -> Statement {
        // What a statement calls its own subquery is no table of the catalog.
        let statement = if Named::by(&statement).hides_the_catalog {
            statement
        } else {
            PrependUnqualifiedPgTableName.rewrite(statement)
        };
        self.harmless.iter().fold(statement, |statement, rule| rule.rewrite(statement))
    }

    /// Of a statement as it stands and as the library has it, the one that is meant.
    fn chosen(&self, mut own: Statement, translated: Statement) -> Statement {
        if !is_of_the_catalog(&own) {
            return self.plain(own);
        }
        // The library lets nothing be in it.
        let mut path = SearchPath { asked: self.search_path.as_deref(), found: false };
        let _ = VisitMut::visit(&mut own, &mut path);
        if path.found { self.whole.rewrite(own) } else { translated }
    }
}

fn parsed(text: &str) -> Result<Vec<Statement>, ParserError> {
    let dialect = PostgreSqlDialect {};
    let mut tokens = Tokenizer::new(&dialect, text).tokenize_with_location()?;
    spell_abort(&mut tokens);
    Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens).parse_statements()
}

/// Where a statement begins, ABORT is ROLLBACK, which the parser knows.
fn spell_abort(tokens: &mut [TokenWithSpan]) {
    let mut begins = true;
    for spelt in tokens {
        if begins && matches!(&spelt.token, Token::Word(word) if word.keyword == Keyword::ABORT) {
            spelt.token = Token::make_keyword("ROLLBACK");
        }
        if !matches!(spelt.token, Token::Whitespace(_)) {
            begins = spelt.token == Token::SemiColon;
        }
    }
}

/// Whether a name or a keyword of a text is one of Postgres' own, whatever its literals and
/// comments say.
fn has_words_of_postgres(text: &str) -> bool {
    let is_of_postgres = |word: &str| {
        let word = word.to_lowercase();
        let word = word.as_str();
        word.starts_with(PREFIX) || WORDS.contains(&word) || NAMED_NUMBERS.contains(&word)
    };
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().unwrap_or_default();
    tokens.iter().any(|token| matches!(token, Token::Word(word) if is_of_postgres(&word.value)))
}

/// Whether a statement asks the catalog, and nothing else.
fn is_of_the_catalog(statement: &Statement) -> bool {
    let named = Named::by(statement);
    named.of_the_catalog && !named.ours
}

/// What a statement names.
#[derive(Default)]
struct Named {
    of_the_catalog: bool,
    ours: bool,
    /// Whether it calls a subquery of its own as Postgres calls its tables.
    hides_the_catalog: bool,
    /// What the queries around a place call their subqueries, the innermost last.
    with: Vec<BTreeSet<String>>,
    /// Subqueries whose names hold only behind them, by where they are in the statement.
    unfinished: Vec<(*const Query, String)>,
}

impl Named {
    fn by(statement: &Statement) -> Self {
        let mut named = Self::default();
        let _ = Visit::visit(statement, &mut named);
        named
    }
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let mut held = BTreeSet::new();
        if let Some(with) = &query.with {
            for table in &with.cte_tables {
                let name = table.alias.name.value.to_lowercase();
                self.hides_the_catalog |= name.starts_with(PREFIX);
                if with.recursive {
                    held.insert(name);
                } else {
                    self.unfinished.push((std::ptr::from_ref(&*table.query), name));
                }
            }
        }
        self.with.push(held);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.with.pop();
        let is_this = |(place, _): &(*const Query, String)| std::ptr::eq(*place, query);
        if let Some(index) = self.unfinished.iter().position(is_this) {
            let (_, name) = self.unfinished.swap_remove(index);
            if let Some(around) = self.with.last_mut() {
                around.insert(name);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        let parts = name.0.iter().filter_map(|part| part.as_ident());
        let parts: Vec<String> = parts.map(|part| part.value.to_lowercase()).collect();
        match parts.as_slice() {
            [table] if self.with.iter().any(|names| names.contains(table)) => {}
            [table] if table.starts_with(PREFIX) => self.of_the_catalog = true,
            [.., schema, _] if SCHEMAS.contains(&schema.as_str()) => self.of_the_catalog = true,
            _ => self.ours = true,
        }
        ControlFlow::Continue(())
    }
}

/// Puts the answer where the search path is asked for.
struct SearchPath<'a> {
    asked: Option<&'a str>,
    found: bool,
}

impl VisitorMut for SearchPath<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::InSubquery { expr: inner, subquery, negated } = expr
            && self.asked.is_some_and(|asked| subquery.to_string() == asked)
        {
            let schema = Value::SingleQuotedString(SEARCH_PATH.1.to_owned()).with_empty_span();
            let (inner, negated) = (inner.clone(), *negated);
            *expr = Expr::InList { expr: inner, list: vec![Expr::Value(schema)], negated };
            self.found = true;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        let statements = Translator::default().statements(text);
        statements.expect(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_asks_for_our_tables_stays_the_question_it_is() {
        let counted = "(select count(*) from objects.pods p where p.namespace = n.name)";
        let of_namespaces = format!("select n.name, {counted} as c from objects.namespaces n where n.name");
        for text in [
            format!("{of_namespaces} <> 'pg_x'").as_str(),
            format!("{of_namespaces} <> n.pg_column").as_str(),
            // The catalog is asked too.
            format!("{of_namespaces} in (select nspname from pg_catalog.pg_namespace)").as_str(),
            "select time, * from samples where name = 'pg_up'",
            "select time, * from samples -- not pg_class",
            "select time, * from samples where name in ('regclass', 'information_schema.tables')",
            "select s.time, s.* from samples s where name = $$collate pg_class$$ order by time",
            "select time, version, * from objects.pg_clusters",
            "select \"Version\", (select max(t.time) from logs t where t.pod = l.pod) as m from logs l",
            // What a subquery is called holds behind it: within it the table of that name is ours.
            "with pod as (select * from pod) \
             select p.pod, (select count(*) from pg_catalog.pg_class c where c.relname = p.pod) from pod p",
            "with pg_tables as (select pod from pod) select * from pg_tables",
        ] {
            let own = parsed(text).expect(text);
            assert_eq!(written(text), own.iter().map(ToString::to_string).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn words_of_postgres_alone_change_nothing_but_themselves() {
        for (text, expected) in [
            ("select current_schema", "SELECT current_schema()"),
            ("select pg_catalog.version()", "SELECT version() AS version"),
            ("select time, * from pod order by name collate \"C\"", "SELECT time, * FROM pod ORDER BY name"),
            ("abort", "ROLLBACK"),
            ("select abort from pod", "SELECT abort FROM pod"),
        ] {
            assert_eq!(written(text), [expected]);
        }
    }

    #[test]
    fn a_neighbour_that_only_postgres_knows_makes_no_other_question_of_ours() {
        let ours = "SELECT p.pod, (SELECT count(*) FROM container c WHERE c.pod = p.pod) FROM pod p";
        assert_eq!(written(&format!("abort;{ours}; /* and */ abort work")), ["ROLLBACK", ours, "ROLLBACK"]);
        // The library spells it anywhere.
        let neighbour = format!("prepare x as abort; select relname from pg_class; {ours}");
        Translator::default().statements(&neighbour).expect_err("it is not ours to spell");
    }

    #[test]
    fn the_catalog_is_asked_in_words_of_the_engine() {
        let aliased = "SELECT n.oid AS __alias_oid, n.* FROM pg_catalog.pg_namespace n";
        assert_eq!(written("select n.oid, n.* from pg_namespace n"), [aliased]);
        // Each statement of a message is looked at by itself.
        let both = written("select time, * from pod; select n.oid, n.* from pg_namespace n");
        assert_eq!(both, ["SELECT time, * FROM pod", aliased]);
        let cast = &written("select 'pod'::regclass")[0];
        assert!(cast.contains("FROM pg_catalog.pg_class"), "{cast}");
        let asked = &written("select $1::regclass")[0];
        assert!(asked.contains("FROM pg_catalog.pg_class") && asked.contains("$1"), "{asked}");
        let within = "with t as (select oid from pg_class) select t.oid, t.* from t";
        assert!(written(within)[0].contains("__alias_oid"), "its own subquery is no table of ours");
        let itself = "with recursive t as (select oid from pg_class union select oid from t) \
             select t.oid, t.* from t";
        assert!(written(itself)[0].contains("__alias_oid"), "within itself neither");
    }

    #[test]
    fn the_search_path_has_one_schema() {
        // However it is laid out.
        let words: Vec<_> = SEARCH_PATH.0.split_whitespace().collect();
        let asked = words.join("\n").replace("select", "SELECT");
        let tables = "select table_name from information_schema.tables where quote_ident(table_schema)";
        let said = &written(&format!("{tables} in ({asked})"))[0];
        assert!(said.ends_with("WHERE quote_ident(table_schema) IN ('public')"), "{said}");
    }

    #[test]
    fn an_error_among_words_of_the_catalog_says_where() {
        let error = Translator::default().statements("select oid from pg_class c d").expect_err("wrong");
        assert!(error.to_string().contains("Line: 1, Column: 28"), "{error}");
    }
}
