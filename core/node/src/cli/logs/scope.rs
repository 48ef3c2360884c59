//! What of all logs is asked for: options as one query. Pure; [`super::workload`] asks
//! the API what a name stands for.

use tiphys_logging::query::{self, Expr, Text, Value, compile::OF_LABEL};

use super::workload::is_name;
use crate::failure::{Failure, Outcome};

const NEXT: &str = "tiphys logs --help";

/// Options that narrow a search.
#[derive(Debug, Clone, clap::Args)]
pub struct Scope {
    /// Only Pods with this name; * and ? are wildcards, /web-[ab]/ is a regular expression
    #[arg(long = "pod", value_name = "PATTERN")]
    pods: Vec<String>,
    /// Only containers with this name, as with --pod
    #[arg(short, long = "container", value_name = "PATTERN")]
    containers: Vec<String>,
    /// Only Pods with these labels, as kubectl takes them: app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Only records of this level or graver: debug, info, warn, error, fatal
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Only records in which this regular expression finds something, as in stern; case counts, and of
    /// several one is enough
    #[arg(long, value_name = "REGEX")]
    include: Vec<String>,
    /// No records in which this regular expression finds something, as in stern; case counts
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,
    /// Of several namespaces.
    #[arg(skip)]
    namespaces: Vec<String>,
}

impl Scope {
    /// Makes several namespaces, with commas between them as stern has them, a part of the query: a
    /// request is about one, or all that the user may read.
    ///
    /// # Errors
    /// A name that is none.
    pub fn take_namespaces(&mut self, given: &mut Option<String>) -> Outcome<()> {
        let Some(list) = given.take_if(|text| text.contains(',')) else { return Ok(()) };
        for name in list.split(',').map(str::trim) {
            if !is_name(name) {
                return Err(Failure::usage(
                    format!("`{list}` is no list of namespaces"),
                    "write their names with commas between them: -n shop,billing",
                ));
            }
            self.namespaces.push(name.to_owned());
        }
        Ok(())
    }

    /// Those of a list of them.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// Whether the options say which Pods: no word has to.
    pub fn has_pods(&self) -> bool {
        !self.pods.is_empty() || self.selector.is_some()
    }

    pub fn has_containers(&self) -> bool {
        !self.containers.is_empty()
    }

    /// The user's query, within what the options leave.
    ///
    /// # Errors
    /// The query or an option is wrong; the message points at the place.
    pub fn query(&self, text: &str, workload: Option<Expr>) -> Outcome<Expr> {
        let mut parts = vec![parsed(text)?];
        parts.extend(workload);
        parts.extend(self.selector.as_deref().map(selector).transpose()?);
        for (name, patterns) in [("pod", &self.pods), ("container", &self.containers)] {
            if !patterns.is_empty() {
                let any = patterns.iter().map(|pattern| field(name, pattern));
                parts.push(Expr::or(any.collect::<Outcome<_>>()?));
            }
        }
        if let Some(level) = &self.level {
            parts.push(parsed(&format!("level:>={level}"))?);
        }
        if !self.include.is_empty() {
            let any = self.include.iter().map(|pattern| expression("include", pattern));
            parts.push(Expr::or(any.collect::<Outcome<_>>()?));
        }
        for pattern in &self.exclude {
            parts.push(not(expression("exclude", pattern)?));
        }
        if !self.namespaces.is_empty() {
            parts.push(Expr::or(self.namespaces.iter().map(|name| named("ns", name)).collect()));
        }
        parts.retain(|part| *part != Expr::All);
        Ok(if parts.is_empty() { Expr::All } else { Expr::and(parts) })
    }
}

/// A regular expression on the body, checked as one that stands in a query.
fn expression(option: &str, pattern: &str) -> Outcome<Expr> {
    match parsed(&Expr::Regex(pattern.to_owned()).to_string())? {
        Expr::Regex(read) if !read.is_empty() => Ok(Expr::Regex(read)),
        _ => Err(Failure::usage(format!("`{pattern}` is no regular expression for --{option}"), NEXT)),
    }
}

fn parsed(text: &str) -> Outcome<Expr> {
    query::parse(text).map_err(|error| Failure::new(error, NEXT))
}

