//! What an expression costs, and whether its names mean something.
//!
//! One walk gives type, cost and size of each part. Sizes are the bounds of the schema: the worst that
//! any object can cost.

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::{
    functions::{self, Cost},
    reach,
    schema_type::Ty,
};
use crate::cel::{
    library::{self, patterns},
    macros::UNUSED,
    signatures::{self, Kind},
};

/// A part of an expression.
#[derive(Clone)]
pub struct Part<'a> {
    pub ty: Ty<'a>,
    pub cost: u64,
    /// Characters, elements or entries, at most.
    size: u64,
}

/// Variables and what they are.
pub struct Walk<'a> {
    scope: Vec<(String, Part<'a>)>,
}

type Outcome<'a> = Result<Part<'a>, String>;

impl<'a> Part<'a> {
    fn new(ty: Ty<'a>, cost: u64, size: u64) -> Self {
        Self { ty, cost, size }
    }

    /// A variable: what the schema allows.
    pub fn variable(ty: Ty<'a>) -> Self {
        Self::of(ty, 1)
    }

    fn of(ty: Ty<'a>, cost: u64) -> Self {
        let size = match ty {
            Ty::Of(schema, _) => reach::size(schema),
            // Names of objects.
            Ty::String => 253,
            _ => 1,
        };
        Self { ty, cost, size }
    }
}

fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

impl<'a> Walk<'a> {
    pub fn new(variables: impl IntoIterator<Item = (&'static str, Part<'a>)>) -> Self {
        let scope = variables.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
        Self { scope }
    }

    /// # Errors
    /// A name means nothing, or types don't fit.
    pub fn part(&mut self, expression: &IdedExpr) -> Outcome<'a> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(literal_part(literal)),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let operand = self.part(&select.operand)?;
                let field = self.field(&operand, &select.field)?;
                Ok(if select.test { Part::new(Ty::Bool, field.cost, 1) } else { field })
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let cost = self.sum(&list.elements)?;
                Ok(Part::new(Ty::Made(Kind::List), cost.saturating_add(10), list.elements.len() as u64))
            }
            Expr::Map(map) => {
                let mut cost = 30_u64;
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        cost = cost.saturating_add(self.part(&entry.key)?.cost);
                        cost = cost.saturating_add(self.part(&entry.value)?.cost);
                    }
                }
                Ok(Part::new(Ty::Made(Kind::Map), cost, map.entries.len() as u64))
            }
            Expr::Struct(of) => Err(format!("undeclared reference to '{}' (in container '')", of.type_name)),
            Expr::Unspecified => Err("the expression is empty".into()),
        }
    }

    fn sum(&mut self, parts: &[IdedExpr]) -> Result<u64, String> {
        parts.iter().try_fold(0_u64, |sum, part| Ok(sum.saturating_add(self.part(part)?.cost)))
    }

    fn lookup(&self, name: &str) -> Option<&Part<'a>> {
        self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, part)| part)
    }

    fn variable(&self, name: &str) -> Outcome<'a> {
        match self.lookup(name) {
            Some(part) => Ok(Part { cost: 1, ..part.clone() }),
            None if library::type_named(name).is_some() => Ok(Part::new(Ty::Dyn, 1, 1)),
            None => Err(format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn field(&self, operand: &Part<'a>, escaped: &str) -> Outcome<'a> {
        Ok(Part::of(operand.ty.field(escaped)?, operand.cost.saturating_add(1)))
    }

    fn call(&mut self, call: &CallExpr) -> Outcome<'a> {
        let qualified = library::qualified(call, |word| self.lookup(word).is_some());
        let name = qualified.as_deref().unwrap_or(&call.func_name);
        let function = functions::find(name)
            .ok_or_else(|| format!("undeclared reference to '{name}' (in container '')"))?;
        let target = call.target.as_deref().filter(|_| qualified.is_none());
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in target.into_iter().chain(&call.args) {
            args.push(self.part(arg)?);
        }
        check_operands(name, &args)?;
        let kinds: Vec<_> = args.iter().map(|arg| (arg.ty.kind(), arg.ty.name().to_owned())).collect();
        let kind = signatures::result(name, target.is_some(), &kinds)?;
        let result = if kind == Kind::Dyn { function.result } else { Ty::made(kind) };
        let below = args.iter().fold(1_u64, |sum, arg| sum.saturating_add(arg.cost));
        match (name, args.as_slice()) {
            ("_[_]" | "_[?_]", [container, _]) => {
                let ty = if name == "_[_]" { container.ty.element() } else { Ty::Dyn };
                return Ok(Part::of(ty, below));
            }
            ("_?._", [operand, _]) => {
                let mut field = match &call.args[1].expr {
                    Expr::Literal(LiteralValue::String(name)) => self.field(operand, name.inner())?,
                    _ => operand.clone(),
                };
                (field.ty, field.cost) = (Ty::Dyn, below);
                return Ok(field);
            }
            ("matches" | "find" | "findAll", [text, _, ..]) => {
                if let Expr::Literal(LiteralValue::String(pattern)) =
                    &call.args[1 - usize::from(target.is_some())].expr
                {
                    let cost = patterns::cost(pattern.inner(), text.size)?;
                    let size = text.size;
                    return Ok(Part::new(result, below.saturating_add(cost), size));
                }
            }
            _ => {}
        }
        let sizes = || args.iter().map(|arg| arg.size);
        let growth = match function.cost {
            Cost::Fixed => 0,
            Cost::Squared => sizes().fold(1_u64, |all, one| all.saturating_mul(one.saturating_mul(one))),
            Cost::Linear => tenth(sizes().fold(0, u64::saturating_add)),
            Cost::Product => sizes().map(tenth).fold(1_u64, |all, one| all.saturating_mul(one.max(1))),
        };
        let size = match result {
            Ty::Bool | Ty::Int | Ty::Double | Ty::Duration | Ty::Timestamp => 1,
            _ => result_size(name, call, &args),
        };
        Ok(Part::new(result, below.saturating_add(growth), size))
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Outcome<'a> {
        let range = self.part(&of.iter_range)?;
        if !matches!(range.ty.kind(), Kind::Dyn | Kind::List | Kind::Map | Kind::Object) {
            return Err(format!(
                "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                range.ty.name()
            ));
        }
        let init = self.part(&of.accu_init)?;
        let depth = self.scope.len();
        if let Some(second) = &of.iter_var2 {
            self.scope.push((of.iter_var.clone(), key(&range)));
            self.scope.push((second.clone(), Part::of(range.ty.element(), 1)));
        } else {
            let item = match range.ty.iterated() {
                Ty::String => key(&range),
                ty => Part::of(ty, 1),
            };
            self.scope.push((of.iter_var.clone(), item));
        }
        // What is gathered grows with the loop. Of a bound value it is the value itself.
        let gathered =
            Part { cost: 1, size: init.size.max(if of.iter_var == UNUSED { 0 } else { 1 }), ..init.clone() };
        self.scope.push((of.accu_var.clone(), gathered));
        let outcome = (|| {
            let step = self.part(&of.loop_cond)?.cost.saturating_add(self.part(&of.loop_step)?.cost);
            Ok::<_, String>((step, self.part(&of.result)?))
        })();
        self.scope.truncate(depth);
        let (step, result) = outcome?;
        let loops = range.size.saturating_mul(step.saturating_add(1));
        let cost = [init.cost, loops, result.cost].into_iter().fold(range.cost, u64::saturating_add);
        let size = if init.ty.gathers() { result.size.max(range.size) } else { result.size };
        Ok(Part { cost, size, ..result })
    }
}

/// What an element goes by: its place in a list, its key in a map.
fn key<'a>(range: &Part<'a>) -> Part<'a> {
    match range.ty {
        Ty::Of(schema, _) if schema.ty == "array" => Part::new(Ty::Int, 1, 1),
        Ty::Of(..) | Ty::Meta => Part::new(Ty::String, 1, 253),
        _ => Part::new(Ty::Dyn, 1, 253),
    }
}

