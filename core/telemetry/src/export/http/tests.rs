//! Against a listener that keeps what is posted and answers as a test says, and against one that
//! speaks something else.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Read,
    net::TcpListener,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use flate2::read::GzDecoder;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use prometheus_client::metrics::counter::Counter;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use tempfile::NamedTempFile;
use tiphys_tests::otlp::attribute;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    Component, TelemetryConfig,
    export::{Export, signal::Signal},
    init,
};

/// Status, headers, body.
type Answer = (u16, &'static [(&'static str, &'static str)], Vec<u8>);

const OF_PROTOBUF: &[(&str, &str)] = &[("content-type", "application/x-protobuf")];

struct Posted {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn unpacked<M: Message + Default>(&self) -> M {
        let mut plain = Vec::new();
        GzDecoder::new(&*self.body).read_to_end(&mut plain).expect("gzip");
        M::decode(plain.as_slice()).expect("a message")
    }
}

/// Clones share what was posted, and what is to be answered; then everything is taken.
#[derive(Clone, Default)]
struct Listener {
    posted: Arc<Mutex<Vec<Posted>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Listener {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { posted: Arc::default(), answers: Arc::new(Mutex::new(answers.into_iter().collect())) }
    }

    fn posted(&self) -> MutexGuard<'_, Vec<Posted>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the address.
    fn listen(&self, runtime: &Runtime, tls: Option<TlsAcceptor>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let address = listener.local_addr().expect("an address").to_string();
        let (of_all, handle) = (self.clone(), runtime.handle().clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let (of_one, tls) = (of_all.clone(), tls.clone());
                handle.spawn(async move {
                    match tls {
                        None => of_one.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                of_one.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        address
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let of_all = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let of_one = of_all.clone();
            async move { of_one.answer(request).await }
        });
        // How a client leaves is not what is tested.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.path().to_owned();
        self.posted().push(Posted { method: head.method, path, headers: head.headers, body });
        let next = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (status, headers, body) = next.unwrap_or((200, OF_PROTOBUF, Vec::new()));
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        for (name, value) in headers {
            response.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn of<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name: &str| {
        let found = set.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

/// The client of records for this endpoint, and what it counts.
fn client(url: &str, set: &[(&str, &str)]) -> (Post, Answers) {
    let (variables, answers) = (of(set), Answers::counted());
    let target = Target::of(Signal::Logs, url, &variables).expect("a target");
    (Post::new(target, &variables, answers.clone()).expect("a client"), answers)
}

/// What is said where an empty message isn't taken.
fn send(runtime: &Runtime, post: &Post) -> Result<(), String> {
    let message = ExportLogsServiceRequest::default();
    let sent = runtime.block_on(post.send::<ExportLogsServiceResponse>(&message));
    sent.map(drop).map_err(|failure| failure.to_string())
}

fn is_ours(resource: Option<&Resource>) -> bool {
    attribute(resource, "service.name") == "tiphys-test"
}

#[test]
fn each_signal_is_posted_to_its_url_and_can_be_read_there() {
    let runtime = Runtime::new().expect("a runtime");
    let listener = Listener::default();
    let address = listener.listen(&runtime, None);
    let _entered = runtime.enter();
    let (component, counter) = (Component::new("posted"), Counter::<u64>::default());
    component.registry(|registry| registry.register("postings", "Postings", counter.clone()));
    let (base, own) = (format!("http://{address}/base/"), format!("http://{address}/own"));
    let set = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", own.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
    ];
    let export = Export::start_with("tiphys-test", "node-1", &base, &of(&set)).expect("started");
    let config = TelemetryConfig { filter: "info".to_owned(), ..TelemetryConfig::default() };
    let subscriber = init::subscriber(&config, Some(&export)).expect("a subscriber");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("posting").in_scope(|| tracing::info!("a posted record"));
    });
    export.shutdown(Duration::from_secs(120));

    let posted = listener.posted();
    for one in posted.iter() {
        assert_eq!(one.method, Method::POST);
        assert_eq!(one.header("content-type"), "application/x-protobuf");
        assert_eq!(one.header("content-encoding"), "gzip");
        assert_eq!(one.header("authorization"), "Bearer token");
    }
    let at = |path: &'static str| posted.iter().filter(move |one| one.path == path);

    let spans =
        at("/base/v1/traces").flat_map(|one| one.unpacked::<ExportTraceServiceRequest>().resource_spans);
    let mut names = spans
        .filter(|spans| is_ours(spans.resource.as_ref()))
        .flat_map(|spans| spans.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| span.name));
    assert!(names.any(|name| name == "posting"), "no such span came");

    let figures =
        at("/base/v1/metrics").flat_map(|one| one.unpacked::<ExportMetricsServiceRequest>().resource_metrics);
    let mut names = figures.filter(|figures| is_ours(figures.resource.as_ref())).flat_map(|figures| {
        figures.scope_metrics.into_iter().flat_map(|scope| scope.metrics).map(|metric| metric.name)
    });
    assert!(names.any(|name| name == "postings"), "no such figure came");

    let records = at("/own").flat_map(|one| one.unpacked::<ExportLogsServiceRequest>().resource_logs);
    let mut bodies = records.filter(|records| is_ours(records.resource.as_ref())).flat_map(|records| {
        let scopes = records.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        scopes.filter_map(|record| record.body.and_then(|body| body.value))
    });
    let expected = Value::StringValue("a posted record".to_owned());
    assert!(bodies.any(|body| body == expected), "no such record came");
}

/// What a server shows of itself, and a file with its certificate.
fn identity() -> (TlsAcceptor, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(made.cert.pem().as_bytes()).expect("written");
    let key = made.signing_key.serialize_pem();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("an identity");
    (TlsAcceptor::from(Arc::new(config)), file)
}

#[test]
fn over_tls_it_is_posted_to_whom_the_certificate_names() {
    let runtime = Runtime::new().expect("a runtime");
    let listener = Listener::default();
    let ((acceptor, certificate), (_, of_other)) = (identity(), identity());
    let url = format!("https://{}", listener.listen(&runtime, Some(acceptor)));
    let _entered = runtime.enter();
    let path = |file: &NamedTempFile| file.path().to_string_lossy().into_owned();
    let (trusted, other) = (path(&certificate), path(&of_other));

    let set = [(tls::CERTIFICATE, other.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
    assert!(send(&runtime, &client(&url, &set).0).is_err());
    assert!(listener.posted().is_empty(), "nothing is told to a stranger");
    assert_eq!(send(&runtime, &client(&url, &[(tls::CERTIFICATE, trusted.as_str())]).0), Ok(()));
    assert_eq!(listener.posted().len(), 1);
}

#[test]
fn a_refusal_is_counted_said_and_final() {
    let runtime = Runtime::new().expect("a runtime");
    let reason = Reason { message: "of last year".to_owned() }.encode_to_vec();
    let plain: &'static [(&'static str, &'static str)] = &[("content-type", "text/plain; charset=utf-8")];
    let cases: [(Answer, &[&str]); 4] = [
        ((400, OF_PROTOBUF, reason), &["400 Bad Request", ": of last year"]),
        ((401, plain, b"no\n token".to_vec()), &["401 Unauthorized", "OTLP_HEADERS", ": no token"]),
        ((404, plain, Vec::new()), &["404 Not Found", "port 4318", "without /v1/logs"]),
        ((500, plain, Vec::new()), &["500 Internal Server Error"]),
    ];
    for (answer, words) in cases {
        let status = answer.0;
        let listener = Listener::answering([answer]);
        let url = format!("http://{}", listener.listen(&runtime, None));
        let _entered = runtime.enter();
        let (post, answers) = client(&url, &[]);
        let said = send(&runtime, &post).expect_err("it is refused");
        assert!(said.contains(&format!("{url}/v1/logs")), "{said}");
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        assert_eq!(listener.posted().len(), 1, "it is not sent again: {status}");
        assert_eq!(answers.counted_of(Signal::Logs, Some(status)), 1);
        assert_eq!(send(&runtime, &post), Ok(()), "the next one is sent all the same");
        assert_eq!(answers.counted_of(Signal::Logs, Some(200)), 1);
    }
}

#[test]
fn one_who_is_busy_gets_it_again_in_time() {
    let runtime = Runtime::new().expect("a runtime");
    let busy: [Answer; 3] = [
        (503, &[("retry-after", "0")], Vec::new()),
        (429, &[], Vec::new()),
        (502, &[("retry-after", "0")], Vec::new()),
    ];
    let listener = Listener::answering(busy);
    let url = format!("http://{}", listener.listen(&runtime, None));
    let _entered = runtime.enter();
    // Longer than a busy machine takes for four requests.
    let (post, answers) = client(&url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")]);
    assert_eq!(send(&runtime, &post), Ok(()));
    for status in [503, 429, 502, 200] {
        assert_eq!(answers.counted_of(Signal::Logs, Some(status)), 1, "{status}");
    }

    let far: [Answer; 1] = [(429, &[("retry-after", "3600")], Vec::new())];
    let listener = Listener::answering(far);
    let url = format!("http://{}", listener.listen(&runtime, None));
    let said = send(&runtime, &client(&url, &[]).0).expect_err("an hour is too long");
    assert!(said.contains("429 Too Many Requests"), "{said}");
    assert_eq!(listener.posted().len(), 1);
}

#[test]
fn what_is_taken_in_part_or_answered_with_a_page_is_a_failure() {
    let runtime = Runtime::new().expect("a runtime");
    let partial = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "too old".to_owned() };
    let partial = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let page: &'static [(&'static str, &'static str)] = &[("content-type", "text/html")];
    let listener =
        Listener::answering([(200, OF_PROTOBUF, partial), (200, page, b"<h1>Sign in</h1>".to_vec())]);
    let url = format!("http://{}", listener.listen(&runtime, None));
    let _entered = runtime.enter();
    let (post, _) = client(&url, &[]);
    let records = Records::new(post.clone());
    let said = runtime.block_on(records.export(LogBatch::new(&[]))).expect_err("two are missing");
    assert!(said.to_string().contains("2 records were refused: too old"), "{said}");
    let said = send(&runtime, &post).expect_err("nobody has taken it");
    assert!(said.contains("a page for people"), "{said}");
    assert_eq!(listener.posted().len(), 2);
}

#[test]
fn who_speaks_something_else_is_told_from_who_is_away() {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        assert!(stream.read(&mut [0; 1024]).expect("a request") > 0);
        // As HTTP/2 begins, which gRPC speaks.
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0").expect("written");
        // Until the client has seen it: its end, however it comes.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (post, answers) = client(&url, &[]);
    let said = send(&runtime, &post).expect_err("it is not HTTP/1.1");
    assert!(said.contains("doesn't speak HTTP") && said.contains("port 4318"), "{said}");
    assert_eq!(answers.counted_of(Signal::Logs, None), 1, "it is not sent again");
    other.join().expect("the other side");

    // Where nobody listens.
    let url = "http://127.0.0.1:1";
    let (post, answers) = client(url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    let said = send(&runtime, &post).expect_err("there is nobody");
    assert!(said.contains(&format!("{url}/v1/logs")), "{said}");
    assert!(answers.counted_of(Signal::Logs, None) >= 1);
}
