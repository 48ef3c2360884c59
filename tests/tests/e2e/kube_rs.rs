//! kube-rs as operators are written with it: a CRD derived from a Rust type, a controller
//! with a finalizer and owned objects, a watcher; all go on through a killed server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, CustomResource, CustomResourceExt, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        finalizer::{self, Event, finalizer},
        wait::{await_condition, conditions},
        watcher,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tiphys_tests::Cluster;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{Shared, chaos::kill_recorded};

const NAMESPACE: &str = "kube-rs";
const FINALIZER: &str = "lamps.test.local/oil";
const MANAGER: &str = "keeper";
const LIMIT: Duration = Duration::from_secs(120);

/// A lamp, which burns while it has oil.
#[derive(CustomResource, Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "test.local",
    version = "v1",
    kind = "Lamp",
    namespaced,
    status = "LampStatus",
    printcolumn = r#"{"name": "Oil", "type": "integer", "jsonPath": ".spec.oil"}"#
)]
struct LampSpec {
    /// How much there is, in jars.
    #[schemars(range(min = 1))]
    oil: u32,
    colour: Option<Colour>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
enum Colour {
    White,
    Red,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
struct LampStatus {
    burns: bool,
}

pub fn controller(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async { tokio::time::timeout(LIMIT * 3, scenario(&cluster)).await? })
}

async fn client(cluster: &Cluster) -> Result<Client> {
    // Others may have been first; all mean the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

async fn scenario(cluster: &Cluster) -> Result<()> {
    let client = client(cluster).await?;
    let namespace = serde_json::from_value::<Namespace>(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = Lamp::crd_name();
    let apply = PatchParams::apply(MANAGER);
    definitions.patch(definition, &apply, &Patch::Apply(Lamp::crd())).await?;
    await_condition(definitions.clone(), definition, conditions::is_crd_established()).await?;

    let lamps: Api<Lamp> = Api::namespaced(client.clone(), NAMESPACE);
    let jars: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let last = Mutex::new(None);
    let controller = Controller::new(lamps.clone(), watcher::Config::default())
        .owns(jars.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client.clone()))
        .for_each(|reconciled| {
            // What a reconcile met with while the server was away passes.
            *last.lock().unwrap_or_else(PoisonError::into_inner) =
                reconciled.err().map(|error| error.to_string());
            std::future::ready(())
        });
    let (said, events) = unbounded_channel();
    let watched = watcher(jars.clone(), watcher::Config::default()).default_backoff();
    let watch = watched.for_each(move |event| {
        // An error is followed by another try.
        if let Ok(event) = event {
            // Who listened may be gone at the end.
            let _ = said.send(event);
        }
        std::future::ready(())
    });
    let walk = async {
        burning(&lamps, &jars).await?;
        restarted(cluster, &lamps, &jars, Seen { events, names: BTreeSet::new() }).await?;
        gone(&lamps, &jars).await
    };
    tokio::select! {
        ended = walk => ended.with_context(|| format!("the controller's last reconcile: {last:?}"))?,
        () = controller => bail!("the controller ended"),
        () = watch => bail!("the watcher ended"),
    }
    definitions.delete(definition, &DeleteParams::default()).await?;
    Api::<Namespace>::all(client).delete(NAMESPACE, &DeleteParams::default()).await?;
    Ok(())
}

async fn reconcile(lamp: Arc<Lamp>, client: Arc<Client>) -> Result<Action, finalizer::Error<kube::Error>> {
    let lamps = Api::namespaced((*client).clone(), NAMESPACE);
    finalizer(&lamps, FINALIZER, lamp, |event| async {
        match event {
            Event::Apply(lamp) => light(&client, &lamp).await,
            Event::Cleanup(lamp) => put_out(&client, &lamp).await,
        }
        .map(|()| Action::await_change())
    })
    .await
}

/// A ConfigMap that says how much oil there is, and a status.
async fn light(client: &Client, lamp: &Lamp) -> Result<(), kube::Error> {
    let name = lamp.name_any();
    let jar = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [lamp.controller_owner_ref(&())]},
        "data": {"oil": lamp.spec.oil.to_string()},
    });
    let apply = PatchParams::apply(MANAGER).force();
    let jars: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    jars.patch(&name, &apply, &Patch::Apply(jar)).await?;
    let status = json!({"apiVersion": "test.local/v1", "kind": "Lamp", "status": LampStatus { burns: true }});
    let lamps: Api<Lamp> = Api::namespaced(client.clone(), NAMESPACE);
    lamps.patch_status(&name, &apply, &Patch::Apply(status)).await?;
    Ok(())
}

