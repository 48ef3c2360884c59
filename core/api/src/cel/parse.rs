//! From text to an expression.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::cel::{
    common::ast::{Expr, IdedExpr, SelectExpr},
    parser::Parser,
};

use super::{
    evaluate::{self, Outcome, World},
    library, macros,
    meter::Meter,
    stack,
    tree::children_mut,
};

/// The longest expression, in bytes.
const LONGEST: usize = 64 * 1024;
/// Brackets within brackets, signs before signs.
const DEPTH: usize = 64;
/// Choices (`a ? b : c`), which may stand within one another without brackets.
const CHOICES: usize = 128;

/// An expression, all macros expanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    pub root: IdedExpr,
    /// How deep it is nested.
    pub levels: usize,
}

impl Expression {
    /// # Errors
    /// Why the text is no expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("the expression is longer than {LONGEST} bytes"));
        }
        if is_deep(text) {
            return Err(format!("the expression is nested more than {DEPTH} deep"));
        }
        let text = single_signs(text)?;
        let levels = stack::most_levels(&text);
        if levels > stack::MOST_LEVELS {
            return Err("the expression is too complex".into());
        }
        let parse = || catch_unwind(AssertUnwindSafe(|| parse(&text)));
        stack::with_room(levels, parse).unwrap_or_else(|_| Err("the parser gave up".into()))
    }

    /// # Errors
    /// As [`evaluate::evaluate`].
    pub fn evaluate(&self, world: &dyn World, meter: &mut Meter) -> Outcome {
        evaluate::evaluate(&self.root, self.levels, world, meter)
    }

    /// Whether a variable occurs.
    pub fn uses(&self, variable: &str) -> bool {
        self.root.references().has_variable(variable)
    }
}

fn parse(text: &str) -> Result<Expression, String> {
    let parsed = Parser::new().enable_optional_syntax(true).parse(text);
    let mut root = parsed.map_err(|errors| one_line(&errors.to_string()))?;
    expand(&mut root)?;
    let levels = stack::levels(&root);
    Ok(Expression { root, levels })
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

/// Macros that the parser doesn't know, as what they stand for, and the names of types that have dots.
fn expand(expression: &mut IdedExpr) -> Result<(), String> {
    if let Some(name) = dotted(expression).filter(|name| library::type_named(name).is_some()) {
        expression.expr = Expr::Ident(name);
        return Ok(());
    }
    children_mut(expression).into_iter().try_for_each(expand)?;
    let Expr::Call(call) = &expression.expr else { return Ok(()) };
    if let Some(expanded) = macros::expand(expression.id, call)? {
        expression.expr = expanded;
    }
    Ok(())
}

/// `a.b.c` as one name.
fn dotted(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(SelectExpr { operand, field, test: false }) => {
            Some(format!("{}.{field}", dotted(operand)?))
        }
        _ => None,
    }
}
