//! The interpreter: an expression, the world it speaks of, and a meter; out comes a value.
//!
//! Values are shared, never copied, but for what an operator makes anew; what a loop gathers
//! grows in place. Each step and all that is read or made is charged to the meter.

use std::{collections::HashMap, sync::Arc};

use kube_cel::cel::{
    IdedExpr, Value,
    common::ast::{
        CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, operators,
    },
    objects::{Key, Map, OptionalValue},
};

use super::{
    fault::Fault,
    library::{self, Function},
    macros,
    meter::Meter,
    operators as ops, stack,
};

pub type Outcome = Result<Value, Fault>;

/// What an expression speaks of.
pub trait World {
    /// The value of a name; making one may cost.
    fn value(&self, name: &str, meter: &mut Meter) -> Option<Outcome>;

    /// A function beyond the library's.
    fn function(&self, _name: &str) -> Option<Function> {
        None
    }
}

/// # Errors
/// There is no value, or finding it costs too much.
pub fn evaluate(expression: &IdedExpr, levels: usize, world: &dyn World, meter: &mut Meter) -> Outcome {
    let mut run = Run { world, meter, bound: Vec::new() };
    stack::with_room(levels, || run.value(expression))
}

struct Run<'a> {
    world: &'a dyn World,
    meter: &'a mut Meter,
    /// What loops bind; the accumulator of a loop may be an error for now.
    bound: Vec<(&'a str, Outcome)>,
}

