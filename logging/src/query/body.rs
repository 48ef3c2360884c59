//! Queries that speak of a body alone: what SQL's `match(body, '...')` takes.
//!
//! Names of a record (`pod:`, `level:`) are columns in SQL, and are refused here
//! with their place. Any other field is one of the body: a label of the same name
//! must not count, or the answer would differ by who evaluates it.

use super::{
    ast::Expr,
    compile::{self, Compiled, OF_BODY, StreamView, Verdict},
    lex::{self, Token},
    parse::{self, QueryError},
    times::is_time,
};
use crate::record::{Level, Record, Source, StreamInfo};

/// Reads a query on bodies; in the answer every field's name says so.
pub fn parse_of_body(query: &str) -> Result<Expr, QueryError> {
    let expr = parse::parse(query)?;
    for (token, span) in lex::tokens(query)? {
        let Token::Name(name) = token else { continue };
        if compile::is_level(&name) || compile::is_meta(&name) || is_time(&name) {
            let what = format!("`{name}:` is nothing of the body");
            let column = match name.strip_prefix(compile::OF_LABEL) {
                Some(label) => format!("labels['{label}']"),
                None if name == "ns" => "namespace".to_owned(),
                None => name.clone(),
            };
            let own = name.strip_prefix(compile::OF_LABEL).unwrap_or(&name);
            let compared = match is_time(&name) {
                true => "time > now() - interval '15 minutes'".to_owned(),
                false if compile::is_count(&name) => format!("{column} = 1"),
                false => format!("{column} = '...'"),
            };
            let advice = format!(
                "compare the column: {compared}; a field of the body with that name is {OF_BODY}{own}"
            );
            return Err(QueryError::new(query, what, advice, span));
        }
    }
    Ok(named(expr))
}

fn named(expr: Expr) -> Expr {
    match expr {
        Expr::Field { name, value } if !name.starts_with(OF_BODY) => {
            Expr::Field { name: format!("{OF_BODY}{name}"), value }
        }
        Expr::Not(inner) => Expr::Not(Box::new(named(*inner))),
        Expr::And(parts) => Expr::And(parts.into_iter().map(named).collect()),
        Expr::Or(parts) => Expr::Or(parts.into_iter().map(named).collect()),
        other => other,
    }
}

/// A query on bodies, ready to run where there is nothing but a body.
#[derive(Debug)]
pub struct OfBody {
    query: Compiled,
    verdicts: Vec<Verdict>,
}

impl OfBody {
    /// Makes a query of [`parse_of_body`] ready. An error is a sentence; parsing has
    /// found it before with its place.
    pub fn new(expr: &Expr) -> Result<Self, String> {
        let query = Compiled::new(expr)?;
        let verdicts = query.on_stream(StreamView { info: &nowhere(), labels: None });
        Ok(Self { query, verdicts })
    }

    pub fn holds(&self, body: &[u8]) -> bool {
        let body = bytes::Bytes::copy_from_slice(body);
        let record = Record { time: 0, seq: 0, level: Level::Unknown, source: Source::Stdout, body };
        self.query.matches(&self.verdicts, &record)
    }
}

fn nowhere() -> StreamInfo {
    StreamInfo {
        namespace: String::new(),
        pod: String::new(),
        uid: String::new(),
        container: String::new(),
        restart: 0,
        node: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_judged_by_itself() {
        let check = |query: &str, body: &str, expected: bool| {
            let expr = parse_of_body(query).expect(query);
            assert_eq!(parse::parse(&expr.to_string()).as_ref(), Ok(&expr), "{query}");
            assert_eq!(OfBody::new(&expr).expect(query).holds(body.as_bytes()), expected, "{query}: {body}");
        };
        check("timeout -debug", "a Timeout here", true);
        check("timeout -debug", "debug: a timeout", false);
        check("status:>=500", r#"{"status":503}"#, true);
        check("status:>=500", "status=200", false);
        check("@body.pod:web @body.level:x", "pod=web level=x", true);
        check("(a OR b) NOT c:*", "a c=1", false);
        check("", "anything", true);
    }

    #[test]
    fn columns_are_refused_with_their_place() {
        let error = parse_of_body("a ns:shop").expect_err("refused").to_string();
        assert_eq!(
            error,
            "`ns:` is nothing of the body\n  a ns:shop\n    ^^^\ncompare the column: namespace = '...'; \
             a field of the body with that name is @body.ns"
        );
        let error = parse_of_body("a time:>now-1h").expect_err("refused").to_string();
        assert!(error.contains("time > now() - interval") && error.contains("@body.time"), "{error}");
        let error = parse_of_body("restart:1").expect_err("refused").to_string();
        assert!(error.contains("restart = 1;") && error.contains("@body.restart"), "{error}");
        assert!(parse_of_body("level:error").is_err() && parse_of_body("a AND").is_err());
        let error = parse_of_body("@label.tier:x").expect_err("refused").to_string();
        assert!(error.contains("labels['tier'] = '...'") && error.contains("@body.tier"), "{error}");
    }

    #[test]
    fn a_label_does_not_count_for_a_field_of_the_body() {
        let labels = [("status".to_owned(), "500".to_owned())].into();
        let info = StreamInfo { namespace: "a".into(), pod: "b".into(), uid: "c".into(), ..nowhere() };
        let on = |query: &str| {
            let query = Compiled::new(&parse::parse(query).expect("a query")).expect("a query");
            query.on_stream(StreamView { info: &info, labels: Some(&labels) })
        };
        assert_eq!(on("status:500"), [Verdict::Yes]);
        assert_eq!(on("@body.status:500"), [Verdict::Maybe]);
        assert_eq!(
            on("@label.status:500 @label.status:/^5$/ @label.x:*"),
            [Verdict::Yes, Verdict::No, Verdict::No]
        );
    }
}
