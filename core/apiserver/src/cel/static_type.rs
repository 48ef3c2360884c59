//! What type an expression gives, as far as that can be told without values. Pure.
//!
//! Whatever is not known for sure is [`Type::Dyn`], about which nothing is said: an error here is
//! one that every evaluation would meet, too.

use std::{collections::BTreeMap, fmt, sync::Arc};

use kube_cel::cel::{
    IdedExpr,
    common::ast::{
        CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, MapExpr, SelectExpr, operators,
    },
};
use tiphys_api::{
    cel::{
        library,
        signatures::{self, Kind},
    },
    schema::{self, Schema},
};

use super::rewrite::TYPE_MARK;

#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List(Box<Type>),
    Map(Box<Type>),
    /// With named fields.
    Fields(Arc<Schema>),
    /// An object that the expression makes: `Object.spec`.
    Made(String),
    /// A value of another kind: a quantity, a time.
    Other(Kind),
}

/// The types of names.
pub type Names = BTreeMap<String, Type>;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null_type"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(value) => write!(f, "map(string, {value})"),
            Self::Fields(schema) if schema.name.is_empty() => f.write_str("object"),
            Self::Fields(schema) => f.write_str(&schema.name),
            Self::Made(name) => f.write_str(name),
            Self::Other(kind) => f.write_str(kind.name()),
        }
    }
}

impl From<&Arc<Schema>> for Type {
    fn from(schema: &Arc<Schema>) -> Self {
        let of = |schema: &Option<Arc<Schema>>| Box::new(schema.as_ref().map_or(Self::Dyn, Self::from));
        match schema.ty {
            schema::Type::Boolean => Self::Bool,
            schema::Type::Integer => Self::Int,
            schema::Type::Number => Self::Double,
            // Times are texts here, and more in Kubernetes: nothing is said about them.
            schema::Type::String if schema.format == schema::Format::None => Self::Text,
            schema::Type::Array => Self::List(of(&schema.items)),
            schema::Type::Object if !schema.properties.is_empty() => Self::Fields(schema.clone()),
            schema::Type::Object if schema.additional.is_some() => Self::Map(of(&schema.additional)),
            _ => Self::Dyn,
        }
    }
}

impl Type {
    /// What signatures tell it by.
    fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Uint => Kind::Uint,
            Self::Double => Kind::Double,
            Self::Text => Kind::String,
            Self::Bytes => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Fields(_) => Kind::Object,
            Self::Other(kind) => *kind,
            Self::Dyn | Self::Made(_) => Kind::Dyn,
        }
    }

    /// What a function makes.
    fn made(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Uint => Self::Uint,
            Kind::Double => Self::Double,
            Kind::String => Self::Text,
            Kind::Bytes => Self::Bytes,
            Kind::List => Self::List(Box::new(Self::Dyn)),
            Kind::Map => Self::Map(Box::new(Self::Dyn)),
            kind => Self::Other(kind),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    fn is_plain(&self) -> bool {
        self.is_number() || matches!(self, Self::Bool | Self::Text | Self::Bytes)
    }
}

/// # Errors
/// A field that is not there, or an operator that has no meaning for its operands.
pub fn of(root: &IdedExpr, names: &Names) -> Result<Type, String> {
    Checker { names, bound: Vec::new() }.of(root)
}

struct Checker<'a> {
    names: &'a Names,
    bound: Vec<(&'a str, Type)>,
}

