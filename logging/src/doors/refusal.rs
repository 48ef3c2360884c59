//! Why something is not taken, before it is put into a protocol's own words. Pure.

use std::time::Duration;

use http::StatusCode;

/// What kind of no it is; each protocol has its number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    /// The sender took too long.
    Slow,
    TooLarge,
    Unsupported,
    /// Try again later: memory or the log is full.
    Busy,
    /// Try again later: something else doesn't work.
    Unavailable,
}

/// A sender may try again after this.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The records are not taken. The message says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: Kind,
    pub message: String,
}

impl Refusal {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }
}

impl Kind {
    pub fn status(self) -> StatusCode {
        match self {
            Kind::Malformed => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Slow => StatusCode::REQUEST_TIMEOUT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The status of gRPC.
    pub fn code(self) -> tonic::Code {
        match self {
            // Codes that no sender tries again: it would be wrong, or too large, again.
            Kind::Malformed | Kind::TooLarge => tonic::Code::InvalidArgument,
            Kind::Unauthenticated => tonic::Code::Unauthenticated,
            Kind::Forbidden => tonic::Code::PermissionDenied,
            Kind::NotFound | Kind::Unsupported => tonic::Code::Unimplemented,
            Kind::Slow => tonic::Code::Cancelled,
            Kind::Busy => tonic::Code::ResourceExhausted,
            Kind::Unavailable => tonic::Code::Unavailable,
        }
    }

    /// The word of metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Kind::Malformed => "malformed",
            Kind::Unauthenticated => "unauthenticated",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not found",
            Kind::Slow => "slow",
            Kind::TooLarge => "too large",
            Kind::Unsupported => "unsupported",
            Kind::Busy => "busy",
            Kind::Unavailable => "unavailable",
        }
    }

    /// Whether the same may be taken later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Kind::Busy | Kind::Unavailable | Kind::Slow)
    }
}
