//! Targets that are real servers: what is asked of them, and what they may not do.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tiphys_api::{
    auth::UserInfo,
    serve::{Handler, boxed},
};
use tiphys_lifecycle::{OnError, Tasks};
use tower::ServiceExt;

use super::{
    access::{Access, Kept},
    counts::{ByResult, Counts},
    fetch::{Fetcher, is_elsewhere},
    pool::Pool,
    round::Report,
    target::{Job, Reach, Target, target, tests::job},
};
use crate::series::{Limits, Matcher, Store};

/// An API server that knows Secrets by name.
pub fn api(secrets: BTreeMap<&'static str, BTreeMap<&'static str, String>>) -> kube::Client {
    let answer = async move |Path(name): Path<String>| {
        let data = secrets.get(name.as_str()).ok_or(StatusCode::NOT_FOUND)?;
        let data: BTreeMap<_, _> = data.iter().map(|(key, value)| (*key, STANDARD.encode(value))).collect();
        Ok::<_, StatusCode>(Json(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "data": data,
        })))
    };
    let router = Router::new().route("/api/v1/namespaces/shop/secrets/{name}", get(answer));
    let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
        let router = router.clone();
        async move { Ok(router.oneshot(request.map(Body::new)).await?.map(boxed)) }
    });
    tiphys_client::in_memory(Handler::new(service), UserInfo::master("test"))
}

fn secret(name: &str, key: &str) -> Kept {
    Kept { namespace: "shop".into(), is_secret: true, name: name.into(), key: key.into() }
}

pub struct Bench {
    pub store: Arc<Store>,
    counts: Counts,
    pub pool: Pool,
    pub tasks: Tasks,
}

fn only_127_0_0_1(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

pub fn bench(client: kube::Client) -> Bench {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let kubelets = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let (store, counts, tasks) =
        (Arc::new(Store::in_memory(Limits::default())), Counts::default(), Tasks::new());
    let fetcher = Fetcher::new(client, Arc::new(kubelets), only_127_0_0_1);
    let pool = Pool::new(store.clone(), fetcher, counts.clone(), &tasks);
    Bench { store, counts, pool, tasks }
}

pub async fn serve(router: Router, tasks: &Tasks) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn("target", OnError::Log, async move { axum::serve(listener, router).await });
    address
}

fn at(address: SocketAddr, path: &str, scheme: &str, change: impl FnOnce(&mut Job, &mut Access)) -> Target {
    let mut access = Access::default();
    let mut job = job(json!([]));
    job.interval = Duration::from_millis(100);
    job.timeout = Duration::from_secs(120);
    change(&mut job, &mut access);
    job.reach = Reach::Network(Box::new(access));
    let discovered = [
        ("__address__", address.to_string()),
        ("__metrics_path__", path.to_owned()),
        ("__scheme__", scheme.to_owned()),
        ("namespace", "shop".to_owned()),
    ];
    let discovered = discovered.map(|(name, value)| (name.to_owned(), value)).into();
    target(&Arc::new(job), discovered).expect("an address").expect("kept")
}

impl Bench {
    async fn last(&self, metric: &str) -> Option<f64> {
        let found = self.store.all(&[Matcher::equal("__name__", metric)], 0..i64::MAX).await;
        found.first()?.samples.last()?.1.number()
    }

    /// Waits until a scrape has ended; gives what the target's page says of it.
    async fn error(&self) -> String {
        let looking = async {
            loop {
                let ended = self.pool.list().into_iter().find(|(_, health)| health.at.is_some());
                match ended {
                    Some((_, health)) => return health.error,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), looking).await.expect("a scrape ends")
    }

    async fn until(&self, what: impl AsyncFn() -> bool) {
        let looking = async {
            while !what().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), looking).await.expect("it comes to be");
    }