impl<'a> Checker<'a> {
    fn of(&mut self, expression: &'a IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Ident(name) => Ok(self.ident(name)),
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(loop_) => self.comprehension(loop_),
            Expr::List(list) => {
                let types = list.elements.iter().map(|item| self.of(item)).collect::<Result<Vec<_>, _>>()?;
                let item = types.first().filter(|first| types.iter().all(|other| other == *first));
                Ok(Type::List(Box::new(item.cloned().unwrap_or(Type::Dyn))))
            }
            Expr::Map(map) => self.map(map),
            Expr::Struct(_) | Expr::Unspecified => Ok(Type::Dyn),
        }
    }

    fn ident(&self, name: &str) -> Type {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name).map(|(_, ty)| ty);
        bound.or_else(|| self.names.get(name)).cloned().unwrap_or(Type::Dyn)
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<Type, String> {
        let operand = self.of(&select.operand)?;
        let field = field(&operand, &select.field)?;
        Ok(if select.test { Type::Bool } else { field })
    }

    fn map(&mut self, map: &'a MapExpr) -> Result<Type, String> {
        let mut made = None;
        for entry in &map.entries {
            let EntryExpr::MapEntry(pair) = &entry.expr else { continue };
            self.of(&pair.value)?;
            if let (Some(TYPE_MARK), Some(name)) = (literal_text(&pair.key), literal_text(&pair.value)) {
                made = Some(name.to_owned());
            }
        }
        Ok(made.map_or_else(|| Type::Map(Box::new(Type::Dyn)), Type::Made))
    }

    fn comprehension(&mut self, loop_: &'a ComprehensionExpr) -> Result<Type, String> {
        let (first, second) = match (self.of(&loop_.iter_range)?, &loop_.iter_var2) {
            (Type::List(item), None) => (*item, Type::Dyn),
            (Type::List(item), Some(_)) => (Type::Int, *item),
            (Type::Map(value), _) => (Type::Text, *value),
            _ => (Type::Dyn, Type::Dyn),
        };
        let start = match self.of(&loop_.accu_init)? {
            Type::List(_) => Type::List(Box::new(Type::Dyn)),
            other => other,
        };
        let outer = self.bound.len();
        self.bound.push((&loop_.accu_var, start));
        self.bound.push((&loop_.iter_var, first));
        self.bound.extend(loop_.iter_var2.as_deref().map(|name| (name, second)));
        let step = self.of(&loop_.loop_step);
        self.bound.truncate(outer + 1);
        let result = step.and_then(|_| self.of(&loop_.result));
        self.bound.truncate(outer);
        result
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Type, String> {
        let is_value =
            |name: &str| self.names.contains_key(name) || self.bound.iter().any(|(it, _)| *it == name);
        let qualified = library::qualified(call, is_value);
        let mut types = Vec::with_capacity(call.args.len() + 1);
        let target = call.target.as_deref().filter(|_| qualified.is_none());
        if let Some(target) = target {
            types.push(self.of(target)?);
        }
        for argument in &call.args {
            types.push(self.of(argument)?);
        }
        if call.func_name == operators::INDEX
            && let (Some(name), [operand, _]) = (call.args.get(1).and_then(literal_text), types.as_slice())
        {
            return field(operand, name);
        }
        let function = qualified.as_deref().unwrap_or(&call.func_name);
        let kinds: Vec<_> = types.iter().map(|ty| (ty.kind(), ty.to_string())).collect();
        match signatures::result(function, target.is_some(), &kinds)? {
            Kind::Dyn => {}
            kind => return Ok(Type::made(kind)),
        }
        apply(function, &types).ok_or_else(|| {
            let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
            format!("found no matching overload for '{}' applied to '({})'", function, shown.join(", "))
        })
    }
}

