//! Whether every name and function of an expression stands for something. Pure.
//!
//! The interpreter would tell only when it comes to the name; who writes a policy is told at once.

use kube_cel::cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr},
};
use tiphys_api::cel::library;

use super::{authorizer, rewrite::VARIABLE};

/// Operators that the interpreter has no function for.
const OPERATORS: &str = "_!@-";

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
                self.bound.extend(loop_.iter_var2.as_deref());
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
        if self.bound.contains(&name) || self.known.contains(&name) || library::type_named(name).is_some() {
            return Ok(());
        }
        Err(format!("undeclared reference to '{name}' (in container '')"))
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let is_value = |name: &str| self.bound.contains(&name) || self.known.contains(&name);
        let qualified = library::qualified(call, is_value);
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

fn is_function(name: &str) -> bool {
    library::find(name).is_some() || authorizer::find(name).is_some()
}