impl<'a> Run<'a> {
    fn value(&mut self, expression: &'a IdedExpr) -> Outcome {
        match &expression.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(object) => Err(Fault::told(format!("unknown type: {}", object.type_name))),
            Expr::Unspecified => Err(Fault::told("the expression is empty")),
        }
    }

    fn literal(&mut self, literal: &LiteralValue) -> Outcome {
        Ok(match literal {
            LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
            LiteralValue::Int(number) => Value::Int(*number.inner()),
            LiteralValue::UInt(number) => Value::UInt(*number.inner()),
            LiteralValue::Double(number) => Value::Float(*number.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::String(text) => {
                self.meter.charge(text.inner().len() as u64 / 64)?;
                Value::String(Arc::new(text.inner().to_owned()))
            }
            LiteralValue::Bytes(bytes) => {
                self.meter.charge(bytes.inner().len() as u64 / 64)?;
                Value::Bytes(Arc::new(bytes.inner().to_vec()))
            }
        })
    }

    fn name(&mut self, name: &str) -> Outcome {
        self.meter.charge(1)?;
        if let Some((_, value)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return value.clone();
        }
        let value = self.world.value(name, self.meter).or_else(|| library::type_named(name).map(Ok));
        value.unwrap_or_else(|| Err(Fault::told(format!("no such attribute(s): {name}"))))
    }

    fn select(&mut self, select: &'a SelectExpr) -> Outcome {
        let operand = self.value(&select.operand)?;
        self.meter.charge(1)?;
        if select.test { ops::has(&operand, &select.field) } else { ops::field(&operand, &select.field) }
    }

    fn list(&mut self, list: &'a ListExpr) -> Outcome {
        self.meter.charge(10)?;
        let mut items = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            let value = self.value(element)?;
            if list.optional_indices.contains(&index) {
                items.extend(ops::optional(&value)?.cloned());
            } else {
                items.push(value);
            }
        }
        Ok(Value::List(Arc::new(items)))
    }

    fn map(&mut self, map: &'a MapExpr) -> Outcome {
        self.meter.charge(30)?;
        let mut entries = HashMap::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { return Err(Fault::overload()) };
            let key = ops::key(&self.value(&entry.key)?)?;
            let value = self.value(&entry.value)?;
            let value = if entry.optional { ops::optional(&value)?.cloned() } else { Some(value) };
            if let Some(value) = value
                && entries.insert(key.clone(), value).is_some()
            {
                return Err(Fault::told(format!("Failed with repeated key: {}", ops::shown_key(&key))));
            }
        }
        Ok(Value::Map(Map { map: Arc::new(entries) }))
    }

    fn call(&mut self, call: &'a CallExpr) -> Outcome {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => self.logical(left, right, false),
            (operators::LOGICAL_OR, [left, right]) => self.logical(left, right, true),
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.meter.charge(1)?;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(then),
                    Value::Bool(false) => self.value(otherwise),
                    _ => Err(Fault::overload()),
                }
            }
            (operators::NOT_STRICTLY_FALSE, [operand]) => match self.value(operand) {
                Err(Fault::Cost) => Err(Fault::Cost),
                Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                _ => Ok(Value::Bool(true)),
            },
            _ => self.function(call),
        }
    }

    /// The side that decides has the value, whatever the other one is.
    fn logical(&mut self, left: &'a IdedExpr, right: &'a IdedExpr, decides: bool) -> Outcome {
        self.meter.charge(1)?;
        let left = match self.value(left) {
            Err(Fault::Cost) => return Err(Fault::Cost),
            Ok(Value::Bool(truth)) if truth == decides => return Ok(Value::Bool(decides)),
            Ok(Value::Bool(_)) => Ok(()),
            Ok(_) => Err(Fault::overload()),
            Err(why) => Err(why),
        };
        match (left, self.value(right)) {
            (_, Err(Fault::Cost)) => Err(Fault::Cost),
            (_, Ok(Value::Bool(truth))) if truth == decides => Ok(Value::Bool(decides)),
            (Err(why), _) => Err(why),
            (Ok(()), Ok(Value::Bool(truth))) => Ok(Value::Bool(truth)),
            (Ok(()), Ok(_)) => Err(Fault::overload()),
            (Ok(()), Err(why)) => Err(why),
        }
    }

    fn function(&mut self, call: &'a CallExpr) -> Outcome {
        let is_bound = |name: &str| self.bound.iter().any(|(bound, _)| *bound == name);
        let qualified = library::qualified(call, is_bound);
        let name = qualified.as_deref().unwrap_or(&call.func_name);
        let found = self.world.function(name).or_else(|| library::find(name));
        let function = found.ok_or_else(|| Fault::told(format!("no such function: {name}")))?;
        let target = call.target.as_deref().filter(|_| qualified.is_none());
        let mut values = Vec::with_capacity(call.args.len() + 1);
        for argument in target.into_iter().chain(&call.args) {
            values.push(self.value(argument)?);
        }
        self.meter.charge(1)?;
        function(&values, self.meter)
    }

    fn comprehension(&mut self, of: &'a ComprehensionExpr) -> Outcome {
        let range = self.value(&of.iter_range)?;
        let start = self.value(&of.accu_init)?;
        let depth = self.bound.len();
        self.bound.push((&of.accu_var, Ok(start)));
        let outcome = self.turns(of, &range, depth).and_then(|()| {
            self.bound.truncate(depth + 1);
            self.value(&of.result)
        });
        self.bound.truncate(depth);
        outcome
    }

    fn turns(&mut self, of: &'a ComprehensionExpr, range: &Value, accumulator: usize) -> Result<(), Fault> {
        let two = of.iter_var2.as_deref();
        match range {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let first = if two.is_some() { Value::Int(index as i64) } else { item.clone() };
                    if !self.turn(of, first, two.map(|name| (name, item)), accumulator)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                self.meter.charge(map.map.len() as u64)?;
                let mut entries: Vec<(&Key, &Value)> = map.map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                for (key, value) in entries {
                    if !self.turn(of, key.into(), two.map(|name| (name, value)), accumulator)? {
                        break;
                    }
                }
            }
            _ => return Err(Fault::overload()),
        }
        Ok(())
    }

    /// Whether another turn may follow.
    fn turn(
        &mut self,
        of: &'a ComprehensionExpr,
        first: Value,
        second: Option<(&'a str, &Value)>,
        accumulator: usize,
    ) -> Result<bool, Fault> {
        self.meter.charge(1)?;
        self.bound.truncate(accumulator + 1);
        if !matches!(self.value(&of.loop_cond)?, Value::Bool(true)) {
            return Ok(false);
        }
        self.bound.push((&of.iter_var, Ok(first)));
        if let Some((name, value)) = second {
            self.bound.push((name, Ok(value.clone())));
        }
        // Only what `all` and `exists` say may be known in spite of an error.
        let lasting = matches!(self.bound[accumulator].1, Ok(Value::Bool(_)) | Err(_));
        match self.step(&of.loop_step, &of.accu_var, accumulator) {
            Err(Fault::Told(why)) if lasting => self.bound[accumulator].1 = Err(Fault::Told(why)),
            outcome => outcome?,
        }
        Ok(true)
    }

    /// Changes the accumulator; what it gathers it gathers in place.
    fn step(&mut self, step: &'a IdedExpr, accumulator: &'a str, place: usize) -> Result<(), Fault> {
        let is_it =
            |expression: &IdedExpr| matches!(&expression.expr, Expr::Ident(name) if name == accumulator);
        if is_it(step) {
            return Ok(());
        }
        if let Expr::Call(call) = &step.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::CONDITIONAL, [condition, then, otherwise]) => {
                    self.meter.charge(1)?;
                    return match self.value(condition)? {
                        Value::Bool(true) => self.step(then, accumulator, place),
                        Value::Bool(false) => self.step(otherwise, accumulator, place),
                        _ => Err(Fault::overload()),
                    };
                }
                (operators::ADD, [so_far, IdedExpr { expr: Expr::List(added), .. }]) if is_it(so_far) => {
                    let Value::List(added) = self.list(added)? else { return Err(Fault::overload()) };
                    self.meter.charge(1)?;
                    return match &mut self.bound[place].1 {
                        Ok(Value::List(items)) => {
                            Arc::make_mut(items).extend(added.iter().cloned());
                            Ok(())
                        }
                        _ => Err(Fault::overload()),
                    };
                }
                (macros::WITH, [so_far, key, value]) if is_it(so_far) => {
                    let (key, value) = (ops::key(&self.value(key)?)?, self.value(value)?);
                    return self.insert(place, vec![(key, value)]);
                }
                (macros::WITH_ALL, [so_far, entries]) if is_it(so_far) => {
                    let Value::Map(entries) = self.value(entries)? else { return Err(Fault::overload()) };
                    let entries = entries.map.iter().map(|(key, value)| (key.clone(), value.clone()));
                    return self.insert(place, entries.collect());
                }
                _ => {}
            }
        }
        self.bound[place].1 = Ok(self.value(step)?);
        Ok(())
    }

    fn insert(&mut self, place: usize, entries: Vec<(Key, Value)>) -> Result<(), Fault> {
        self.meter.charge(entries.len() as u64)?;
        let Ok(Value::Map(map)) = &mut self.bound[place].1 else { return Err(Fault::overload()) };
        for (key, value) in entries {
            if ops::entry(map, &(&key).into())?.is_some() {
                return Err(Fault::told(format!(
                    "insert failed: key {} already exists",
                    ops::shown_key(&key)
                )));
            }
            Arc::make_mut(&mut map.map).insert(key, value);
        }
        Ok(())
    }
}

/// `optional.of(value)`, or `optional.none()`.
pub fn optional(value: Option<Value>) -> Value {
    Value::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}
