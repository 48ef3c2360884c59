//! What an error of etcd means: an answer, a request that never arrived, or one
//! whose fate is unknown. The difference decides whether a write may be sent again.

use std::error::Error as _;

use etcd_client::Error;
use tonic::{Code, Status};

use crate::StoreError;

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Compacted,
    FutureRevision,
    LeaseNotFound,
    /// The request can't be meant.
    Invalid(String),
    /// etcd will not do it, this time or the next.
    Refused(String),
    /// It was not carried out: another member may be asked.
    Unsent(String),
    /// It may have been carried out.
    Unknown(String),
    /// This store has been shut down.
    Closed,
}

impl Failure {
    /// As an error of a call for which revisions and leases play no part.
    pub fn into_error(self) -> StoreError {
        match self {
            Self::Invalid(why) => StoreError::InvalidTxn(why),
            Self::Refused(why) => StoreError::Io(format!("etcd refuses: {why}")),
            Self::Unsent(why) | Self::Unknown(why) => StoreError::Unavailable(why),
            Self::Closed => StoreError::Closed,
            other => StoreError::Io(format!("etcd gave an answer that doesn't fit: {other:?}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => of_status(&status),
            Error::LeaseKeepAliveError(why) if why == "lease not found" => Self::LeaseNotFound,
            Error::InvalidArgs(why) => Self::Refused(why),
            other => Self::Unknown(other.to_string()),
        }
    }
}

fn of_status(status: &Status) -> Failure {
    let why = status.message();
    let text = why.to_owned();
    if never_connected(status) {
        return Failure::Unsent(causes(status));
    }
    match status.code() {
        Code::OutOfRange if why.contains("compacted") => Failure::Compacted,
        Code::OutOfRange if why.contains("future revision") => Failure::FutureRevision,
        Code::NotFound if why.contains("lease not found") => Failure::LeaseNotFound,
        Code::InvalidArgument if why.contains("too large") => {
            Failure::Invalid(format!("{text} (etcd's --max-request-bytes)"))
        }
        Code::InvalidArgument if why.contains("too many operations") => {
            Failure::Invalid(format!("{text} (etcd's --max-txn-ops)"))
        }
        Code::InvalidArgument => Failure::Invalid(text),
        Code::ResourceExhausted if why.contains("space exceeded") => {
            Failure::Refused(format!("{text}: compact and defragment it, then etcdctl alarm disarm"))
        }
        // Said before anything is proposed.
        Code::ResourceExhausted if why.contains("too many requests") => Failure::Unsent(text),
        Code::Unavailable if why == "etcdserver: no leader" => Failure::Unsent(text),
        Code::Unauthenticated | Code::PermissionDenied => {
            Failure::Refused(format!("{text}: check --etcd-certfile and --etcd-keyfile"))
        }
        _ => Failure::Unknown(if why.is_empty() { causes(status) } else { text }),
    }
}

fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// An error and what caused it, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        source = inner.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_is_understood() {
        let of = |code, message: &str| Failure::from(Error::GRpcStatus(Status::new(code, message)));
        let timed_out = "etcdserver: request timed out, possibly due to previous leader failure";
        let unknown = |text: &str| Failure::Unknown(text.into());
        for (code, message, expected) in [
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", Failure::Compacted),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                Failure::FutureRevision,
            ),
            (Code::NotFound, "etcdserver: requested lease not found", Failure::LeaseNotFound),
            (Code::Unavailable, timed_out, unknown(timed_out)),
            (Code::Unavailable, "etcdserver: leader changed", unknown("etcdserver: leader changed")),
            (Code::Unavailable, "etcdserver: no leader", Failure::Unsent("etcdserver: no leader".into())),
            (Code::Cancelled, "connection reset", unknown("connection reset")),
        ] {
            assert_eq!(of(code, message), expected);
        }
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(full, Failure::Refused(why) if why.contains("alarm disarm")));
    }

    #[test]
    fn only_what_surely_did_not_happen_is_unsent() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(tonic::ConnectError(Box::new(refused))));
        assert!(matches!(of_status(&status), Failure::Unsent(why) if why.contains("refused")));
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(of_status(&Status::from_error(Box::new(reset))), Failure::Unknown(_)));
    }
}
