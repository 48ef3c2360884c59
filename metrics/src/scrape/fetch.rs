//! One request to one target, and its answer within bounds.
//!
//! Bodies count against a budget that all targets share, before they are in memory. What
//! it must not do: reach the server's own loopback or link-local addresses for whoever
//! can write an address into a monitor, or follow a redirect there.

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::FixedServerNameResolver;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector, connect::dns::Name},
    rt::TokioExecutor,
};
use rustls_pki_types::ServerName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use url::Url;

use super::{
    access::{self, Credentials},
    expose::Format,
    target::{Job, Reach, Target},
};

/// Bytes of answers that are held at once, of all targets.
const BUDGET: usize = 512 << 20;
const PIECE: usize = 1 << 20;
const REDIRECTS: usize = 10;
/// Secrets are read again after so long.
const HOLDS: Duration = Duration::from_secs(60);
const TEXT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,";
const AGENT: &str = concat!("tiphys/", env!("CARGO_PKG_VERSION"));

/// Why a target gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    #[error("the answer is longer than {0} bytes, unpacked or as it is")]
    TooLarge(usize),
    #[error("the target answered {0}")]
    Status(StatusCode),
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
    #[error("{0} is no address that is scraped")]
    Address(String),
    #[error("{0}")]
    Credentials(String),
    #[error("the target can't be reached: {0}")]
    Unreachable(String),
    #[error("the answer can't be unpacked: {0}")]
    Packing(std::io::Error),
}

impl FetchError {
    /// One word for counts.
    pub fn result(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Status(_) => "status",
            Self::Redirects | Self::Address(_) => "address",
            Self::Credentials(_) => "credentials",
            Self::Unreachable(_) => "unreachable",
            Self::Packing(_) => "unreadable",
        }
    }
}

/// What a target said.
pub struct Answer {
    pub body: Vec<u8>,
    pub format: Format,
    /// Room in the budget, as long as the body is there.
    #[expect(dead_code, reason = "held, not looked at")]
    pub room: Option<OwnedSemaphorePermit>,
}

/// Which addresses may be asked.
pub type Allows = fn(IpAddr) -> bool;

/// Addresses of the cluster's network and beyond it, none of the server itself.
pub fn is_elsewhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_elsewhere(mapped.into()),
            None => {
                !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast())
            }
        },
    }
}

/// What asks targets. Clones share the budget.
#[derive(Clone)]
pub struct Fetcher {
    client: kube::Client,
    kubelets: Arc<rustls::ClientConfig>,
    room: Arc<Semaphore>,
    allows: Allows,
}

type Http = BoxCloneSyncService<Request<Empty<Bytes>>, Response<Incoming>, hyper_util::client::legacy::Error>;

/// The way to one target, kept between scrapes.
#[derive(Default)]
pub struct Way {
    http: Option<Http>,
    credentials: Credentials,
    read: Option<Instant>,
}

impl Fetcher {
    pub fn new(client: kube::Client, kubelets: Arc<rustls::ClientConfig>, allows: Allows) -> Self {
        Self { client, kubelets, room: Arc::new(Semaphore::new(BUDGET / PIECE)), allows }
    }

