//! Operators as functions, by the names that the parser gives them.

use kube_cel::cel::{Value, common::ast::operators as names};

use super::Table;
use crate::cel::{
    evaluate::Outcome,
    fault::Fault,
    meter::Meter,
    operators::{self as ops},
};

pub const FUNCTIONS: Table = &[
    (names::EQUALS, |args, meter| two(args, |a, b| ops::equal(a, b, meter).map(Value::Bool))),
    (names::NOT_EQUALS, |args, meter| two(args, |a, b| ops::equal(a, b, meter).map(|it| Value::Bool(!it)))),
    (names::LESS, |args, meter| ordered(args, meter, std::cmp::Ordering::is_lt)),
    (names::LESS_EQUALS, |args, meter| ordered(args, meter, std::cmp::Ordering::is_le)),
    (names::GREATER, |args, meter| ordered(args, meter, std::cmp::Ordering::is_gt)),
    (names::GREATER_EQUALS, |args, meter| ordered(args, meter, std::cmp::Ordering::is_ge)),
    (names::ADD, |args, meter| two(args, |a, b| ops::add(a, b, meter))),
    (names::SUBSTRACT, |args, _| two(args, ops::subtract)),
    (names::MULTIPLY, |args, _| two(args, ops::multiply)),
    (names::DIVIDE, |args, _| two(args, ops::divide)),
    (names::MODULO, |args, _| two(args, ops::remainder)),
    (names::IN, |args, meter| two(args, |a, b| ops::within(a, b, meter).map(Value::Bool))),
    (names::INDEX, |args, _| two(args, ops::index)),
    (names::OPT_INDEX, |args, _| two(args, ops::perhaps)),
    (names::OPT_SELECT, |args, _| two(args, ops::perhaps)),
    (names::NEGATE, |args, _| one(args, ops::negate)),
    (names::LOGICAL_NOT, |args, _| match args {
        [Value::Bool(truth)] => Ok(Value::Bool(!truth)),
        _ => Err(Fault::overload()),
    }),
];

fn one(args: &[Value], work: impl FnOnce(&Value) -> Outcome) -> Outcome {
    let [operand] = args else { return Err(Fault::overload()) };
    work(operand)
}

fn two(args: &[Value], work: impl FnOnce(&Value, &Value) -> Outcome) -> Outcome {
    let [left, right] = args else { return Err(Fault::overload()) };
    work(left, right)
}

fn ordered(args: &[Value], meter: &mut Meter, holds: fn(std::cmp::Ordering) -> bool) -> Outcome {
    two(args, |a, b| Ok(Value::Bool(ops::compare(a, b, meter)?.is_some_and(holds))))
}
