//! `tiphys logs --collectors`: a cluster that has the collectors, and no server of Tiphys.
//!
//! ```text
//! Pods of the DaemonSet, watched -> a port of loopback each -> port-forward by the API server
//! LogRoot, in this process       -> asks all of them at once and merges, as the server does
//! one client over both           -> /tiphys/v1/logs is answered here, all else by the API server
//! ```
//!
//! So the command is the same on both kinds of cluster. There is no archive here, and nobody else
//! to ask who may see what: who may read the DaemonSet's Secret and forward to its Pods sees the
//! logs of every namespace.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use async_trait::async_trait;
use axum::body::Body;
use futures::{StreamExt, stream::BoxStream};
use http::Request;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt, api::ListParams, runtime::watcher};
use tiphys_api::{
    auth::{Attributes, Authorizer, UserInfo},
    names::{COLLECTOR_APP, COLLECTOR_PORT},
};
use tiphys_client::Cache;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_logging::root::{Access, Collector, Collectors, LogRoot, PREFIX};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Mutex,
};
use tower::ServiceExt;

use crate::{
    addons,
    failure::{Failure, OrAsked, Outcome},
};

const NEXT: &str = "tiphys collector manifest | kubectl apply -f -";
/// Whoever may not read it, or has misspelt it, is told of no way to install something.
const NAMED: &str = "name the DaemonSet: tiphys logs --collectors=NAMESPACE/NAME";

/// Which DaemonSet: `NAMESPACE`, or `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSet {
    namespace: String,
    name: String,
}

impl FromStr for DaemonSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once('/').unwrap_or((text, COLLECTOR_APP));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err("write it as NAMESPACE or as NAMESPACE/NAME".to_owned());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl DaemonSet {
    /// What is told whoever wants records gone: there is no server that would see to it.
    pub fn deletes_nothing(&self) -> Failure {
        let Self { namespace, name } = self;
        Failure::usage(
            format!(
                "records of the collectors of {self} are not deleted from here: each node keeps its own as \
                 long as its retention says"
            ),
            format!(
                "a shorter retention: kubectl -n {namespace} create configmap {name} \
                 --from-literal=TIPHYS_LOG_RETENTION=3d, then kubectl -n {namespace} rollout restart \
                 daemonset {name}"
            ),
        )
    }
}

impl fmt::Display for DaemonSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A client to which the collectors of this DaemonSet are what a server of Tiphys is elsewhere.
///
/// # Errors
/// The user may not read the Secret or list the Pods, or there are none.
pub async fn client(api: Client, daemons: &DaemonSet) -> Outcome<Client> {
    let secrets: Api<Secret> = Api::namespaced(api.clone(), &daemons.namespace);
    let secret = secrets.get(&daemons.name).await.or_asked(NAMED)?;
    let token = addons::token_of(&secret)
        .ok_or_else(|| Failure::new(format!("the Secret {daemons} holds no token"), NEXT))?;
    let pods: Api<Pod> = Api::namespaced(api.clone(), &daemons.namespace);
    let label = format!("app={}", daemons.name);
    // The watch that follows would only try again where this is told why it can't be.
    let there = pods.list(&ListParams::default().labels(&label).limit(1)).await.or_asked(NAMED)?;
    if there.items.is_empty() {
        return Err(Failure::new(format!("the DaemonSet {daemons} has no Pods"), NEXT));
    }
    let tasks = Tasks::new();
    let own = watcher::Config::default().labels(&label);
    let forwarded = Forwarded {
        known: Cache::start(&tasks, pods.clone(), own),
        pods,
        token,
        doors: Mutex::default(),
        tasks,
    };
    let root = LogRoot::new(Arc::new(forwarded), Arc::new(Everything));
    Ok(over_both(&root, &api))
}

