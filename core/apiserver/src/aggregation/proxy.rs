//! One request passed on to an extension server, and its answer back.
//!
//! A redirect is not followed and not passed on: the client would go, with what it trusts this
//! server with, wherever the extension server wants (CVE-2022-3172).

use std::time::Duration;

use http::{Request, Response, StatusCode, Uri, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, boxed, empty},
};
use tiphys_lifecycle::OnError;

use super::{Service, identity, transport::Unreachable};
use crate::{
    audit,
    request::options,
    state::Core,
    status::{ApiError, Result},
    streaming::{self, strip_hop_by_hop, tunnel},
};

/// From the request to the head of the answer, for what doesn't last.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The user has been authorized already.
///
/// # Errors
/// The server isn't available, or gives no answer that may be passed on.
pub async fn proxy(
    core: &Core,
    service: &Service,
    user: &UserInfo,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    let name = service.name();
    if let Err(reason) = &service.available {
        return Err(ApiError::unavailable(format!("the APIService {name} is not available ({reason})")));
    }
    let remote = service.remote.as_ref().ok_or_else(ApiError::no_such_path)?;
    let client = request.extensions_mut().remove::<OnUpgrade>();
    let lasts = options::is_watch(request.uri().query().unwrap_or_default());
    let upgrade = identity::upgrade(request.headers()).cloned().filter(|_| client.is_some());
    let request = outgoing(request, user, upgrade.as_ref())?;
    let sent = core.aggregation.transport.send(remote, request);
    let answer = if lasts || upgrade.is_some() {
        sent.await
    } else {
        let late = || ApiError::timeout(format!("the APIService {name} did not answer in time"));
        tokio::time::timeout(ANSWER_LIMIT, sent).await.map_err(|_| late())?
    };
    let answer = answer.map_err(|error| unreachable(&name, &error))?;
    match (client, upgrade, answer.status()) {
        (Some(client), Some(_), StatusCode::SWITCHING_PROTOCOLS) => Ok(tunnelled(core, client, answer)),
        (_, asked, StatusCode::SWITCHING_PROTOCOLS) => {
            tracing::debug!(service = name, ?asked, "extension server switched protocols unasked");
            Err(bad_gateway(format!("the APIService {name} switched protocols without being asked to")))
        }
        (_, _, status) if status.is_redirection() && answer.headers().contains_key(header::LOCATION) => {
            Err(bad_gateway(format!("the APIService {name} attempted to redirect, which is not permitted")))
        }
        (_, asked, _) => {
            let mut answer = answer.map(boxed);
            strip_hop_by_hop(answer.headers_mut());
            answer.extensions_mut().insert(audit::PassedOn);
            if asked.is_some() {
                streaming::close(&mut answer);
            }
            Ok(answer)
        }
    }
}

/// The same method, path, query and body; the headers that an extension server may see.
fn outgoing(
    request: Request<Body>,
    user: &UserInfo,
    upgrade: Option<&http::HeaderValue>,
) -> Result<Request<Body>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned().ok_or_else(ApiError::no_such_path)?;
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = Uri::from(path);
    *outgoing.headers_mut() =
        identity::passed_on(&parts.headers, user, upgrade).map_err(ApiError::internal)?;
    Ok(outgoing)
}

/// The 101 for the client; bytes go both ways from then on.
fn tunnelled(core: &Core, client: OnUpgrade, mut answer: Response<hyper::body::Incoming>) -> Response<Body> {
    let server = hyper::upgrade::on(&mut answer);
    let (parts, _) = answer.into_parts();
    let mut accepted = Response::new(empty());
    *accepted.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *accepted.headers_mut() = parts.headers;
    let upgraded = audit::Upgraded::default();
    accepted.extensions_mut().insert(upgraded.clone());
    core.tasks.spawn("extension server stream", OnError::Log, async move {
        let _upgraded = upgraded;
        let work = async { tunnel::run(client, TokioIo::new(server.await?)).await };
        if let Err(error) = work.await {
            tracing::debug!(%error, "stream of an extension server ended early");
        }
        Ok::<(), std::convert::Infallible>(())
    });
    accepted
}

fn unreachable(name: &str, error: &Unreachable) -> ApiError {
    tracing::debug!(service = name, %error, "extension server can't be reached");
    ApiError::unavailable(format!("error trying to reach the APIService {name}: {error}"))
}

fn bad_gateway(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "BadGateway", message)
}
