//! Expressions in CEL over JSON: what match conditions and admission policies are written in.
//!
//! ```text
//! source ── parse (cel) ── rewrite ── check names ──> Expression     once, when an object is written or first used
//! Expression + Scope (variables, authorizer, budget) ──> value      each request
//! ```
//!
//! Parser, interpreter and the Kubernetes functions are those of `kube-cel`. `rewrite`
//! turns what its interpreter lacks or does otherwise than Kubernetes into what it can do:
//! fields of what may be null or optional, typed objects, `cel.bind`, variables that are
//! evaluated when they are needed. A `budget` bounds the work of a request.
//!
//! What it must not do: read the cluster; let an expression bring the server down. A panic of
//! the interpreter is an error of the expression.

mod authorizer;
mod budget;
mod convert;
mod names;
mod rewrite;
mod scope;
mod static_type;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::cel::{self, IdedExpr, parser::Parser};
use tiphys_api::cel::stack;

pub use authorizer::Asker;
pub use convert::{from_json, to_json};
pub use rewrite::TYPE_MARK;
pub use scope::{Scope, Variables};
pub use static_type::{Names, Type};

/// The longest expression that is looked at.
const LONGEST: usize = 64 * 1024;
/// How deep an expression may be nested in brackets.
const DEEPEST: u16 = 64;

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    source: String,
    root: IdedExpr,
    /// How deep it is nested.
    levels: usize,
    /// Names of the policy's variables that it uses.
    variables: Vec<String>,
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
        if source.len() > LONGEST {
            return Err(CelError::Compile(format!("expression is longer than {LONGEST} bytes")));
        }
        let levels = stack::most_levels(source);
        if levels > stack::MOST_LEVELS {
            return Err(CelError::Compile("expression is too complex".into()));
        }
        stack::with_room(levels, || Self::parse(source, known, variables)).map_err(CelError::Compile)
    }

    fn parse(source: &str, known: &[&str], variables: &[String]) -> Result<Self, String> {
        let parse =
            || Parser::default().enable_optional_syntax(true).max_recursion_depth(DEEPEST).parse(source);
        let root = guarded(parse)?.map_err(|errors| errors.to_string())?;
        let root = rewrite::expression(root)?;
        names::check(&root, known, variables)?;
        let used = root.references();
        let used = used.variables().into_iter().filter_map(|name| name.strip_prefix(rewrite::VARIABLE));
        let used = used.map(String::from).collect();
        Ok(Self { source: source.to_owned(), levels: stack::levels(&root), variables: used, root })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What type it gives, when names have these.
    ///
    /// # Errors
    /// No evaluation can succeed: why.
    pub fn type_in(&self, names: &Names) -> Result<Type, String> {
        stack::with_room(self.levels, || static_type::of(&self.root, names))
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

/// The result of `work`, or what it panicked with.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the expression can't be handled".to_owned())
}
