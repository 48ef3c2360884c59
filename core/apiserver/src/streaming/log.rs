//! The log of a container, streamed as the kubelet sends it.

use http::{Request, Response, StatusCode, header};
use tiphys_api::serve::{Body, boxed, empty};

use super::{Streaming, destination, kubelet, options::LogOptions};
use crate::authz::Refusal;

impl Streaming {
    /// GET on `pods/NAME/log`; `query` is the raw query string with PodLogOptions.
    pub async fn log(&self, namespace: &str, name: &str, query: &str) -> Result<Response<Body>, Refusal> {
        let options = LogOptions::parse(query)?;
        let pod = self.pod(namespace, name).await?;
        let container = destination::container(&pod, &options.container)?;
        let Some(node) = destination::node_name(&pod) else {
            return respond(StatusCode::NO_CONTENT, empty());
        };
        let address = self.kubelet_of(node).await?;
        let request = Request::get(options.path(namespace, name, &container))
            .body(empty())
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let answer = self.kubelets.send(address, request).await?;
        if answer.status() != StatusCode::OK {
            return Err(kubelet::refusal(answer).await);
        }
        respond(StatusCode::OK, boxed(answer.into_body()))
    }
}

fn respond(status: StatusCode, body: Body) -> Result<Response<Body>, Refusal> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain")
        .body(body)
        .map_err(|error| Refusal::internal(error.to_string()))
}
