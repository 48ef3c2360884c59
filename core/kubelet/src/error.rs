//! What goes wrong at the kubelet's edges.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Runtime(#[from] tiphys_runtime::Error),
    #[error("the API server: {0}")]
    Api(#[from] Box<kube::Error>),
    /// A certificate or key that cannot be used.
    #[error("the kubelet's server identity: {0}")]
    Identity(String),
    /// A volume that cannot be made; the message is for the Pod's owner.
    #[error("MountVolume.SetUp failed for volume {volume:?} : {message}")]
    Volume { volume: String, message: String },
    /// Something in the Pod's spec that cannot be done.
    #[error("{0}")]
    Spec(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Whether the API says that there is no such object.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
