//! The gRPC API: what [`crate::root`] answers as JSON, as the service `tiphys.logs.v1.Logs`.
//!
//! Rights and limits are those of the root, which all of this asks. Its errors become
//! statuses: wrong requests INVALID_ARGUMENT, foreign namespaces PERMISSION_DENIED,
//! records that there aren't NOT_FOUND, no user UNAUTHENTICATED.

mod convert;

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tiphys_api::{auth::UserInfo, serve::Handler};
use tonic::{Request, Response, Status};

use self::{
    convert::{from_wire, line, to_wire},
    proto::logs_server::{Logs, LogsServer},
};
use crate::root::{LogRoot, RootError, mounted};

/// The messages and the client.
pub mod proto {
    #![allow(clippy::all, missing_docs)]
    tonic::include_proto!("tiphys.logs.v1");
}

/// The path that the service's methods are below.
pub const PREFIX: &str = "/tiphys.logs.v1.Logs";

/// Bytes of a request.
const MAX_REQUEST: usize = 1 << 20;

/// The service in the shape that the API server mounts.
pub fn handler(root: LogRoot) -> Handler {
    mounted(router(root))
}

/// The service; the user comes in the request's extensions.
pub fn router(root: LogRoot) -> axum::Router {
    let service = LogsServer::new(Service { root }).max_decoding_message_size(MAX_REQUEST);
    tonic::service::Routes::new(service).into_axum_router()
}

struct Service {
    root: LogRoot,
}

fn user<T>(request: &Request<T>) -> Result<UserInfo, Status> {
    request.extensions().get::<UserInfo>().cloned().ok_or_else(|| Status::unauthenticated("sign in first"))
}

impl From<RootError> for Status {
    fn from(error: RootError) -> Self {
        let message = error.to_string();
        match error {
            RootError::Invalid(_) => Self::invalid_argument(message),
            RootError::Forbidden(_) => Self::permission_denied(message),
            RootError::NotFound(_) => Self::not_found(message),
        }
    }
}

#[tonic::async_trait]
impl Logs for Service {
    async fn search(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchAnswer>, Status> {
        let user = user(&request)?;
        let answer = self.root.search(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(from_wire(answer)?))
    }

    async fn histogram(
        &self,
        request: Request<proto::HistogramRequest>,
    ) -> Result<Response<proto::HistogramAnswer>, Status> {
        let user = user(&request)?;
        let answer = self.root.histogram(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(from_wire(answer)?))
    }

    async fn facets(
        &self,
        request: Request<proto::FacetsRequest>,
    ) -> Result<Response<proto::FacetsAnswer>, Status> {
        let user = user(&request)?;
        let answer = self.root.facets(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(from_wire(answer)?))
    }

    async fn stats(
        &self,
        request: Request<proto::StatsRequest>,
    ) -> Result<Response<proto::StatsAnswer>, Status> {
        let user = user(&request)?;
        let answer = self.root.stats(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(from_wire(answer)?))
    }

    async fn context(
        &self,
        request: Request<proto::ContextRequest>,
    ) -> Result<Response<proto::ContextAnswer>, Status> {
        let user = user(&request)?;
        let answer = self.root.context(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(from_wire(answer)?))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<proto::TailLine, Status>> + Send>>;

    async fn tail(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let user = user(&request)?;
        let lines = self.root.tail_to_client(&user, &to_wire(request.into_inner())?).await?;
        Ok(Response::new(lines.map(line).boxed()))
    }
}

#[cfg(test)]
mod tests;