/// Answers what is asked of logs, and hands on all else.
fn over_both(root: &LogRoot, api: &Client) -> Client {
    let router = root.router().layer(axum::Extension(UserInfo::named("kubeconfig", &[])));
    let (handed_on, namespace) = (api.clone(), api.default_namespace().to_owned());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (router, api) = (router.clone(), handed_on.clone());
        async move {
            if request.uri().path().starts_with(PREFIX) {
                return Ok::<_, tower::BoxError>(router.oneshot(request.map(Body::new)).await?);
            }
            Ok(api.send(request).await?.map(Body::new))
        }
    });
    Client::new(service, namespace)
}

/// The API server has asked already: whoever is here holds the collectors' token.
struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

struct Forwarded {
    known: Cache<Pod>,
    pods: Api<Pod>,
    token: String,
    /// The port of loopback that leads to a Pod, by the Pod's name.
    doors: Mutex<HashMap<String, SocketAddr>>,
    tasks: Tasks,
}

#[async_trait]
impl Collectors for Forwarded {
    async fn list(&self) -> Vec<Collector> {
        self.known.ready().await;
        let mut collectors = Vec::new();
        for (node, pod) in by_node(&self.known.list()) {
            let address = match pod {
                Some(pod) => self.door(&pod).await,
                None => None,
            };
            collectors.push(Collector { node, address, access: Access::Token(self.token.clone()) });
        }
        collectors
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        self.known.changes().map(drop).boxed()
    }
}

impl Forwarded {
    async fn door(&self, pod: &str) -> Option<SocketAddr> {
        let mut doors = self.doors.lock().await;
        if let Some(address) = doors.get(pod) {
            return Some(*address);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        let address = listener.local_addr().ok()?;
        let (pods, name, tasks) = (self.pods.clone(), pod.to_owned(), self.tasks.clone());
        self.tasks.spawn("forwarded port", OnError::Log, accept(listener, pods, name, tasks));
        doors.insert(pod.to_owned(), address);
        Some(address)
    }
}

/// Of each node the Pod that answers there, if one does: while a DaemonSet is updated there may
/// be two.
fn by_node(pods: &[Arc<Pod>]) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for pod in pods {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else { continue };
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let answers = phase == Some("Running") && pod.metadata.deletion_timestamp.is_none();
        let of_node = found.entry(node).or_insert(None);
        if answers {
            *of_node = Some(pod.name_any());
        }
    }
    found
}

async fn accept(listener: TcpListener, pods: Api<Pod>, pod: String, tasks: Tasks) -> std::io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        let (pods, pod) = (pods.clone(), pod.clone());
        tasks.spawn("forwarded connection", OnError::Log, async move {
            if let Err(why) = Box::pin(forward(connection, &pods, &pod)).await {
                tracing::debug!(%pod, %why, "the way to a collector broke");
            }
            Ok::<(), Infallible>(())
        });
    }
}

/// Until one of the two closes. Why the Pod can't be reached is told as a gateway tells it, so that
/// it stands beside the answer as what a collector says does.
async fn forward(mut connection: TcpStream, pods: &Api<Pod>, pod: &str) -> std::io::Result<()> {
    let mut forwarder = match pods.portforward(pod, &[COLLECTOR_PORT]).await {
        Ok(forwarder) => forwarder,
        Err(kube::Error::Api(status)) => return refuse(connection, &status.message).await,
        Err(error) => return refuse(connection, &format!("{:#}", anyhow::Error::from(error))).await,
    };
    let failed = forwarder.take_error(COLLECTOR_PORT).expect("it is taken once, of the port asked for");
    let mut stream = forwarder.take_stream(COLLECTOR_PORT).expect("it is taken once, of the port asked for");
    let failure = tokio::select! {
        Some(failure) = failed => failure,
        ended = tokio::io::copy_bidirectional(&mut connection, &mut stream) => return ended.map(drop),
    };
    refuse(connection, &failure).await
}

async fn refuse(mut connection: TcpStream, why: &str) -> std::io::Result<()> {
    // An answer before there is a question is none.
    connection.peek(&mut [0]).await?;
    let head = "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{why}", why.len());
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await?;
    // Closed with a request unread, it would take the answer back.
    tokio::io::copy(&mut connection, &mut tokio::io::sink()).await.map(drop)
}

#[cfg(test)]
mod tests;
