//! The Container Runtime Interface, version 1, over a unix socket.
//!
//! [`Cri`] is a thin layer over the generated client: each call has a limit of
//! time and an error that names it, and who wants to count calls is told of the end of
//! each. The messages are CRI's own, in [`v1`].

mod call;
mod containers;
mod images;
mod sandboxes;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use call::Call;
pub use call::Ended;
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
    observer: Arc<dyn Fn(Ended) + Send + Sync>,
}

impl Cri {
    pub fn new(socket: &Path) -> Self {
        let channel = channel(socket);
        Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
            observer: Arc::new(|_| {}),
        }
    }

    /// The same client, which tells `observer` of each call that has ended. A call that is given
    /// up by its caller before that is not told of.
    pub fn observed(self, observer: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        Self { observer: Arc::new(observer), ..self }
    }

    /// Name and version of the runtime.
    pub async fn version(&self) -> Result<v1::VersionResponse> {
        let mut client = self.runtime.clone();
        self.limited(Call::Version, QUICK, client.version(v1::VersionRequest::default())).await
    }

    /// The conditions `RuntimeReady` and `NetworkReady`.
    pub async fn conditions(&self) -> Result<Vec<v1::RuntimeCondition>> {
        let mut client = self.runtime.clone();
        let answer = self.limited(Call::Status, QUICK, client.status(v1::StatusRequest::default())).await?;
        Ok(answer.status.map(|status| status.conditions).unwrap_or_default())
    }

    /// Awaits a call, at most `limit`, names it in its error, and tells of its end.
    async fn limited<T>(
        &self,
        call: Call,
        limit: Duration,
        answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T> {
        let started = Instant::now();
        let ended = match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(Error::call(call.name())),
            Err(_) => {
                let message = format!("no answer within {} s", limit.as_secs());
                Err(Error::Call { call: call.name(), code: tonic::Code::DeadlineExceeded, message })
            }
        };
        let (operation, took, has_failed) = (call.operation(), started.elapsed(), ended.is_err());
        (self.observer)(Ended { operation, took, has_failed });
        ended
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn who_observes_is_told_of_each_call_under_the_kubelets_name() {
        let told: Arc<Mutex<Vec<(&str, bool)>>> = Arc::default();
        let heard = told.clone();
        let cri = Cri::new(Path::new("/nowhere/no-runtime.sock")).observed(move |ended| {
            heard.lock().expect("no panic").push((ended.operation, ended.has_failed));
        });
        let error = cri.clone().stop_sandbox("s").await.expect_err("nobody answers");
        assert!(error.to_string().starts_with("stop sandbox: "), "{error}");
        cri.exec_sync("c", Vec::new(), Duration::ZERO).await.expect_err("nobody answers");
        cri.image("web:1").await.expect_err("nobody answers");
        let told = told.lock().expect("no panic").clone();
        assert_eq!(told, [("stop_podsandbox", true), ("exec_sync", true), ("image_status", true)]);
    }

    #[tokio::test]
    async fn an_answer_that_comes_in_time_is_no_failure_and_none_is_one() {
        let told: Arc<Mutex<Vec<Ended>>> = Arc::default();
        let heard = told.clone();
        let cri = Cri::new(Path::new("/nowhere/no-runtime.sock"))
            .observed(move |ended| heard.lock().expect("no panic").push(ended));
        let answer = async { Ok(tonic::Response::new(7)) };
        assert_eq!(cri.limited(Call::PullImage, QUICK, answer).await.expect("an answer"), 7);
        let never = std::future::pending::<Result<tonic::Response<()>, tonic::Status>>();
        let error = cri.limited(Call::PullImage, Duration::ZERO, never).await.expect_err("no answer");
        assert_eq!(error.to_string(), "pull image: no answer within 0 s");
        let told = told.lock().expect("no panic").clone();
        let pulls = told.iter().map(|ended| (ended.operation, ended.has_failed));
        assert_eq!(pulls.collect::<Vec<_>>(), [("pull_image", false), ("pull_image", true)]);
    }
}
