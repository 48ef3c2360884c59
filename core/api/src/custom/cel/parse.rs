//! From text to an expression.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::cel::{
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr},
    parser::Parser,
};

use crate::cel::{macros, stack};

/// The longest rule, in bytes.
const LIMIT: usize = 16 * 1024;
/// Brackets within brackets, signs before signs.
const DEPTH: usize = 64;
/// Choices (`a ? b : c`), which may stand within one another without brackets.
const CHOICES: usize = 128;
/// Levels of the expression itself: a sum of three numbers has three.
const LEVELS: usize = 80;

/// # Errors
/// Why the text is no expression.
pub fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.len() > LIMIT {
        return Err(format!("the expression is longer than {LIMIT} bytes"));
    }
    if is_deep(text) {
        return Err(format!("the expression is nested more than {DEPTH} deep"));
    }
    let text = single_signs(text)?;
    let levels = stack::most_levels(&text);
    if levels > stack::MOST_LEVELS {
        return Err("the expression is too complex".into());
    }
    let parse = || catch_unwind(AssertUnwindSafe(|| parse_here(&text)));
    stack::with_room(levels, parse).unwrap_or_else(|_| Err("the parser gave up".into()))
}

fn parse_here(text: &str) -> Result<IdedExpr, String> {
    let parsed = Parser::new().enable_optional_syntax(true).parse(text);
    let mut expression = parsed.map_err(|errors| one_line(&errors.to_string()))?;
    let fits = |expression: &IdedExpr| match stack::levels(expression) {
        levels if levels > LEVELS => Err(format!("the expression has more than {LEVELS} levels")),
        _ => Ok(()),
    };
    fits(&expression)?;
    expand(&mut expression)?;
    fits(&expression)?;
    Ok(expression)
}

/// The text with one sign where there are several: the parser takes `!!a` for `!a`.
fn single_signs(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = match c {
            '\'' | '"' => after_string(rest, c),
            '!' | '-' => rest.trim_start_matches(|next: char| next == c || next.is_whitespace()),
            _ => &rest[c.len_utf8()..],
        };
        let taken = &rest[..rest.len() - after.len()];
        let n_signs = taken.matches(c).count();
        let begins = out
            .trim_end()
            .ends_with(['(', '[', '{', ',', '?', ':', '=', '<', '>', '&', '|', '+', '*', '/', '%']);
        match c {
            '!' if n_signs > 1 && !after.starts_with('=') => {
                out.push_str(if n_signs % 2 == 0 { " " } else { "!" })
            }
            // A minus behind a value is no sign.
            '-' if n_signs > 2 || (n_signs == 2 && (begins || out.trim().is_empty())) => {
                return Err("several signs before one value".into());
            }
            _ => out.push_str(taken),
        }
        rest = after;
    }
    Ok(out)
}

/// Whether the text, strings left aside, nests deeper than the parser may go.
fn is_deep(text: &str) -> bool {
    let (mut depth, mut signs, mut choices) = (0_usize, 0_usize, 0_usize);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\'' | '"' => after_string(rest, c),
            _ => &rest[c.len_utf8()..],
        };
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        signs = match c {
            '!' | '-' => signs + 1,
            c if c.is_whitespace() => signs,
            _ => 0,
        };
        if depth > DEPTH || signs > DEPTH || choices > CHOICES {
            return true;
        }
    }
    false
}

/// What follows a string that begins here; nothing if it doesn't end.
fn after_string(text: &str, quote: char) -> &str {
    let triple: String = [quote; 3].iter().collect();
    let end = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &text[end.len()..];
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(end.as_str()) {
            return after;
        }
        let step = if c == '\\' { rest.chars().take(2).map(char::len_utf8).sum() } else { c.len_utf8() };
        rest = &rest[step..];
    }
    rest
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a variable occurs.
pub fn uses(expression: &IdedExpr, variable: &str) -> bool {
    expression.references().has_variable(variable)
}

/// Macros that the parser doesn't know, as the loops that they stand for.
fn expand(expression: &mut IdedExpr) -> Result<(), String> {
    children(expression).into_iter().try_for_each(expand)?;
    let Expr::Call(call) = &expression.expr else { return Ok(()) };
    if let Some(expanded) = macros::expand(expression.id, call)? {
        expression.expr = expanded;
    }
    Ok(())
}

fn children(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expression.expr {
        Expr::Call(CallExpr { target, args, .. }) => {
            target.iter_mut().map(|target| &mut **target).chain(args.iter_mut()).collect()
        }
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } =
                &mut **comprehension;
            vec![iter_range, accu_init, loop_cond, loop_step, result]
        }
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| entry_parts(&mut entry.expr)).collect(),
        Expr::Struct(of) => of.entries.iter_mut().flat_map(|entry| entry_parts(&mut entry.expr)).collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_parts(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&mut field.value],
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
    }
}