fn literal_text(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// `operand.name`
fn field(operand: &Type, name: &str) -> Result<Type, String> {
    match operand {
        Type::Fields(schema) => match schema.field(name) {
            Some(field) => Ok(Type::from(field)),
            None if schema.preserve_unknown => Ok(Type::Dyn),
            None => Err(format!("undefined field '{name}'")),
        },
        Type::Map(value) => Ok(value.as_ref().clone()),
        plain if plain.is_plain() => Err(format!("type '{plain}' does not support field selection")),
        _ => Ok(Type::Dyn),
    }
}

/// What a function or operator gives; `None` if it has no meaning for these types.
fn apply(function: &str, types: &[Type]) -> Option<Type> {
    let plain = types.iter().all(Type::is_plain);
    let numbers = types.iter().all(Type::is_number);
    let same = types.windows(2).all(|pair| pair[0] == pair[1]);
    let only_bool = types.iter().all(|ty| matches!(ty, Type::Bool | Type::Dyn));
    Some(match (function, types) {
        (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, _) => {
            return (!plain || same || numbers).then_some(Type::Bool);
        }
        (operators::EQUALS | operators::NOT_EQUALS, _) => return (!plain || same).then_some(Type::Bool),
        (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => {
            return only_bool.then_some(Type::Bool);
        }
        (operators::ADD, [first, _]) if plain => {
            return (same && *first != Type::Bool).then(|| first.clone());
        }
        (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE, [first, _]) if plain => {
            return (same && numbers).then(|| first.clone());
        }
        (operators::ADD, [list @ Type::List(_), other]) if list == other => list.clone(),
        (operators::CONDITIONAL, [condition, then, otherwise]) => {
            if !matches!(condition, Type::Bool | Type::Dyn) {
                return None;
            }
            if then == otherwise { then.clone() } else { Type::Dyn }
        }
        (operators::INDEX, [Type::List(item), _]) => item.as_ref().clone(),
        (operators::IN | operators::NOT_STRICTLY_FALSE, _) => Type::Bool,
        _ => Type::Dyn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::Expression;

    fn told(source: &str) -> String {
        let deployment = schema::of("io.k8s.api.apps.v1.Deployment").unwrap();
        let names = Names::from([("object".to_owned(), Type::from(&deployment))]);
        let expression = Expression::compile(source, &["object", "oldObject"], &[]).unwrap();
        expression.type_in(&names).map_or_else(|error| error, |ty| ty.to_string())
    }

    #[test]
    fn types_follow_the_schema() {
        let table = [
            ("object.spec.replicas", "int"),
            ("object.spec.replicas > 1", "bool"),
            ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
            (
                "'got ' + object.spec.replicas",
                "found no matching overload for '_+_' applied to '(string, int)'",
            ),
            ("object.spec.replicaz > 1", "undefined field 'replicaz'"),
            ("has(object.spec.replicaz)", "undefined field 'replicaz'"),
            ("object.metadata.labels.anything", "string"),
            ("object.metadata.name.first", "type 'string' does not support field selection"),
            ("object.spec.template.spec.containers.all(c, c.image.startsWith('a'))", "bool"),
            ("object.spec.template.spec.containers.all(c, c.imag == 'a')", "undefined field 'imag'"),
            ("object.spec.template.spec.containers.map(c, c.name)", "list(dyn)"),
            ("object.spec.template.spec.containers[0].name", "string"),
            ("oldObject.whatever > 1", "bool"),
            (
                "object.spec.replicas == 'a' || true",
                "found no matching overload for '_==_' applied to '(int, string)'",
            ),
            ("1 && true", "found no matching overload for '_&&_' applied to '(int, bool)'"),
            ("true ? 1 : 2", "int"),
            ("Object{spec: Object.spec{replicas: 1}}", "Object"),
            ("size(object.metadata.name)", "int"),
            (
                "object.metadata.name.startsWith(1)",
                "found no matching overload for 'startsWith' applied to 'string.(int)'",
            ),
            ("object.spec.replicas.size()", "found no matching overload for 'size' applied to 'int.()'"),
            (
                "object.spec.replicas.find('a')",
                "found no matching overload for 'find' applied to 'int.(string)'",
            ),
            ("quantity(object.metadata.name)", "kubernetes.Quantity"),
            (
                "sets.contains([1], object.metadata.name)",
                "found no matching overload for 'sets.contains' applied to '(list(int), string)'",
            ),
            ("object.metadata.name.split('a').map(x, x)", "list(dyn)"),
            (
                "object.spec.template.spec.containers.all(i, c, i > 0 && c.imag == 'a')",
                "undefined field 'imag'",
            ),
        ];
        for (source, expected) in table {
            assert_eq!(told(source), expected, "{source}");
        }
    }
}