/// Leaves a mark, by which one sees that it ran before the lamp was gone.
async fn put_out(client: &Client, lamp: &Lamp) -> Result<(), kube::Error> {
    let mark = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{}-is-out", lamp.name_any())},
    });
    let jars: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let name = format!("{}-is-out", lamp.name_any());
    jars.patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(mark)).await?;
    Ok(())
}

/// Waits until an object is as wanted, or gone where `None` is.
async fn until<K>(api: &Api<K>, name: &str, wanted: impl Fn(Option<&K>) -> bool + Send) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let waited = tokio::time::timeout(LIMIT, await_condition(api.clone(), name, wanted)).await;
    waited.with_context(|| format!("{name} never became what it should"))?.map(drop)?;
    Ok(())
}

fn has_oil(jar: Option<&ConfigMap>, oil: &str) -> bool {
    let data = jar.and_then(|jar| jar.data.as_ref());
    data.is_some_and(|data| data == &BTreeMap::from([("oil".to_owned(), oil.to_owned())]))
}

async fn burning(lamps: &Api<Lamp>, jars: &Api<ConfigMap>) -> Result<()> {
    let lamp = Lamp::new("north", LampSpec { oil: 3, colour: Some(Colour::Red) });
    lamps.create(&PostParams::default(), &lamp).await?;
    until(jars, "north", |jar| has_oil(jar, "3")).await?;
    until(lamps, "north", |lamp| {
        lamp.is_some_and(|lamp| lamp.status.as_ref().is_some_and(|status| status.burns))
    })
    .await?;
    let empty = Lamp::new("empty", LampSpec { oil: 0, colour: None });
    let refused = lamps.create(&PostParams::default(), &empty).await;
    let Err(kube::Error::Api(refused)) = refused else { bail!("an empty lamp: {refused:?}") };
    ensure!(refused.code == 422 && refused.message.contains("spec.oil"), "{refused:?}");

    // The controller hears of what it owns.
    let first = jars.get("north").await?.uid();
    jars.delete("north", &DeleteParams::default()).await?;
    until(jars, "north", |jar| jar.is_some_and(|jar| jar.uid() != first)).await?;
    let more = json!({"spec": {"oil": 5}});
    lamps.patch("north", &PatchParams::default(), &Patch::Merge(more)).await?;
    until(jars, "north", |jar| has_oil(jar, "5")).await
}

/// What a watcher has told of, so far.
struct Seen {
    events: UnboundedReceiver<watcher::Event<ConfigMap>>,
    names: BTreeSet<String>,
}

impl Seen {
    /// Listens until it knows of the one and no longer of the other.
    async fn until(&mut self, present: &str, absent: &str) -> Result<()> {
        let listening = async {
            while !self.names.contains(present) || self.names.contains(absent) {
                match self.events.recv().await.context("the watcher ended")? {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                        self.names.insert(object.name_any());
                    }
                    watcher::Event::Delete(object) => drop(self.names.remove(&object.name_any())),
                    watcher::Event::Init => self.names.clear(),
                    watcher::Event::InitDone => {}
                }
            }
            Ok(())
        };
        let listened = tokio::time::timeout(LIMIT, listening).await;
        listened.with_context(|| format!("the watcher did not tell of {present} and of {absent}'s end"))?
    }
}

/// Watches go on with the next server; so does the controller.
async fn restarted(
    cluster: &Cluster,
    lamps: &Api<Lamp>,
    jars: &Api<ConfigMap>,
    mut seen: Seen,
) -> Result<()> {
    let named = |name: &str| serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": name}}));
    jars.create(&PostParams::default(), &named("before")?).await?;
    seen.until("before", "after").await?;
    kill_recorded(cluster, "server")?;
    let more = json!({"spec": {"oil": 7}});
    let patched = async {
        loop {
            match lamps.patch("north", &PatchParams::default(), &Patch::Merge(&more)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(error)) => bail!("the restarted server: {error:?}"),
                // It doesn't answer yet, and nothing would tell when it does.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::time::timeout(LIMIT, patched).await.context("the server never came back")??;
    until(jars, "north", |jar| has_oil(jar, "7")).await?;
    jars.delete("before", &DeleteParams::default()).await?;
    jars.create(&PostParams::default(), &named("after")?).await?;
    seen.until("after", "before").await
}

/// The finalizer runs first, then the lamp goes, then what it owned.
async fn gone(lamps: &Api<Lamp>, jars: &Api<ConfigMap>) -> Result<()> {
    lamps.delete("north", &DeleteParams::default()).await?;
    until(lamps, "north", |lamp| lamp.is_none()).await?;
    until(jars, "north", |jar| jar.is_none()).await?;
    jars.get("north-is-out").await.context("the finalizer did not run")?;
    Ok(())
}
