//! Whether every name and function of an expression stands for something. Pure.
//!
//! The interpreter would tell only when it comes to the name; who writes a policy is told at once.

use kube_cel::cel::{
    ExecutionError, IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr},
};

use tiphys_api::cel::macros::operator;

use super::{rewrite::VARIABLE, scope::with_library};

/// Operators that the interpreter has no function for.
const OPERATORS: &str = "_!@-";
/// Namespaces of functions, which are no values: `math.least`.
const NAMESPACES: &[&str] =
    &["math", "sets", "base64", "jsonpatch", "format", "optional", "ip", "cidr", "cel"];

pub fn check(root: &IdedExpr, known: &[&str], variables: &[String]) -> Result<(), String> {
    Names { known, variables, bound: Vec::new() }.expression(root)
}

struct Names<'a> {
    known: &'a [&'a str],
    variables: &'a [String],
    bound: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn expression(&mut self, expression: &'a IdedExpr) -> Result<(), String> {
        match &expression.expr {
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.expression(&select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(pair) => {
                    self.expression(&pair.key).and_then(|()| self.expression(&pair.value))
                }
                EntryExpr::StructField(field) => self.expression(&field.value),
            }),
            Expr::Comprehension(loop_) => {
                self.expression(&loop_.iter_range)?;
                self.expression(&loop_.accu_init)?;
                let outer = self.bound.len();
                self.bound.extend([loop_.iter_var.as_str(), loop_.accu_var.as_str()]);
                let inner = [&loop_.loop_cond, &loop_.loop_step, &loop_.result];
                inner.into_iter().try_for_each(|part| self.expression(part))?;
                self.bound.truncate(outer);
                Ok(())
            }
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Ok(()),
        }
    }

    fn ident(&self, name: &str) -> Result<(), String> {
        if let Some(variable) = name.strip_prefix(VARIABLE) {
            if self.variables.iter().any(|declared| declared == variable) {
                return Ok(());
            }
            return Err(format!("undefined field '{variable}'"));
        }
        if self.bound.contains(&name) || self.known.contains(&name) {
            return Ok(());
        }
        Err(format!("undeclared reference to '{name}' (in container '')"))
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let qualified = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(prefix))
                if NAMESPACES.contains(&prefix.as_str()) && self.ident(prefix).is_err() =>
            {
                Some(format!("{prefix}.{}", call.func_name))
            }
            _ => None,
        };
        let name = qualified.as_deref().unwrap_or(&call.func_name);
        if !name.starts_with(|c| OPERATORS.contains(c)) && !is_function(name) {
            return Err(format!("undeclared reference to '{name}' (in container '')"));
        }
        if let (Some(target), None) = (call.target.as_deref(), &qualified) {
            self.expression(target)?;
        }
        call.args.iter().try_for_each(|argument| self.expression(argument))
    }
}

/// Asked by a call without arguments: whatever it answers, it knows the function.
fn is_function(name: &str) -> bool {
    let probe = IdedExpr { id: 0, expr: operator(name, Vec::new()) };
    let answer = super::guarded(|| with_library(|library| library.resolve(&probe)));
    !matches!(answer, Ok(Err(ExecutionError::UndeclaredReference(_))))
}
