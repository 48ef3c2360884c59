//! exec, attach, port-forward: the runtime streams, the kubelet tunnels.
//!
//! The runtime gives a URL on loopback; the client's upgrade (SPDY/3.1) is asked
//! of it with the same headers, and from the two 101s on bytes go to and fro as
//! they are. An upgrade that the runtime refuses is answered with its refusal.

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tiphys_lifecycle::OnError;
use tiphys_runtime::cri::v1;
use tokio::net::TcpStream;

use super::Shared;

type Pairs = Vec<(String, String)>;
type Refused = (StatusCode, String);

/// Headers that belong to the upgrade and are handed on both ways.
const HANDED_ON: &[&str] = &[
    "connection",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "x-stream-protocol-version",
];

pub(super) async fn exec(
    State(shared): State<Shared>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<Pairs>,
    request: Request,
) -> Result<Response, Refused> {
    let wanted = Wanted::read(&query);
    let question = v1::ExecRequest {
        container_id: running(&shared, &namespace, &pod, &container)?,
        cmd: query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.clone()).collect(),
        tty: wanted.tty,
        stdin: wanted.stdin,
        stdout: wanted.stdout,
        stderr: wanted.stderr,
    };
    let url = shared.context.cri.exec(question).await.map_err(failed)?;
    tunnel(&shared, request, &url).await
}

pub(super) async fn attach(
    State(shared): State<Shared>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<Pairs>,
    request: Request,
) -> Result<Response, Refused> {
    let wanted = Wanted::read(&query);
    let question = v1::AttachRequest {
        container_id: running(&shared, &namespace, &pod, &container)?,
        stdin: wanted.stdin,
        tty: wanted.tty,
        stdout: wanted.stdout,
        stderr: wanted.stderr,
    };
    let url = shared.context.cri.attach(question).await.map_err(failed)?;
    tunnel(&shared, request, &url).await
}

pub(super) async fn port_forward(
    State(shared): State<Shared>,
    Path((namespace, pod)): Path<(String, String)>,
    Query(query): Query<Pairs>,
    request: Request,
) -> Result<Response, Refused> {
    let view = shared.context.registry.find(&namespace, &pod);
    let sandbox =
        view.and_then(|view| view.borrow().runtime.ready_sandbox().map(|sandbox| sandbox.id.clone()));
    let sandbox =
        sandbox.ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod {namespace}/{pod} does not run here")))?;
    // With SPDY the ports come with the streams; the channels of a WebSocket are of those named here.
    let ports = query.iter().filter(|(key, _)| key == "port").flat_map(|(_, list)| list.split(','));
    let ports = ports.filter_map(|port| port.parse().ok()).collect();
    let url = shared.context.cri.port_forward(&sandbox, ports).await.map_err(failed)?;
    tunnel(&shared, request, &url).await
}

/// Which streams are asked for. The API server says `input`, `output`, `error`,
/// as upstream's does; people say `stdin`, `stdout`, `stderr`.
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    fn read(query: &Pairs) -> Self {
        let set = |names: [&str; 2]| {
            query
                .iter()
                .any(|(key, value)| names.contains(&key.as_str()) && matches!(value.as_str(), "1" | "true"))
        };
        let tty = set(["tty", "tty"]);
        Self {
            stdin: set(["input", "stdin"]),
            stdout: set(["output", "stdout"]),
            // A terminal has one output; the runtime refuses both.
            stderr: set(["error", "stderr"]) && !tty,
            tty,
        }
    }
}

/// The id of the running instance of a container.
fn running(shared: &Shared, namespace: &str, pod: &str, container: &str) -> Result<String, Refused> {
    let Some(view) = shared.context.registry.find(namespace, pod) else {
        return Err((StatusCode::NOT_FOUND, format!("pod {namespace}/{pod} is not on this node")));
    };
    let view = view.borrow();
    let instance = view.runtime.latest(container).filter(|instance| instance.is_running());
    let message = || format!("container {container:?} of pod {pod:?} does not run");
    instance.map(|instance| instance.id.clone()).ok_or_else(|| (StatusCode::BAD_REQUEST, message()))
}

fn failed(error: impl std::fmt::Display) -> Refused {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Asks the runtime for the upgrade, answers as it answers, and joins the two streams.
async fn tunnel(shared: &Shared, mut request: Request, url: &str) -> Result<Response, Refused> {
    let url: Uri = url.parse().map_err(failed)?;
    let authority = url.authority().ok_or_else(|| failed("the runtime gave a URL without an address"))?;
    let socket = TcpStream::connect(authority.as_str()).await.map_err(failed)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(failed)?;
    shared.context.tasks.spawn("kubelet stream", OnError::Log, async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "stream to the runtime broke");
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut question = http::Request::builder().method(request.method()).uri(path);
    if let Some(headers) = question.headers_mut() {
        hand_on(request.headers(), headers);
        headers.insert(header::HOST, authority.as_str().parse().map_err(failed)?);
    }
    let question = question.body(Empty::<bytes::Bytes>::new()).map_err(failed)?;
    let answer = sender.send_request(question).await.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(Body::new));
    }
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    hand_on(answer.headers(), response.headers_mut());
    let client = hyper::upgrade::on(&mut request);
    shared.context.tasks.spawn("kubelet tunnel", OnError::Log, async move {
        let joined = async {
            let (client, runtime) = tokio::try_join!(client, hyper::upgrade::on(answer))?;
            tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(runtime)).await?;
            Ok::<(), tiphys_lifecycle::BoxError>(())
        };
        // Whoever goes first ends it: nothing to tell but for debugging.
        if let Err(error) = joined.await {
            tracing::debug!(%error, "tunnel broke");
        }
        Ok::<(), std::convert::Infallible>(())
    });
    Ok(response)
}

fn hand_on(from: &HeaderMap, to: &mut HeaderMap) {
    for name in HANDED_ON {
        for value in from.get_all(*name) {
            to.append(HeaderName::from_static(name), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_naming_streams_are_understood() {
        let read = |text: &[(&str, &str)]| {
            Wanted::read(&text.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        let internal = read(&[("input", "1"), ("output", "1"), ("error", "1")]);
        assert!(internal.stdin && internal.stdout && internal.stderr && !internal.tty);
        let terminal = read(&[("stdin", "true"), ("stdout", "true"), ("stderr", "true"), ("tty", "true")]);
        assert!(terminal.tty && terminal.stdin && !terminal.stderr);
        assert!(!read(&[("stdin", "false")]).stdin);
    }
}
