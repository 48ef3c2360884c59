//! Why a query has no answer.

use crate::series::SelectError;

/// Each kind is one of Prometheus' `errorType`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The query, or a parameter beside it, is wrong: `bad_data`.
    #[error("{0}")]
    Invalid(String),
    /// It can't be evaluated over what is there: `execution`.
    #[error("{0}")]
    Execution(String),
    /// It took too long: `timeout`.
    #[error("query timed out after {0} s; narrow it by labels or by time, or take larger steps")]
    TooSlow(u64),
    /// Others leave no room for it now: `unavailable`.
    #[error("{0}")]
    Busy(String),
    /// `internal`.
    #[error("{0}")]
    Unreadable(String),
}

impl QueryError {
    /// Series that must differ have the same labels.
    pub fn same_labels() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".into())
    }

    pub fn too_many(most: usize) -> Self {
        Self::Execution(format!(
            "query processing would load too many samples into memory (the limit is {most}); narrow it by labels or by time"
        ))
    }
}

impl From<SelectError> for QueryError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::TooMany(most) => Self::too_many(most),
            SelectError::Unreadable(sentence) => Self::Unreadable(sentence),
        }
    }
}
