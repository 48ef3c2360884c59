//! An error as the user reads it: what went wrong, why, and what to do next.

use std::{fmt, io};

/// The error type of every command.
#[derive(Debug)]
pub struct Failure {
    error: anyhow::Error,
    next: Option<String>,
    usage: bool,
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with the next command to try.
    pub fn new(message: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { error: anyhow::anyhow!("{message}"), next: Some(next.into()), usage: false }
    }

    /// The command line can't be meant so: exit code 2, as for an unknown option.
    pub fn usage(message: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new(message, next) }
    }

    pub fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }

    /// Whoever read our output has enough of it, as `head` has: no error.
    pub fn is_closed_pipe(&self) -> bool {
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.error.downcast_ref::<io::Error>().is_some_and(closed)
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
        Self { error: error.into(), next: None, usage: false }
    }
}

/// Names the next step of an error.
pub trait OrNext<T> {
    fn or_next(self, next: impl Into<String>) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> OrNext<T> for Result<T, E> {
    fn or_next(self, next: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| Failure { error: error.into(), next: Some(next.into()), usage: false })
    }
}

/// Names the next step after a request to the API.
pub trait OrAsked<T>: Sized {
    /// `refused` is the next step when the API said no, `silent` when nobody answered.
    fn or_asked_of(self, refused: &str, silent: &str) -> Outcome<T>;

    /// The next step when the API said no; when nobody answers, to look at the cluster.
    fn or_asked(self, refused: &str) -> Outcome<T> {
        self.or_asked_of(refused, "tiphys status")
    }
}

impl<T> OrAsked<T> for Result<T, kube::Error> {
    fn or_asked_of(self, refused: &str, silent: &str) -> Outcome<T> {
        self.map_err(|error| asked(error, refused, silent))
    }
}

impl<T> OrAsked<T> for Result<T, tiphys_logging::client::ClientError> {
    fn or_asked_of(self, refused: &str, silent: &str) -> Outcome<T> {
        self.map_err(|error| match error {
            tiphys_logging::client::ClientError::Transport(error) => asked(error, refused, silent),
            other => Failure { error: other.into(), next: Some(refused.to_owned()), usage: false },
        })
    }
}

/// The server's own sentence where it gave one: the client's would repeat it three times.
fn asked(error: kube::Error, refused: &str, silent: &str) -> Failure {
    match error {
        kube::Error::Api(status) => Failure::new(status.message, refused),
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            Failure::new(format!("the API server can't be reached: {cause}"), silent)
        }
        other => Failure { error: other.into(), next: Some(refused.to_owned()), usage: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.is_closed_pipe());
        assert!(!Failure::from(io::Error::from(io::ErrorKind::StorageFull)).is_closed_pipe());
        assert_eq!((Failure::usage("x", "y").exit_code(), gone.exit_code()), (2, 1));
    }

    #[test]
    fn what_the_api_said_is_said_once() {
        let status = kube::core::Status::failure("pods \"a\" not found", "NotFound").with_code(404);
        let refused = Err::<(), _>(kube::Error::Api(status.boxed())).or_asked("tiphys up").unwrap_err();
        assert_eq!((refused.message().as_str(), refused.next()), ("pods \"a\" not found", "tiphys up"));
        let silent = kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let silent = Err::<(), _>(silent).or_asked("tiphys up").unwrap_err();
        assert_eq!(silent.message(), "the API server can't be reached: connection refused");
        assert_eq!(silent.next(), "tiphys status");
    }
}