    /// Asks a target.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn fetch(&self, target: &Target, way: &mut Way) -> Result<Answer, FetchError> {
        let limit = target.job.timeout;
        let asking = async {
            match &target.job.reach {
                Reach::Own => self.own(target).await,
                _ => self.network(target, way).await,
            }
        };
        tokio::time::timeout(limit, asking).await.map_err(|_| FetchError::Timeout(limit))?
    }

    async fn own(&self, target: &Target) -> Result<Answer, FetchError> {
        let gone = |error: &dyn std::fmt::Display| FetchError::Unreachable(error.to_string());
        let url = Url::parse(&target.url).map_err(|error| gone(&error))?;
        let request =
            Request::get(url.path()).body(kube::client::Body::empty()).map_err(|error| gone(&error))?;
        let response = self.client.send(request).await.map_err(|error| gone(&error))?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let format = format_of(response.headers(), target.job.fallback);
        let (body, room) = self.read(response.into_body(), target.job.body_limit).await?;
        Ok(Answer { body, format, room })
    }

    async fn network(&self, target: &Target, way: &mut Way) -> Result<Answer, FetchError> {
        self.prepare(target, way).await?;
        let address = |text: &str| FetchError::Address(text.to_owned());
        let first = Url::parse(&target.url).map_err(|_| address(&target.url))?;
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let own = url.origin() == first.origin();
            let request = request(target, &url, way.credentials.authorization.as_ref().filter(|_| own))?;
            let http = way.http.as_mut().ok_or_else(|| FetchError::Unreachable("no client".to_owned()))?;
            let sent = async { http.ready().await?.call(request).await };
            let response = sent.await.map_err(|error| FetchError::Unreachable(causes(&error)))?;
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED && follows(target) {
                let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
                let to = to.ok_or(FetchError::Status(status))?;
                url = url.join(to).map_err(|_| address(to))?;
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::Status(status));
            }
            return self.answer(response, &target.job).await;
        }
        Err(FetchError::Redirects)
    }

    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let forbidden = || FetchError::Address(url.to_string());
        let allowed = match url.host().ok_or_else(forbidden)? {
            url::Host::Ipv4(ip) => (self.allows)(ip.into()),
            url::Host::Ipv6(ip) => (self.allows)(ip.into()),
            // Its addresses are looked at when they are known.
            url::Host::Domain(_) => true,
        };
        match allowed && matches!(url.scheme(), "http" | "https") {
            true => Ok(()),
            false => Err(forbidden()),
        }
    }

    async fn prepare(&self, target: &Target, way: &mut Way) -> Result<(), FetchError> {
        let tls = match &target.job.reach {
            Reach::Network(access) => {
                let fresh = way.read.is_some_and(|read| !access.has_secrets() || read.elapsed() < HOLDS);
                if way.http.is_some() && fresh {
                    return Ok(());
                }
                let credentials =
                    access::read(&self.client, access).await.map_err(FetchError::Credentials)?;
                way.read = Some(Instant::now());
                if way.http.is_some() && way.credentials == credentials {
                    return Ok(());
                }
                way.credentials = credentials;
                access::tls(access, &way.credentials).map_err(FetchError::Credentials)?
            }
            _ if way.http.is_some() => return Ok(()),
            _ => (*self.kubelets).clone(),
        };
        let name = match &target.job.reach {
            Reach::Network(access) => access.server_name.clone().map(ServerName::try_from),
            _ => None,
        };
        let wrong = |error| FetchError::Credentials(format!("serverName is no name: {error}"));
        let name = name.transpose().map_err(wrong)?;
        way.http = Some(self.http(tls, name));
        Ok(())
    }

    fn http(&self, mut tls: rustls::ClientConfig, name: Option<ServerName<'static>>) -> Http {
        let allows = self.allows;
        let resolver = tower::service_fn(move |name: Name| async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| allows(address.ip())).collect();
            match allowed.is_empty() {
                false => Ok(allowed.into_iter()),
                true => Err(std::io::Error::other(format!("{name} is no address that is scraped"))),
            }
        });
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        tls.alpn_protocols.clear();
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let builder = match name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        let https = builder.enable_http1().wrap_connector(connector);
        let client: HttpClient<_, Empty<Bytes>> =
            HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(https);
        BoxCloneSyncService::new(client)
    }

    async fn answer(&self, response: Response<Incoming>, job: &Job) -> Result<Answer, FetchError> {
        let (format, limit) = (format_of(response.headers(), job.fallback), job.body_limit);
        let packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        let (bytes, room) = self.read(response.into_body(), limit).await?;
        if !packed {
            return Ok(Answer { body: bytes, format, room });
        }
        let room = self.grow(room, limit.min(bytes.len().saturating_mul(20))).await?;
        let unpack = move || {
            let mut plain = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(limit as u64 + 1);
            match reader.read_to_end(&mut plain) {
                Ok(length) if length > limit => Err(FetchError::TooLarge(limit)),
                Ok(_) => Ok(plain),
                Err(error) => Err(FetchError::Packing(error)),
            }
        };
        let unpacked = tokio::task::spawn_blocking(unpack).await;
        let body = unpacked.map_err(|error| FetchError::Packing(std::io::Error::other(error)))??;
        Ok(Answer { body, format, room })
    }

    async fn read<B>(
        &self,
        mut body: B,
        limit: usize,
    ) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), FetchError>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let (mut bytes, mut room) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| FetchError::Unreachable(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(FetchError::TooLarge(limit));
            }
            room = self.grow(room, bytes.len() + data.len()).await?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, room))
    }

    /// Room for so many bytes; waits for what others hold, within the scrape's own time.
    async fn grow(
        &self,
        room: Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> Result<Option<OwnedSemaphorePermit>, FetchError> {
        let wanted = bytes / PIECE;
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted <= held {
            return Ok(room);
        }
        let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
        let gone = |_| FetchError::Unreachable("the server is stopping".to_owned());
        let more = self.room.clone().acquire_many_owned(more).await.map_err(gone)?;
        Ok(Some(match room {
            Some(mut room) => {
                room.merge(more);
                room
            }
            None => more,
        }))
    }
}

fn follows(target: &Target) -> bool {
    matches!(&target.job.reach, Reach::Network(access) if !access.no_redirects)
}

fn format_of(headers: &HeaderMap, fallback: Format) -> Format {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Format::of(kind.unwrap_or_default(), fallback)
}

fn request(
    target: &Target,
    url: &Url,
    authorization: Option<&HeaderValue>,
) -> Result<Request<Empty<Bytes>>, FetchError> {
    let accept = if target.job.protobuf { format!("{PROTOBUF}{TEXT}") } else { TEXT.to_owned() };
    let mut request = Request::get(url.as_str())
        .header(header::ACCEPT, accept)
        .header(header::ACCEPT_ENCODING, "gzip")
        .header(header::USER_AGENT, AGENT)
        .header("X-Prometheus-Scrape-Timeout-Seconds", target.job.timeout.as_secs_f64().to_string())
        .body(Empty::new())
        .map_err(|_| FetchError::Address(url.to_string()))?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// An error and what it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
