//! Expressions in CEL over JSON: what match conditions and admission policies are written in.
//!
//! ```text
//! source ── parse (core/api) ── rewrite ── check names ──> Expression   once, when an object is written or first used
//! Expression + Scope (variables, authorizer, budget) ──> value         each request
//! ```
//!
//! Language, library and costs are those of `tiphys_api::cel`; here is what policies have beyond them.
//!
//! What it must not do: read the cluster.

mod authorizer;
mod convert;
mod names;
mod rewrite;
mod scope;
mod static_type;
#[cfg(test)]
mod tests;

use kube_cel::cel;
use tiphys_api::cel::{parse, stack};

pub use authorizer::Asker;
pub use convert::{from_json, to_json};
pub use rewrite::TYPE_MARK;
pub use scope::{Scope, Variables};
pub use static_type::{Names, Type};

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    source: String,
    parsed: parse::Expression,
}

/// Why an expression is refused, or gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    #[error("compilation failed: {0}")]
    Compile(String),
    #[error("{0}")]
    Execution(String),
    #[error("must evaluate to {wanted}")]
    WrongType { wanted: &'static str },
}

impl Expression {
    /// Compiles an expression in which only these names stand for something.
    ///
    /// # Errors
    /// No CEL, or a name or function that nobody knows.
    pub fn compile(source: &str, known: &[&str], variables: &[String]) -> Result<Self, CelError> {
        let mut parsed = parse::Expression::parse(source).map_err(CelError::Compile)?;
        let check = || {
            rewrite::expression(&mut parsed.root)?;
            names::check(&parsed.root, known, variables)
        };
        stack::with_room(parsed.levels, check).map_err(CelError::Compile)?;
        Ok(Self { source: source.to_owned(), parsed })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What type it gives, when names have these.
    ///
    /// # Errors
    /// No evaluation can succeed: why.
    pub fn type_in(&self, names: &Names) -> Result<Type, String> {
        stack::with_room(self.parsed.levels, || static_type::of(&self.parsed.root, names))
    }

    /// The same expression, if it may give one of these types.
    ///
    /// # Errors
    /// It can't.
    pub fn giving(self, wanted: &'static str, types: &[Type]) -> Result<Self, CelError> {
        match self.type_in(&Names::new()) {
            Ok(ty) if ty == Type::Dyn || types.contains(&ty) => Ok(self),
            Ok(_) => Err(CelError::WrongType { wanted }),
            Err(why) => Err(CelError::Compile(why)),
        }
    }

    /// # Errors
    /// The evaluation failed, or took too long.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<cel::Value, CelError> {
        scope.evaluate(self)
    }

    /// # Errors
    /// As [`Expression::evaluate`], and for a value that is no truth value.
    pub fn is_true(&self, scope: &Scope<'_>) -> Result<bool, CelError> {
        match self.evaluate(scope)? {
            cel::Value::Bool(truth) => Ok(truth),
            _ => Err(CelError::WrongType { wanted: "bool" }),
        }
    }
}
