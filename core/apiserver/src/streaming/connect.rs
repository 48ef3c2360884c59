//! exec, attach and portforward: which way a request goes.

use std::net::SocketAddr;

use http::{HeaderValue, Request, Response, header};
use tiphys_api::serve::Body;

use super::{
    Streaming,
    channels::Protocol,
    destination,
    options::{ExecOptions, port_channels_path, port_forward_path},
    tokens, translate, tunnel, unwrap,
    upgrade::{self, STREAM_PROTOCOL, Wanted},
    websocket,
};
use crate::{audit::Upgraded, authz::Refusal};

/// The version of remote command streams asked of a kubelet: exit codes as a Status.
const REMOTE_COMMAND: HeaderValue = HeaderValue::from_static("v4.channel.k8s.io");
const PORT_FORWARD: HeaderValue = HeaderValue::from_static("portforward.k8s.io");
/// The WebSocket subprotocol that carries a whole SPDY connection.
const TUNNELLED_PORT_FORWARD: &str = "SPDY/3.1+portforward.k8s.io";
/// The one that has two channels a port, data and errors, as clients without SPDY speak it.
const PORT_CHANNELS: &str = "v4.channel.k8s.io";

impl Streaming {
    /// An upgrade on `pods/NAME/SUBRESOURCE`, which is `exec`, `attach` or
    /// `portforward`. An error answer closes the connection: set `Connection: close` on it.
    pub async fn connect(
        &self,
        subresource: &str,
        namespace: &str,
        name: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let wanted = upgrade::wanted(request.headers())?;
        let pod = self.pod(namespace, name).await?;
        let node = destination::node_name(&pod)
            .ok_or_else(|| Refusal::bad_request(format!("pod {name} does not have a host assigned")))?;
        let query = request.uri().query().unwrap_or_default();
        if subresource == "portforward" {
            let path = port_forward_path(namespace, name);
            let channels = port_channels_path(namespace, name, query);
            let address = self.kubelet_of(node).await?;
            let has_channels =
                tokens(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL).any(|name| name == PORT_CHANNELS);
            return match wanted {
                Wanted::Spdy => self.tunnel(request, address, &path).await,
                Wanted::WebSocket if has_channels => self.port_channels(request, address, &channels?).await,
                Wanted::WebSocket => self.port_forward_by_websocket(request, address, &path).await,
            };
        }
        let options = ExecOptions::parse(query);
        options.check(subresource)?;
        let container = destination::container(&pod, &options.container)?;
        let path = options.path(subresource, namespace, name, &container);
        let address = self.kubelet_of(node).await?;
        match wanted {
            Wanted::Spdy => self.tunnel(request, address, &path).await,
            Wanted::WebSocket => self.command_by_websocket(request, address, &path, &options).await,
        }
    }

    async fn command_by_websocket(
        &self,
        mut request: Request<Body>,
        address: SocketAddr,
        path: &str,
        options: &ExecOptions,
    ) -> Result<Response<Body>, Refusal> {
        let (accepted, protocol) = websocket::accept(&request, Protocol::named)?;
        let client = upgrade::client_half(&mut request)?;
        let kubelet = upgrade::kubelet_half(&self.kubelets, address, path, vec![REMOTE_COMMAND]).await?;
        let streams = translate::streams(options);
        let work = translate::run(client, kubelet.stream, protocol, streams);
        Ok(self.spawn_stream("remote command", accepted, work))
    }

    async fn port_forward_by_websocket(
        &self,
        mut request: Request<Body>,
        address: SocketAddr,
        path: &str,
    ) -> Result<Response<Body>, Refusal> {
        let (accepted, ()) =
            websocket::accept(&request, |offered| (offered == TUNNELLED_PORT_FORWARD).then_some(()))?;
        let client = upgrade::client_half(&mut request)?;
        let kubelet = upgrade::kubelet_half(&self.kubelets, address, path, vec![PORT_FORWARD]).await?;
        Ok(self.spawn_stream("port forward", accepted, unwrap::run(client, kubelet.stream)))
    }

    /// The runtime speaks this one itself; what it answers to the client's key is what we do.
    async fn port_channels(
        &self,
        mut request: Request<Body>,
        address: SocketAddr,
        path: &str,
    ) -> Result<Response<Body>, Refusal> {
        let (accepted, ()) = websocket::accept(&request, |offered| (offered == PORT_CHANNELS).then_some(()))?;
        let client = upgrade::client_half(&mut request)?;
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
        let key = key.ok_or_else(|| Refusal::bad_request("header Sec-WebSocket-Key is missing"))?;
        let kubelet = upgrade::kubelet_socket(&self.kubelets, address, path, key, PORT_CHANNELS).await?;
        Ok(self.spawn_stream("port forward", accepted, tunnel::run(client, kubelet)))
    }

    async fn tunnel(
        &self,
        mut request: Request<Body>,
        address: SocketAddr,
        path: &str,
    ) -> Result<Response<Body>, Refusal> {
        let client = upgrade::client_half(&mut request)?;
        let offered = request.headers().get_all(STREAM_PROTOCOL).iter().cloned().collect();
        let kubelet = upgrade::kubelet_half(&self.kubelets, address, path, offered).await?;
        let protocol = kubelet.protocol.map(|protocol| (STREAM_PROTOCOL, protocol));
        let accepted = upgrade::switching(upgrade::SPDY, protocol);
        Ok(self.spawn_stream("stream tunnel", accepted, tunnel::run(client, kubelet.stream)))
    }

    /// Streams end when a peer leaves; that is no failure of the server. The 101
    /// says how long they last to who records it.
    fn spawn_stream(
        &self,
        name: &'static str,
        mut accepted: Response<Body>,
        work: impl Future<Output = Result<(), tiphys_lifecycle::BoxError>> + Send + 'static,
    ) -> Response<Body> {
        let upgraded = Upgraded::default();
        accepted.extensions_mut().insert(upgraded.clone());
        self.tasks.spawn(name, tiphys_lifecycle::OnError::Log, async move {
            let _upgraded = upgraded;
            if let Err(error) = work.await {
                tracing::debug!(stream = name, %error, "stream ended early");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        accepted
    }
}

/// So that nothing sent after a refused upgrade is taken for a request.
pub fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