    fn ended(&self, result: &'static str) -> u64 {
        self.counts.scrapes.get_or_create(&ByResult { result }).get()
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("packed");
    encoder.finish().expect("packed")
}

#[tokio::test]
async fn a_target_is_asked_with_its_token_follows_redirects_and_ends() {
    let secrets = BTreeMap::from([("auth", BTreeMap::from([("token", "s3cret\n".to_owned())]))]);
    let bench = bench(api(secrets));
    let metrics = async |headers: HeaderMap| {
        let has = |name: header::HeaderName, part: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(part))
        };
        let known = has(header::AUTHORIZATION, "Bearer s3cret")
            && has(header::ACCEPT, "application/openmetrics-text")
            && has(header::ACCEPT_ENCODING, "gzip")
            && headers.contains_key("x-prometheus-scrape-timeout-seconds");
        match known {
            true => {
                let head = [
                    (header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0"),
                    (header::CONTENT_ENCODING, "gzip"),
                ];
                (head, gzip("a 7\n# EOF\n")).into_response()
            }
            false => StatusCode::UNAUTHORIZED.into_response(),
        }
    };
    let router = Router::new()
        .route("/old", get(async || Redirect::temporary("/metrics")))
        .route("/metrics", get(metrics));
    let address = serve(router, &bench.tasks).await;
    let token = Some(("Bearer".to_owned(), secret("auth", "token")));
    bench.pool.sync(vec![at(address, "/old", "http", |_, access| access.token = token)]);
    assert_eq!(bench.error().await, "");
    assert_eq!((bench.last("a").await, bench.last("up").await), (Some(7.0), Some(1.0)));
    bench.pool.sync(Vec::new());
    bench.until(async || bench.last("up").await.is_some_and(crate::series::is_stale)).await;
    assert!(bench.last("a").await.is_some_and(crate::series::is_stale));
    assert!(bench.pool.list().is_empty());
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn abuse_33_a_scrape_that_never_ends_is_cut_off_and_counted() {
    let bench = bench(api(BTreeMap::new()));
    let endless = async || {
        let lines = futures::stream::unfold(0u64, |number| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>(format!("a{{n=\"{number}\"}} 1\n")), number + 1))
        });
        Body::from_stream(lines)
    };
    let bomb = async || ([(header::CONTENT_ENCODING, "gzip")], gzip(&"a 1\n".repeat(1 << 20)));
    let address =
        serve(Router::new().route("/endless", get(endless)).route("/bomb", get(bomb)), &bench.tasks).await;
    let short = |job: &mut Job, _: &mut Access| job.timeout = Duration::from_millis(300);
    bench.pool.sync(vec![at(address, "/endless", "http", short)]);
    assert!(bench.error().await.contains("no complete answer within 300ms"));
    assert_eq!((bench.last("up").await, bench.last("a").await), (Some(0.0), None));
    assert!(bench.ended("timeout") >= 1);
    bench.pool.sync(vec![at(address, "/bomb", "http", |_, _| {})]);
    assert!(bench.error().await.contains("longer than 1048576 bytes"));
    assert!(bench.ended("too_large") >= 1);
    assert_eq!(bench.last("a").await, None);
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn abuse_10_no_target_leads_to_the_servers_own_addresses() {
    let table = [
        ("10.0.0.1", true),
        ("fd00::1", true),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
        ("0.0.0.0", false),
        ("::1", false),
        ("fe80::1", false),
        ("::ffff:127.0.0.1", false),
    ];
    for (ip, allowed) in table {
        assert_eq!(is_elsewhere(ip.parse().expect("an address")), allowed, "{ip}");
    }
    let bench = bench(api(BTreeMap::new()));
    let away = |to: &'static str| get(async move || Redirect::temporary(to));
    let router = Router::new()
        .route("/address", away("http://127.0.0.2:1/metrics"))
        .route("/file", away("file:///etc/passwd"))
        .route("/loop", away("/loop"));
    let address = serve(router, &bench.tasks).await;
    let told = [
        ("/address", "http://127.0.0.2:1/metrics is no address that is scraped"),
        ("/file", "file:///etc/passwd is no address that is scraped"),
        ("/loop", "more than 10 redirects"),
    ];
    for (path, wanted) in told {
        bench.pool.sync(vec![at(address, path, "http", |_, _| {})]);
        let error = bench.error().await;
        assert!(error.contains(wanted), "{path}: {error}");
    }
    let stays = |job: &mut Job, access: &mut Access| {
        job.written = "stays".into();
        access.no_redirects = true;
    };
    bench.pool.sync(vec![at(address, "/loop", "http", stays)]);
    assert!(bench.error().await.contains("307"));
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}