/// `name:pattern`, where the pattern is one value. What is wrong is told of the option: the query
/// is none that the user wrote.
fn field(name: &str, pattern: &str) -> Outcome<Expr> {
    let takes = format!(
        "--{name} 'web-*' takes a name, in which * and ? are wildcards; \
         --{name} '/^web-[ab]$/' takes a regular expression"
    );
    match query::parse(&format!("{name}:{pattern}")) {
        Ok(field @ Expr::Field { .. }) => Ok(field),
        // Within slashes the query's own words say what is wrong with the expression.
        Err(error) if pattern.starts_with('/') => {
            Err(Failure::usage(format!("--{name} can't be understood: {error}"), takes))
        }
        _ => Err(Failure::usage(format!("--{name} `{pattern}` is no pattern of a name"), takes)),
    }
}

/// A label that is one of these values.
pub fn label(key: &str, values: &[&str]) -> Expr {
    let values: Vec<_> = values.iter().map(|value| literally(value)).collect();
    label_like(key, &values.join("|"))
}

/// A label whose whole value a regular expression describes.
pub fn label_like(key: &str, pattern: &str) -> Expr {
    Expr::Field { name: format!("{OF_LABEL}{key}"), value: Value::Regex(format!("^(?:{pattern})$")) }
}

/// A name of Kubernetes as a regular expression.
pub fn literally(name: &str) -> String {
    name.replace('.', r"\.")
}

pub fn has_label(key: &str) -> Expr {
    Expr::Field { name: format!("{OF_LABEL}{key}"), value: Value::Exists }
}

pub fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

/// One name, taken literally.
pub fn named(name: &str, value: &str) -> Expr {
    Expr::Field { name: name.to_owned(), value: Value::Text(Text::Exact(value.to_owned())) }
}

/// `a=b,c!=d,e in (f, g),h notin (i),j,!k`, as kubectl reads it.
fn selector(text: &str) -> Outcome<Expr> {
    let parts = split(text).into_iter().map(|part| {
        requirement(part.trim()).ok_or_else(|| {
            Failure::usage(
                format!("`{}` is no requirement of a label", part.trim()),
                "write them as app=web, tier!=cache, tier in (a, b), tier notin (a), app or !app",
            )
        })
    });
    Ok(Expr::and(parts.collect::<Outcome<_>>()?))
}