fn literal_part<'a>(literal: &LiteralValue) -> Part<'a> {
    match literal {
        LiteralValue::Boolean(_) => Part::new(Ty::Bool, 0, 1),
        LiteralValue::Int(_) => Part::new(Ty::Int, 0, 1),
        LiteralValue::Double(_) => Part::new(Ty::Double, 0, 1),
        LiteralValue::String(text) => Part::new(Ty::String, 0, text.inner().len() as u64),
        LiteralValue::Bytes(bytes) => Part::new(Ty::Made(Kind::Bytes), 0, bytes.inner().len() as u64),
        LiteralValue::UInt(_) => Part::new(Ty::Made(Kind::Uint), 0, 1),
        LiteralValue::Null => Part::new(Ty::Made(Kind::Null), 0, 1),
    }
}

fn result_size(name: &str, call: &CallExpr, args: &[Part<'_>]) -> u64 {
    let sizes = || args.iter().map(|arg| arg.size);
    match name {
        "_?_:_" => sizes().skip(1).max().unwrap_or(1),
        "replace" | "format" | "join" => sizes().fold(1_u64, |all, one| all.saturating_mul(one.max(1))),
        "lists.range" => match call.args.first().map(|arg| &arg.expr) {
            Some(Expr::Literal(LiteralValue::Int(n))) => u64::try_from(*n.inner()).unwrap_or(0),
            _ => u64::from(u32::MAX),
        },
        _ => sizes().fold(0, u64::saturating_add),
    }
}

/// Types that are known must fit the operators; what isn't known is left to the evaluation.
fn check_operands(name: &str, args: &[Part<'_>]) -> Result<(), String> {
    let names: Vec<&str> = args.iter().map(|arg| arg.ty.name()).collect();
    let logical = matches!(name, "_&&_" | "_||_" | "!_");
    let compares = matches!(name, "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_");
    let class = |name: &str| match name {
        "int" | "double" => "number",
        "bool" => "bool",
        "string" => "string",
        "list" => "list",
        "map" | "object" => "object",
        "google.protobuf.Timestamp" => "time",
        "google.protobuf.Duration" => "span",
        _ => "",
    };
    let classes: Vec<&str> = names.iter().map(|name| class(name)).collect();
    let wrong = (logical && classes.iter().any(|class| !["bool", ""].contains(class)))
        || (compares && classes.len() == 2 && classes[0] != classes[1] && !classes.contains(&""));
    if wrong {
        return Err(format!("found no matching overload for '{name}' applied to '({})'", names.join(", ")));
    }
    Ok(())
}
