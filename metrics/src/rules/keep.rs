//! Keeps a task for each group that stands in a PrometheusRule.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, runtime::watcher};
use parking_lot::Mutex;
use tiphys_client::Cache;
use tiphys_lifecycle::{OnError, Tasks};
use tokio_util::sync::CancellationToken;

use super::{
    Bounds, REACH, Rules, Standing,
    run::Evaluation,
    spec::{Group, Place, PrometheusRule, groups},
};
use crate::{prometheus_operator::install, series::Store};

/// Changes that come so close together are one.
const TOGETHER: Duration = Duration::from_millis(200);

pub fn start(rules: Rules, client: Client, store: Arc<Store>, bounds: Bounds, tasks: &Tasks) {
    let group = tasks.clone();
    tasks.spawn("rules", OnError::Log, async move {
        install(&client, "PrometheusRule", "prometheusrules", "promrule").await;
        let objects: Cache<PrometheusRule> =
            Cache::start(&group, Api::all(client.clone()), watcher::Config::default());
        let namespaces: Cache<Namespace> =
            Cache::start(&group, Api::all(client.clone()), watcher::Config::default());
        let changes = (objects.changes().map(drop).boxed(), namespaces.changes().map(drop).boxed());
        let mut changes = futures::stream::select(changes.0, changes.1);
        objects.ready().await;
        namespaces.ready().await;
        let keeper = Keeper { rules, store, bounds, tasks: group };
        let mut running = BTreeMap::new();
        let mut known_wrong = BTreeSet::new();
        loop {
            let reaching =
                namespaces.list().iter().filter(|one| reaches(one)).map(|one| one.name_any()).collect();
            let (mut wanted, mut wrong) = (BTreeMap::new(), BTreeSet::new());
            for object in objects.list() {
                let (found, told) = groups(&object, &reaching);
                wanted.extend(found.into_iter().map(|group| (group.place.clone(), group)));
                wrong.extend(told);
            }
            for why in wrong.difference(&known_wrong) {
                tracing::warn!(why, "rules can't be read");
            }
            known_wrong = wrong;
            keeper.sync(&mut running, wanted);
            if changes.next().await.is_none() {
                return Ok::<(), Infallible>(());
            }
            tokio::time::sleep(TOGETHER).await;
            while changes.next().now_or_never().flatten().is_some() {}
        }
    });
}

fn reaches(namespace: &Namespace) -> bool {
    namespace.annotations().get(REACH).is_some_and(|reach| reach == "cluster")
}

struct Keeper {
    rules: Rules,
    store: Arc<Store>,
    bounds: Bounds,
    tasks: Tasks,
}

impl Keeper {
    /// Ends the groups that are gone or were changed, begins those that are new.
    fn sync(&self, running: &mut BTreeMap<Place, CancellationToken>, mut wanted: BTreeMap<Place, Group>) {
        let mut standing = self.rules.0.lock();
        running.retain(|place, gone| {
            let stays = wanted.get(place) == standing.get(place).map(|one| &one.group);
            match stays {
                true => drop(wanted.remove(place)),
                false => {
                    gone.cancel();
                    standing.remove(place);
                }
            }
            stays
        });
        for (place, group) in wanted {
            let health = Mutex::new(vec![super::Health::default(); group.rules.len()]);
            let one = Arc::new(Standing { group, health });
            // Of its own: the task is to mark what ends with the group, and not when the server stops.
            let gone = CancellationToken::new();
            let name = format!("rules {}/{}/{}", place.0, place.1, place.2);
            let evaluation = Evaluation::new(self.store.clone(), &one.group, &self.bounds);
            self.tasks.spawn(name, OnError::Log, evaluate(one.clone(), evaluation, gone.clone()));
            standing.insert(place.clone(), one);
            running.insert(place, gone);
        }
    }
}

/// Evaluates a group on its times, until it is gone: then it waits for no seat, and what it asks ends.
pub async fn evaluate(
    standing: Arc<Standing>,
    mut evaluation: Evaluation,
    gone: CancellationToken,
) -> Result<(), Infallible> {
    let mut time = next(Timestamp::now().as_millisecond(), &standing.group);
    loop {
        let wait = Duration::from_millis((time - Timestamp::now().as_millisecond()).max(0).unsigned_abs());
        let wait = wait.min(standing.group.interval);
        let turn = async {
            tokio::time::sleep(wait).await;
            evaluation.run(&standing, time).await;
        };
        let is_gone = tokio::select! {
            () = gone.cancelled() => true,
            () = turn => false,
        };
        if is_gone {
            evaluation.end(Timestamp::now().as_millisecond());
            return Ok(());
        }
        time = following(time, Timestamp::now().as_millisecond(), &standing.group);
    }
}

/// The time after one that was evaluated. Times that passed meanwhile are left out; where the clock was
/// set back, those up to the one that was evaluated are not waited for.
pub fn following(time: i64, now: i64, group: &Group) -> i64 {
    let interval = i64::try_from(group.interval.as_millis()).unwrap_or(i64::MAX);
    let is_set_back = time.saturating_sub(now) > interval;
    next(if is_set_back { now } else { now.max(time) }, group)
}

/// The next time of a group after `now`: multiples of its interval, spread over it by what the
/// group is, so that not all come at once and a restart doesn't move them. Milliseconds.
pub fn next(now: i64, group: &Group) -> i64 {
    let interval = i64::try_from(group.interval.as_millis()).unwrap_or(i64::MAX);
    let mut hasher = DefaultHasher::new();
    group.place.hash(&mut hasher);
    let offset = (hasher.finish() % interval.unsigned_abs()).cast_signed();
    (now - offset).div_euclid(interval).saturating_add(1).saturating_mul(interval).saturating_add(offset)
}