/// At the commas that are in no bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0i32);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn requirement(text: &str) -> Option<Expr> {
    let word = |text: &str| -> Option<String> {
        let text = text.trim();
        let sound = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        sound.then(|| text.to_owned())
    };
    let key = |text: &str| word(text).filter(|key| !key.is_empty());
    if let Some((before, values)) = text.split_once('(') {
        let values: Vec<String> = values.strip_suffix(')')?.split(',').map(word).collect::<Option<_>>()?;
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let mut words = before.split_whitespace();
        let (name, operator) = (key(words.next()?)?, words.next()?);
        let held = label(&name, &values);
        return match (operator, words.next()) {
            ("in", None) => Some(held),
            ("notin", None) => Some(not(held)),
            _ => None,
        };
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Some(not(label(&key(name)?, &[&word(value)?])));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(label(&key(name)?, &[&word(value)?]));
    }
    match text.strip_prefix('!') {
        Some(name) => Some(not(has_label(&key(name)?))),
        None => Some(has_label(&key(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            pods: Vec::new(),
            containers: Vec::new(),
            selector: None,
            level: None,
            include: Vec::new(),
            exclude: Vec::new(),
            namespaces: Vec::new(),
        }
    }

    fn shown(scope: &Scope, text: &str) -> String {
        match scope.query(text, None) {
            Ok(query) => {
                assert_eq!(query::parse(&query.to_string()).as_ref(), Ok(&query), "{query}");
                query.to_string()
            }
            Err(failure) => failure.message(),
        }
    }

    #[test]
    fn options_narrow_the_query() {
        let check = |scope: Scope, text: &str, expected: &str| assert_eq!(shown(&scope, text), expected);
        check(scope(), "", "*");
        check(scope(), "a OR b", "a OR b");
        let warn = Scope { level: Some("warn".into()), ..scope() };
        check(warn.clone(), "a OR b", "(a OR b) AND level:>=warn");
        check(warn, "", "level:>=warn");
        let pods = Scope { pods: vec!["web-*".into(), "/^db-[01]$/".into()], ..scope() };
        check(pods, "x", r"x AND (pod:web\-* OR pod:/^db-[01]$/)");
        check(Scope { containers: vec!["app".into()], ..scope() }, "", "container:app");
        let noise = Scope { exclude: vec!["GET /healthz?".into(), r"a\/b".into()], ..scope() };
        check(noise, "x", r"x AND NOT /GET \/healthz?/ AND NOT /a\/b/");
        let one = Scope { include: vec!["GET".into()], ..scope() };
        check(one, "x", "x AND /GET/");
        let any = Scope { include: vec!["GET".into(), "a/b".into()], exclude: vec!["c".into()], ..scope() };
        check(any, "x", r"x AND (/GET/ OR /a\/b/) AND NOT /c/");
        assert!(shown(&Scope { include: vec![String::new()], ..scope() }, "").contains("for --include"));
        assert!(shown(&Scope { exclude: vec!["(".into()], ..scope() }, "").contains("can't be used"));
        assert!(shown(&Scope { exclude: vec![String::new()], ..scope() }, "").contains("regular expression"));
        assert!(shown(&Scope { level: Some("loud".into()), ..scope() }, "").contains("no level"));
        assert!(shown(&scope(), "(a").contains("not closed"));
    }

    #[test]
    fn several_namespaces_are_a_part_of_the_query_and_one_is_not() {
        let check = |given: &str, left: Option<&str>, expected: &str| {
            let (mut scope, mut namespace) = (scope(), Some(given.to_owned()));
            assert!(scope.take_namespaces(&mut namespace).is_ok(), "{given}");
            assert_eq!(namespace.as_deref(), left, "{given}");
            assert_eq!(shown(&scope, "x OR y"), expected, "{given}");
        };
        check("shop", Some("shop"), "x OR y");
        check("shop, billing", None, "(x OR y) AND (ns:shop OR ns:billing)");
        for wrong in ["shop,", ",", "a,b c", "a,*"] {
            let failure = scope().take_namespaces(&mut Some(wrong.to_owned())).expect_err(wrong);
            assert!(failure.next().contains("-n shop,billing"), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_told_of_the_option() {
        for wrong in ["w[56]", "a b", "", "(a"] {
            for of in ["pod", "container"] {
                let mut scope = scope();
                let patterns = if of == "pod" { &mut scope.pods } else { &mut scope.containers };
                patterns.push(wrong.into());
                let failure = scope.query("error", None).expect_err(wrong);
                assert_eq!(failure.message(), format!("--{of} `{wrong}` is no pattern of a name"));
                let next = failure.next();
                assert!(next.contains("* and ?") && next.contains(&format!("--{of} '/^web-")), "{next}");
                assert_eq!(failure.exit_code(), 2);
            }
        }
        let broken = Scope { pods: vec!["/web-(/".into()], ..scope() };
        let said = shown(&broken, "");
        assert!(said.starts_with("--pod ") && said.contains("can't be used"), "{said}");
    }

    #[test]
    fn selectors_are_those_of_kubectl() {
        let check = |text: &str, expected: &str| {
            let scope = Scope { selector: Some(text.into()), ..scope() };
            assert_eq!(shown(&scope, ""), expected, "{text}");
        };
        check("app=web", "@label.app:/^(?:web)$/");
        check("app==web , tier!=cache", "@label.app:/^(?:web)$/ AND NOT @label.tier:/^(?:cache)$/");
        check(
            "app.kubernetes.io/name in (a.b, c),x",
            r"@label.app.kubernetes.io/name:/^(?:a\.b|c)$/ AND @label.x:*",
        );
        check("t notin (a),!x", "NOT @label.t:/^(?:a)$/ AND NOT @label.x:*");
        check("a=", "@label.a:/^(?:)$/");
        for wrong in ["", "a=b c", "=b", "a in b", "a in (b", "a among (b)", "!"] {
            let scope = Scope { selector: Some(wrong.into()), ..scope() };
            assert!(shown(&scope, "").contains("is no requirement"), "{wrong}");
        }
    }
}
