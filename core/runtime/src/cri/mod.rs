//! The Container Runtime Interface, version 1, over a unix socket.
//!
//! [`Cri`] is a thin layer over the generated client: each call has a limit of
//! time and an error that names it. The messages are CRI's own, in [`v1`].

mod containers;
mod images;
mod sandboxes;

use std::{path::Path, time::Duration};

use hyper_util::rt::TokioIo;
pub use images::Credentials;
pub use k8s_cri::v1;
use tonic::transport::{Channel, Endpoint, Uri};
use v1::{image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient};

use crate::{Error, Result};

/// Calls that only read.
const QUICK: Duration = Duration::from_secs(10);
/// Calls that start or stop something, less the time given to it to stop.
const SLOW: Duration = Duration::from_secs(120);
/// As large as containerd itself sends.
const MAX_MESSAGE: usize = 16 << 20;

/// A client of the runtime. Clones share the connection, which is made at the
/// first call and again after the runtime was restarted.
#[derive(Clone)]
pub struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Cri {
    pub fn new(socket: &Path) -> Self {
        let channel = channel(socket);
        Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
        }
    }

    /// Name and version of the runtime.
    pub async fn version(&self) -> Result<v1::VersionResponse> {
        let mut client = self.runtime.clone();
        limited("version", QUICK, client.version(v1::VersionRequest::default())).await
    }

    /// The conditions `RuntimeReady` and `NetworkReady`.
    pub async fn conditions(&self) -> Result<Vec<v1::RuntimeCondition>> {
        let mut client = self.runtime.clone();
        let answer = limited("status", QUICK, client.status(v1::StatusRequest::default())).await?;
        Ok(answer.status.map(|status| status.conditions).unwrap_or_default())
    }
}

/// A connection to a unix socket, made when first used.
pub(crate) fn channel(socket: &Path) -> Channel {
    let socket = socket.to_path_buf();
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
    }))
}

/// Awaits a call, at most `limit`, and names it in its error.
async fn limited<T>(
    name: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(Error::call(name)),
        Err(_) => {
            let message = format!("no answer within {} s", limit.as_secs());
            Err(Error::Call { call: name, code: tonic::Code::DeadlineExceeded, message })
        }
    }
}
