//! What policies write beyond the language, in terms of it. Pure.
//!
//! | written | becomes | because |
//! |---|---|---|
//! | `variables.a` | the name `variables.a` | variables are evaluated when they are needed |
//! | `authorizer.requestResource` | one name | it is a value of the request's own |
//! | `Object.spec{a: 1}` | a map with a mark of its type | the interpreter has no typed objects |

use kube_cel::cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr, StructExpr},
};
use tiphys_api::cel::tree::children_mut;

/// What the names of a policy's variables begin with.
pub const VARIABLE: &str = "variables.";
/// The key under which an object bears its type.
pub const TYPE_MARK: &str = "@type";

/// # Errors
/// An object is of a type that there is not.
pub fn expression(expression: &mut IdedExpr) -> Result<(), String> {
    let id = expression.id;
    if let Some(name) = name(&expression.expr) {
        expression.expr = name;
        return Ok(());
    }
    children_mut(expression).into_iter().try_for_each(self::expression)?;
    if let Expr::Struct(made) = &mut expression.expr {
        expression.expr = object(id, std::mem::take(made))?;
    }
    Ok(())
}

fn name(expr: &Expr) -> Option<Expr> {
    let Expr::Select(select) = expr else { return None };
    let Expr::Ident(of) = &select.operand.expr else { return None };
    match of.as_str() {
        // Declared names are checked: a variable that is named is there.
        "variables" if select.test => Some(Expr::Literal(LiteralValue::Boolean(true.into()))),
        "variables" => Some(Expr::Ident(format!("{VARIABLE}{}", select.field))),
        "authorizer" if !select.test => Some(Expr::Ident(format!("authorizer.{}", select.field))),
        _ => None,
    }
}

fn text(id: u64, text: &str) -> IdedExpr {
    IdedExpr { id, expr: Expr::Literal(LiteralValue::String(text.into())) }
}

/// Only the types that policies write with exist.
fn object(id: u64, object: StructExpr) -> Result<Expr, String> {
    let name = object.type_name.trim_start_matches('.');
    if name != "JSONPatch" && name != "Object" && !name.starts_with("Object.") {
        return Err(format!("undeclared reference to '{name}' (in container '')"));
    }
    let entry = |key: IdedExpr, value, optional| IdedEntryExpr {
        id,
        expr: EntryExpr::MapEntry(MapEntryExpr { key, value, optional }),
    };
    let mut fields = vec![entry(text(id, TYPE_MARK), text(id, name), false)];
    for field in object.entries {
        let EntryExpr::StructField(field) = field.expr else { return Err("an object has a key".into()) };
        fields.push(entry(text(id, &field.field), field.value, field.optional));
    }
    Ok(Expr::Map(MapExpr { entries: fields }))
}
