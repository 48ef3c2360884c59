//! Macros that the parser leaves as calls: `cel.bind`, and the loops over keys and values. Pure.
//!
//! Both become loops of the interpreter. A binding is a loop without turns, whose accumulator is
//! the name. A loop over pairs goes over [`PAIRS`] of the range, with the pair's parts bound.

use std::{collections::HashMap, sync::Arc};

use kube_cel::cel::{
    Context, ExecutionError, IdedExpr, ResolveResult, Value,
    common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, operators},
    extractors::This,
    objects::{Key, Map},
};

/// Gives the pairs of a map, or of a list by index.
pub const PAIRS: &str = "@pairs";
/// A map with one more entry.
pub const WITH: &str = "@with";
/// The pair in a turn of such a loop.
pub const PAIR: &str = "@pair";
/// What a loop that binds goes through, which is nothing.
pub const UNUSED: &str = "@unused";
const RESULT: &str = "@result";

/// What the call stands for, if it is one of these macros.
///
/// # Errors
/// It is one that is written wrongly.
pub fn expand(id: u64, call: &CallExpr) -> Result<Option<Expr>, String> {
    let Some(target) = call.target.as_deref() else { return Ok(None) };
    if call.func_name == "bind" && matches!(&target.expr, Expr::Ident(name) if name == "cel") {
        let [name, value, body] = call.args.as_slice() else {
            return Err("cel.bind takes a name, a value and an expression".into());
        };
        return Ok(Some(bind(id, &ident(name)?, value.clone(), body.clone()).expr));
    }
    let pairs = match (call.func_name.as_str(), call.args.len()) {
        ("all" | "exists" | "existsOne" | "exists_one" | "transformList" | "transformMap", 3) => None,
        ("transformList" | "transformMap", 4) => Some(&call.args[2]),
        _ => return Ok(None),
    };
    let (key, value) = (ident(&call.args[0])?, ident(&call.args[1])?);
    let Some(last) = call.args.last() else { return Ok(None) };
    let within = |body: IdedExpr| {
        let part = |index: i64| {
            let index = IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(index.into())) };
            IdedExpr { id, expr: operator(operators::INDEX, vec![name(id, PAIR), index]) }
        };
        bind(id, &key, part(0), bind(id, &value, part(1), body))
    };
    let (init, condition, step, result) = parts(id, &call.func_name, &key, last.clone());
    let step = match pairs {
        Some(filter) => conditional(id, filter.clone(), step, name(id, RESULT)),
        None => step,
    };
    Ok(Some(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: IdedExpr { id, expr: operator(PAIRS, vec![target.clone()]) },
        iter_var: PAIR.into(),
        iter_var2: None,
        accu_var: RESULT.into(),
        accu_init: init,
        loop_cond: condition,
        loop_step: within(step),
        result,
    }))))
}

/// Start, condition, step and result of a loop.
fn parts(id: u64, macro_: &str, key: &str, body: IdedExpr) -> (IdedExpr, IdedExpr, IdedExpr, IdedExpr) {
    let so_far = || name(id, RESULT);
    let call = |operator_: &str, args| IdedExpr { id, expr: operator(operator_, args) };
    let number = |n: i64| IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(n.into())) };
    let list = |items| IdedExpr { id, expr: Expr::List(ListExpr::new(items)) };
    let unless_false = |value| call(operators::NOT_STRICTLY_FALSE, vec![value]);
    match macro_ {
        "all" => (
            truth(id, true),
            unless_false(so_far()),
            call(operators::LOGICAL_AND, vec![so_far(), body]),
            so_far(),
        ),
        "exists" => (
            truth(id, false),
            unless_false(call(operators::LOGICAL_NOT, vec![so_far()])),
            call(operators::LOGICAL_OR, vec![so_far(), body]),
            so_far(),
        ),
        "transformList" => (
            list(Vec::new()),
            truth(id, true),
            call(operators::ADD, vec![so_far(), list(vec![body])]),
            so_far(),
        ),
        "transformMap" => (
            IdedExpr { id, expr: Expr::Map(Default::default()) },
            truth(id, true),
            call(WITH, vec![so_far(), name(id, key), body]),
            so_far(),
        ),
        _ => (
            number(0),
            truth(id, true),
            conditional(id, body, call(operators::ADD, vec![so_far(), number(1)]), so_far()),
            call(operators::EQUALS, vec![so_far(), number(1)]),
        ),
    }
}

fn conditional(id: u64, condition: IdedExpr, then: IdedExpr, otherwise: IdedExpr) -> IdedExpr {
    IdedExpr { id, expr: operator(operators::CONDITIONAL, vec![condition, then, otherwise]) }
}

fn name(id: u64, name: &str) -> IdedExpr {
    IdedExpr { id, expr: Expr::Ident(name.into()) }
}

fn ident(expression: &IdedExpr) -> Result<String, String> {
    match &expression.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err("argument must be a simple name".into()),
    }
}

fn bind(id: u64, bound: &str, value: IdedExpr, body: IdedExpr) -> IdedExpr {
    let nothing = IdedExpr { id, expr: Expr::List(ListExpr::default()) };
    IdedExpr {
        id,
        expr: Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: nothing,
            iter_var: UNUSED.into(),
            iter_var2: None,
            accu_var: bound.to_owned(),
            accu_init: value,
            loop_cond: truth(id, false),
            loop_step: name(id, bound),
            result: body,
        })),
    }
}

pub fn truth(id: u64, truth: bool) -> IdedExpr {
    IdedExpr { id, expr: Expr::Literal(LiteralValue::Boolean(truth.into())) }
}

pub fn operator(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.into(), target: None, args })
}

/// Adds the functions that these loops call.
pub fn register(context: &mut Context<'_>) {
    context.add_function(PAIRS, pairs);
    context.add_function(WITH, with);
}

fn pairs(This(range): This<Value>) -> ResolveResult {
    let pair = |key: Value, value: &Value| Value::List(Arc::new(vec![key, value.clone()]));
    let pairs: Vec<Value> = match &range {
        Value::List(items) => {
            items.iter().enumerate().map(|(index, item)| pair(Value::Int(index as i64), item)).collect()
        }
        Value::Map(map) => {
            let mut pairs: Vec<_> = map.map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            pairs.into_iter().map(|(key, value)| pair(key_value(key), value)).collect()
        }
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    Ok(Value::List(Arc::new(pairs)))
}

fn key_value(key: &Key) -> Value {
    match key {
        Key::Int(number) => Value::Int(*number),
        Key::Uint(number) => Value::UInt(*number),
        Key::Bool(truth) => Value::Bool(*truth),
        Key::String(text) => Value::String(text.clone()),
    }
}

fn with(This(map): This<Value>, key: Value, value: Value) -> ResolveResult {
    let Value::Map(map) = map else { return Err(ExecutionError::NoSuchOverload) };
    let key = match key {
        Value::Int(number) => Key::Int(number),
        Value::UInt(number) => Key::Uint(number),
        Value::Bool(truth) => Key::Bool(truth),
        Value::String(text) => Key::String(text),
        other => return Err(ExecutionError::unsupported_key_type(other)),
    };
    let mut entries: HashMap<Key, Value> = map.map.as_ref().clone();
    entries.insert(key, value);
    Ok(Value::Map(Map { map: Arc::new(entries) }))
}
