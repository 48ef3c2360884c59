//! What goes wrong between this process, the runtime and the kernel.

use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    /// A call that the runtime answered with an error, or did not answer.
    #[error("{call}: {message}")]
    Call { call: &'static str, code: tonic::Code, message: String },

    #[error("containerd is not installed: no `{0}` on the PATH; on Debian: apt-get install containerd runc")]
    NotInstalled(String),

    #[error("containerd did not become ready within {seconds} s; its log is {log}")]
    NotReady { seconds: u64, log: PathBuf },

    /// An archive or a folder that is no usable image.
    #[error("{path} is not a usable image: {reason}")]
    Image { path: PathBuf, reason: String },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn call(call: &'static str) -> impl FnOnce(tonic::Status) -> Self {
        move |status| Self::Call { call, code: status.code(), message: status.message().to_owned() }
    }

    /// The runtime does not know what it was asked about.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Call { code: tonic::Code::NotFound, .. })
    }
}
