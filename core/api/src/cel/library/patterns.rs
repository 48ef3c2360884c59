//! Regular expressions, as Go reads them.
//!
//! One that is short can stand for an automaton of millions of states: `(a{0,100}){0,100}`. So what
//! counts is not its length but the states it stands for: more than [`MOST_STATES`] are refused,
//! making them is charged once an evaluation, and each search by states and length of the text.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use kube_cel::cel::Value;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::Table;
use crate::cel::{
    evaluate::Outcome,
    fault::Fault,
    meter::{Meter, tenth},
};

const MOST_STATES: u64 = 20_000;
/// Go's own limit.
const MOST_REPEATS: u32 = 1000;
/// So many are kept made in each thread.
const KEPT: usize = 256;
/// Bytes that a made one may have.
const LARGEST: usize = 16 * 1024 * 1024;

pub const FUNCTIONS: Table = &[
    ("matches", |args, meter| {
        let (text, pattern) = (text(args, 0)?, text(args, 1)?);
        Ok(Value::Bool(search(text, pattern, meter)?.regex.is_match(text)))
    }),
    ("find", |args, meter| {
        let (text, pattern) = (text(args, 0)?, text(args, 1)?);
        let found = search(text, pattern, meter)?.regex.find(text).map_or("", |found| found.as_str());
        Ok(Value::String(Arc::new(found.to_owned())))
    }),
    ("findAll", find_all),
];

pub struct Pattern {
    regex: Regex,
    states: u64,
}

fn text(args: &[Value], index: usize) -> Result<&str, Fault> {
    match args.get(index) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Fault::overload()),
    }
}

fn find_all(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, pattern) = (text(args, 0)?, text(args, 1)?);
    let most = match args.get(2) {
        None => usize::MAX,
        Some(Value::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        Some(_) => return Err(Fault::overload()),
    };
    let pattern = search(text, pattern, meter)?;
    let mut found = Vec::new();
    for part in pattern.regex.find_iter(text).take(most) {
        meter.charge(1)?;
        found.push(Value::String(Arc::new(part.as_str().to_owned())));
    }
    Ok(Value::List(Arc::new(found)))
}

/// The pattern, made and paid for.
fn search(text: &str, pattern: &str, meter: &mut Meter) -> Result<Arc<Pattern>, Fault> {
    meter.bytes(pattern.len())?;
    let made = compiled(pattern).map_err(Fault::told)?;
    if meter.is_new(pattern) {
        meter.charge(made.states * 2)?;
    }
    meter.charge(tenth(text.len() + 1).saturating_mul(weight(pattern, made.states)))?;
    Ok(made)
}

/// A quarter of its length, as Kubernetes counts, or of its states.
fn weight(pattern: &str, states: u64) -> u64 {
    (pattern.len() as u64).max(states).div_ceil(4)
}

/// What a search in so long a text costs.
///
/// # Errors
/// The text is no pattern.
pub fn cost(pattern: &str, text: u64) -> Result<u64, String> {
    let states = compiled(pattern)?.states;
    Ok((text.saturating_add(1)).div_ceil(10).saturating_mul(weight(pattern, states)))
}

thread_local! {
    static MADE: RefCell<HashMap<String, Arc<Pattern>>> = RefCell::default();
}

fn compiled(pattern: &str) -> Result<Arc<Pattern>, String> {
    if let Some(made) = MADE.with(|made| made.borrow().get(pattern).cloned()) {
        return Ok(made);
    }
    let made = Arc::new(compile(pattern)?);
    MADE.with(|all| {
        let mut all = all.borrow_mut();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(pattern.to_owned(), Arc::clone(&made));
    });
    Ok(made)
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    let refused = |why: &dyn std::fmt::Display| {
        let last = why.to_string();
        let last = last.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("error parsing regexp: {last}: `{pattern}`")
    };
    let translated = as_rust(pattern);
    let syntax = regex_syntax::parse(&translated).map_err(|why| refused(&why))?;
    let states = states(&syntax, 1)
        .ok_or_else(|| format!("error parsing regexp: invalid repeat count: `{pattern}`"))?;
    if states > MOST_STATES {
        return Err(format!("error parsing regexp: expression too large: `{pattern}`"));
    }
    let regex = RegexBuilder::new(&translated).size_limit(LARGEST).build().map_err(|why| refused(&why))?;
    Ok(Pattern { regex, states })
}

/// About as many as the automaton has; `None` if something is to be repeated more often than Go allows.
fn states(syntax: &Hir, repeats: u32) -> Option<u64> {
    Some(match syntax.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Class(Class::Unicode(class)) => (class.ranges().len() as u64).div_ceil(2),
        HirKind::Capture(inner) => states(&inner.sub, repeats)?,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            let repeats = repeats.checked_mul(times).filter(|repeats| *repeats <= MOST_REPEATS)?;
            states(&repetition.sub, repeats)?.saturating_mul(u64::from(times)).saturating_add(1)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            let mut sum = 1_u64;
            for part in parts {
                sum = sum.saturating_add(states(part, repeats)?);
            }
            sum
        }
    })
}

/// The same pattern for an engine whose `\d`, `\w`, `\s` and `\b` are of all scripts, and whose classes
/// have operators.
fn as_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                let escaped = rest[1..].chars().next();
                taken += escaped.map_or(0, char::len_utf8);
                match (escaped.and_then(ascii_class), escaped) {
                    (Some(class), _) if in_class => out.push_str(class),
                    (Some(class), _) => out.push_str(&format!("[{class}]")),
                    (None, Some('b')) if !in_class => out.push_str(r"(?-u:\b)"),
                    (None, Some('B')) if !in_class => out.push_str(r"(?-u:\B)"),
                    _ => out.push_str(&rest[..taken]),
                }
            }
            '[' if !in_class => {
                in_class = true;
                // A bracket that comes first is one of the class.
                let opening = if rest[1..].starts_with('^') { "[^" } else { "[" };
                out.push_str(opening);
                taken = opening.len();
                if rest[taken..].starts_with(']') {
                    out.push_str(r"\]");
                    taken += 1;
                }
            }
            '[' => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                Some(end) => {
                    taken = end + 2;
                    out.push_str(&rest[..taken]);
                }
                None => out.push_str(r"\["),
            },
            ']' => {
                in_class = false;
                out.push(c);
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            _ => out.push(c),
        }
        rest = &rest[taken..];
    }
    out
}

fn ascii_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        'D' => "[^0-9]",
        'W' => "[^0-9A-Za-z_]",
        'S' => r"[^\t\n\f\r ]",
        _ => return None,
    })
}
