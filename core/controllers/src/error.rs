//! What a reconcile may end with beside success. Any error means: again, later.

/// An error of one reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the API answered: {0}")]
    Api(#[from] kube::Error),
    #[error("object can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The object itself is at fault (a selector that can't be parsed, ...).
    #[error("{0}")]
    Invalid(String),
    /// Something isn't so far yet; the text says what.
    #[error("{0}")]
    NotYet(String),
}

impl Error {
    /// Somebody else wrote the object first: normal, and tried again at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if code(error) == 409)
    }
}

/// The HTTP status of an API error, 0 when there was no answer.
pub fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

/// The `reason` of an API error, empty when there was no answer.
pub fn reason(error: &kube::Error) -> &str {
    match error {
        kube::Error::Api(status) => &status.reason,
        _ => "",
    }
}

/// Whether a create failed because the namespace is going away.
pub fn namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403
        && (causes.any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("because it is being terminated"))
}

/// `None` for 404, so that "is it gone" reads as a value.
pub fn found<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if code(&error) == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
