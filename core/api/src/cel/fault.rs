//! Why an evaluation gave no value, in Kubernetes' words.

use kube_cel::cel::ExecutionError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An error of the language: an operator that the other side decides for may still have a value.
    #[error("{0}")]
    Told(String),
    /// The evaluation was ended: nothing may make a value of it.
    #[error("operation cancelled: actual cost limit exceeded")]
    Cost,
}

impl Fault {
    pub fn told(why: impl Into<String>) -> Self {
        Self::Told(why.into())
    }

    pub fn overload() -> Self {
        Self::told("no such overload")
    }
}

impl From<ExecutionError> for Fault {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::FunctionError { message, .. } => Self::Told(message),
            ExecutionError::NoSuchKey(key) => Self::Told(format!("no such key: {key}")),
            ExecutionError::UndeclaredReference(name) => Self::Told(format!("no such attribute(s): {name}")),
            _ => Self::overload(),
        }
    }
}
