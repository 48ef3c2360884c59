//! The requests of components to the API, counted between a client and its wire, be that TLS or
//! memory, so that no component has to know. A watch counts when it begins.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tiphys_api::serve::Handler;
use tiphys_telemetry::{Component, Requests};
use tower::{Layer, Service};

/// `handler`, whose requests are `component`'s.
pub fn counted(handler: Handler, component: &Component) -> Handler {
    let requests = Requests::default();
    requests.register(component);
    Handler::new(Counting(requests).layer(handler))
}

/// Makes a service count the requests that it is given.
pub struct Counting(pub Requests);

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.0.clone() }
    }
}

/// Counts what goes to `inner`.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B, C> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
    C: 'static,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<C>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (requests, method) = (self.requests.clone(), request.method().as_str().to_owned());
        let asked = self.inner.call(request);
        Box::pin(async move {
            let answer = asked.await;
            requests.count(&method, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::StatusCode;
    use tiphys_api::serve::{Body, empty};
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_their_answers() {
        let component = Component::new("asking");
        let handler = Handler::new(service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(empty());
            if request.method() == http::Method::POST {
                *response.status_mut() = StatusCode::CONFLICT;
            }
            Ok::<_, Infallible>(response)
        }));
        let handler = counted(handler, &component);
        for method in ["GET", "GET", "POST"] {
            let request = Request::builder().method(method).body(empty()).expect("a request");
            handler.clone().oneshot(request).await.expect("an answer");
        }
        let broken =
            service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>(std::io::Error::other("away")) });
        let requests = Requests::default();
        requests.register(&component);
        let request = Request::new(empty());
        Counting(requests).layer(broken).oneshot(request).await.expect_err("it is away");
        let text = component.render();
        for line in [
            r#"rest_client_requests_total{method="GET",code="200"} 2"#,
            r#"rest_client_requests_total{method="POST",code="409"} 1"#,
            r#"rest_client_requests_total{method="GET",code="<error>"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
    }
}
