//! An expression in terms of what the interpreter does as Kubernetes does. Pure.
//!
//! | written | becomes | because |
//! |---|---|---|
//! | `a.b` | `a['b']` | of null or of an optional, the interpreter's selection is `false` |
//! | `a.?b` | `a[?'b']` | of a missing field, the interpreter's is an error |
//! | `variables.a` | the name `variables.a` | variables are evaluated when they are needed |
//! | `authorizer.requestResource` | one name | it is a value of the request's own |
//! | `Object.spec{a: 1}` | a map with a mark of its type | the interpreter has no typed objects |
//! | `cel.bind(x, a, b)` | a loop without turns | it has no such macro |
//! | loops, `a + b` | the same with a count | so that their work has a bound |

use kube_cel::cel::{
    IdedExpr,
    common::ast::{
        CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr,
        SelectExpr, StructExpr, operators,
    },
};

use tiphys_api::cel::macros::{self, operator, truth};

use super::budget::{ADD, TICK};

/// What the names of a policy's variables begin with.
pub const VARIABLE: &str = "variables.";
/// The key under which an object bears its type.
pub const TYPE_MARK: &str = "@type";

pub fn expression(expression: IdedExpr) -> Result<IdedExpr, String> {
    let id = expression.id;
    let expr = match expression.expr {
        Expr::Select(select) => self::select(id, select)?,
        Expr::Call(call) => self::call(id, call)?,
        Expr::Comprehension(comprehension) => {
            Expr::Comprehension(Box::new(self::comprehension(*comprehension)?))
        }
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(self::expression).collect::<Result<_, _>>()?;
            Expr::List(list)
        }
        Expr::Map(map) => Expr::Map(MapExpr { entries: entries(map.entries)? }),
        Expr::Struct(object) => self::object(id, object)?,
        Expr::Unspecified => return Err("an expression is empty".into()),
        other @ (Expr::Ident(_) | Expr::Literal(_)) => other,
    };
    Ok(IdedExpr { id, expr })
}

pub fn text(id: u64, text: &str) -> IdedExpr {
    IdedExpr { id, expr: Expr::Literal(LiteralValue::String(text.into())) }
}

fn select(id: u64, select: SelectExpr) -> Result<Expr, String> {
    if matches!(&select.operand.expr, Expr::Ident(name) if name == "variables") {
        // Declared names are checked: a variable that is named is there.
        let name = format!("{VARIABLE}{}", select.field);
        return Ok(if select.test { truth(id, true).expr } else { Expr::Ident(name) });
    }
    if matches!(&select.operand.expr, Expr::Ident(name) if name == "authorizer") && !select.test {
        return Ok(Expr::Ident(format!("authorizer.{}", select.field)));
    }
    let operand = expression(*select.operand)?;
    if select.test {
        return Ok(Expr::Select(SelectExpr { operand: Box::new(operand), ..select }));
    }
    Ok(operator(operators::INDEX, vec![operand, text(id, &select.field)]))
}

fn call(id: u64, call: CallExpr) -> Result<Expr, String> {
    if let Some(bound) = macros::expand(id, &call)? {
        return Ok(expression(IdedExpr { id, expr: bound })?.expr);
    }
    let target = call.target.map(|target| expression(*target).map(Box::new)).transpose()?;
    let args = call.args.into_iter().map(expression).collect::<Result<Vec<_>, _>>()?;
    // What adds one item to a list grows by one, and is what macros do.
    let by_one =
        matches!(args.get(1).map(|added| &added.expr), Some(Expr::List(list)) if list.elements.len() == 1);
    let func_name = match call.func_name.as_str() {
        operators::OPT_SELECT => operators::OPT_INDEX.into(),
        operators::ADD if !by_one => ADD.into(),
        _ => call.func_name,
    };
    Ok(Expr::Call(CallExpr { func_name, target, args }))
}

fn comprehension(loop_: ComprehensionExpr) -> Result<ComprehensionExpr, String> {
    let id = loop_.loop_cond.id;
    let tick = IdedExpr { id, expr: operator(TICK, Vec::new()) };
    let condition = expression(loop_.loop_cond)?;
    Ok(ComprehensionExpr {
        iter_range: expression(loop_.iter_range)?,
        accu_init: expression(loop_.accu_init)?,
        loop_cond: IdedExpr { id, expr: operator(operators::LOGICAL_AND, vec![tick, condition]) },
        loop_step: expression(loop_.loop_step)?,
        result: expression(loop_.result)?,
        iter_var: loop_.iter_var,
        iter_var2: loop_.iter_var2,
        accu_var: loop_.accu_var,
    })
}

fn entries(entries: Vec<IdedEntryExpr>) -> Result<Vec<IdedEntryExpr>, String> {
    let one = |entry: IdedEntryExpr| {
        let EntryExpr::MapEntry(pair) = entry.expr else { return Err("a map has a field".to_owned()) };
        let (key, value) = (expression(pair.key)?, expression(pair.value)?);
        Ok(IdedEntryExpr { id: entry.id, expr: EntryExpr::MapEntry(MapEntryExpr { key, value, ..pair }) })
    };
    entries.into_iter().map(one).collect()
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
        fields.push(entry(text(id, &field.field), expression(field.value)?, field.optional));
    }
    Ok(Expr::Map(MapExpr { entries: fields }))
}