/// A server that asks for a client's certificate, and the authority of both.
async fn tls_server(tasks: &Tasks) -> (SocketAddr, BTreeMap<&'static str, String>) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let made = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("names");
        (params.signed_by(&key, &authority).expect("signed"), key)
    };
    let (server, server_key) = made("metrics.shop.svc");
    let (client, client_key) = made("prometheus");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(
            vec![server.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key"),
        )
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().route("/metrics", get(async || "a 1\n"));
    tasks.spawn("target", OnError::Log, async move {
        loop {
            let (socket, _) = listener.accept().await?;
            let Ok(stream) = acceptor.accept(socket).await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            // Whether it went well, the client says.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        }
        #[allow(unreachable_code)]
        Ok::<(), std::io::Error>(())
    });
    let files = BTreeMap::from([
        ("ca.crt", authority.pem()),
        ("tls.crt", client.pem()),
        ("tls.key", client_key.serialize_pem()),
    ]);
    (address, files)
}

fn shows(access: &mut Access) {
    access.certificate = Some((secret("tls", "tls.crt"), secret("tls", "tls.key")));
}

#[tokio::test]
async fn tls_is_verified_and_shows_a_certificate() {
    let tasks = Tasks::new();
    let (address, files) = tls_server(&tasks).await;
    let bench = bench(api(BTreeMap::from([("tls", files)])));
    type Change = Box<dyn Fn(&mut Access)>;
    let table: [(Change, &str); 5] = [
        (
            Box::new(|access| {
                shows(access);
                access.authority = Some(secret("tls", "ca.crt"));
                access.server_name = Some("metrics.shop.svc".into());
            }),
            "",
        ),
        (
            Box::new(|access| {
                shows(access);
                access.any_server = true;
            }),
            "",
        ),
        // Another name than the certificate's, an authority that isn't known, no certificate, no Secret.
        (
            Box::new(|access| {
                shows(access);
                access.authority = Some(secret("tls", "ca.crt"));
            }),
            "certificate",
        ),
        (Box::new(|access| access.any_server = true), "can't be reached"),
        (
            Box::new(|access| access.authority = Some(secret("gone", "ca.crt"))),
            "Secret shop/gone can't be read",
        ),
    ];
    for (number, (change, wanted)) in table.into_iter().enumerate() {
        bench.pool.sync(vec![at(address, "/metrics", "https", |job, access| {
            job.written = number.to_string();
            change(access);
        })]);
        let error = bench.error().await;
        assert!(error.contains(wanted) && error.is_empty() == wanted.is_empty(), "{number}: {error}");
    }
    bench.tasks.shutdown(Duration::from_secs(120)).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

/// A body of one target, scraped once over its socket: how the scrape went, and what the component
/// tells of series that were refused.
async fn scraped_once(bench: &Bench, body: String) -> (String, Report, String) {
    let body = axum::body::Bytes::from(body);
    let router = Router::new().route("/metrics", get(async move || body.clone()));
    let address = serve(router, &bench.tasks).await;
    bench.pool.sync(vec![at(address, "/metrics", "http", |job, _| {
        job.interval = Duration::from_secs(2);
        job.timeout = Duration::from_secs(120);
        job.body_limit = 64 << 20;
    })]);
    let error = bench.error().await;
    let report = bench.pool.list()[0].1.report;
    bench.pool.sync(Vec::new());
    let component = tiphys_telemetry::Component::new("test");
    bench.counts.register(&component);
    let told = component.render();
    let refused = told.lines().find(|line| line.contains("series_refused_total{")).unwrap_or_default();
    (error, report, refused.to_owned())
}

#[tokio::test]
async fn abuse_34_a_label_of_a_megabyte_costs_its_own_series_only() {
    let bench = bench(api(BTreeMap::new()));
    let body = format!("big{{v=\"{}\"}} 1\nsmall 2\n", "x".repeat(1 << 20));
    let (error, report, refused) = scraped_once(&bench, body).await;
    assert_eq!((error.as_str(), report.scraped, report.refused), ("", 2, 1));
    assert_eq!((bench.last("small").await, bench.last("big").await), (Some(2.0), None));
    assert!(refused.contains("reason=\"label_too_long\"") && refused.contains("worst=\"big\""), "{refused}");
    assert!(refused.len() < 1000, "what is told of it is short");
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn abuse_34_a_target_with_a_million_series_is_kept_to_its_namespaces_limit() {
    let bench = bench(api(BTreeMap::new()));
    let body: String = (0..1_000_000).map(|number| format!("flood{{n=\"{number}\"}} 1\n")).collect();
    let (error, report, refused) = scraped_once(&bench, body).await;
    let limit = Limits::default().series_of_namespace;
    assert_eq!((error.as_str(), report.scraped), ("", 1_000_000));
    assert_eq!((report.added, report.refused), (1_000_000, 1_000_000 - limit));
    // Those that tell of its scrapes are taken beside them.
    assert_eq!((bench.store.series_count(), bench.last("up").await.is_some()), (limit + 5, true));
    assert!(
        refused.contains("reason=\"namespace_full\"") && refused.contains("worst=\"flood\""),
        "{refused}"
    );
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}
