//! log, exec, attach, port-forward: from the client through the API server to the kubelet.
//!
//! ```text
//! Streaming::new(objects: Arc<dyn Objects>, tls: Arc<rustls::ClientConfig>, tasks: Tasks) -> Streaming
//! streaming.log(namespace, pod, query: &str).await -> Result<Response<Body>, Refusal>
//! streaming.connect(subresource: "exec" | "attach" | "portforward", namespace, pod, Request<Body>).await -> Result<Response<Body>, Refusal>
//! streaming.proxy("nodes" | "pods" | "services", namespace, name (with :port), path, Request<Body>).await
//! authorization_verb(method, subresource, &HeaderMap) -> &'static str      exec, attach, portforward: an upgrade by GET is asked as create too
//! ```
