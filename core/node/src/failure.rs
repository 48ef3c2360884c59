//! An error as the user reads it: what went wrong, why, and what to do next.

use std::fmt;

/// The error type of every command.
#[derive(Debug)]
pub struct Failure {
    error: anyhow::Error,
    next: Option<String>,
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with the next command to try.
    pub fn new(message: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { error: anyhow::anyhow!("{message}"), next: Some(next.into()) }
    }

    /// The causes, outermost first, on one line.
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }

    /// What to do next; `tiphys doctor` where the failing part could not say better.
    pub fn next(&self) -> &str {
        self.next.as_deref().unwrap_or("tiphys doctor")
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), next: None }
    }
}

/// Names the next step of an error.
pub trait OrNext<T> {
    fn or_next(self, next: impl Into<String>) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> OrNext<T> for Result<T, E> {
    fn or_next(self, next: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| Failure { error: error.into(), next: Some(next.into()) })
    }
}
