//! The loop of one Pod: look at the runtime, plan, act, report, wait.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;
use tracing::Instrument;

use super::{
    Context, Desired, PodView,
    look::{Seen, look},
    probing::Probing,
    registry::{News, Seat, Wake},
};
use crate::{
    Error,
    pod::{
        plan::{Plan, Problem, View, plan},
        runtime::RuntimeState,
        spec,
    },
    volumes::PodVolumes,
};

/// A plan that goes on for longer than this is asked for again later.
const MAX_ROUNDS: u32 = 32;
/// After an error of the runtime or the API.
const RETRY: Duration = Duration::from_secs(2);

pub(crate) struct Worker {
    pub(super) context: Arc<Context>,
    pub(super) uid: String,
    /// With the status that this worker computed last.
    pub(super) pod: Arc<Pod>,
    pub(super) desired: watch::Receiver<Desired>,
    pub(super) wake: Arc<Wake>,
    view: watch::Sender<Arc<PodView>>,
    pub(super) runtime: RuntimeState,
    seen: Seen,
    pub(super) probing: Probing,
    pub(super) problems: BTreeMap<String, Problem>,
    pub(super) failure: Option<(String, String)>,
    pub(super) volumes: Option<PodVolumes>,
    pub(super) volume_pause: Option<(Instant, Duration)>,
    pub(super) sandbox_pause: Option<(Instant, Duration)>,
    pub(super) written: Option<PodStatus>,
    pub(super) messages: BTreeMap<String, String>,
    pub(super) hooks_run: std::collections::BTreeSet<String>,
    pub(super) first_seen: Instant,
    /// The span of the Pod's start, until it has started.
    pub(super) starting: Option<tracing::Span>,
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, seat: Seat) -> Self {
        let pod = seat.desired.borrow().pod().clone();
        let uid = spec::uid(&pod).to_owned();
        let (registry, own) = (context.registry.clone(), uid.clone());
        let probing = Probing::new(move || registry.wake(&own));
        let span =
            tracing::info_span!("pod start", namespace = spec::namespace(&pod), pod = spec::name(&pod));
        if let Some(parent) = spec::annotation(&pod, tiphys_api::names::TRACEPARENT) {
            tiphys_telemetry::trace::set_parent(&span, parent);
        }
        Self {
            written: pod.status.clone(),
            pod,
            uid,
            desired: seat.desired,
            wake: seat.wake,
            view: seat.view,
            runtime: RuntimeState::default(),
            seen: Seen::default(),
            probing,
            problems: BTreeMap::new(),
            failure: None,
            volumes: None,
            volume_pause: None,
            sandbox_pause: None,
            messages: BTreeMap::new(),
            hooks_run: std::collections::BTreeSet::new(),
            first_seen: Instant::now(),
            starting: Some(span),
            context,
        }
    }

    /// Until nothing is left of the Pod.
    pub(crate) async fn run(mut self) {
        loop {
            let span = self.starting.clone().unwrap_or_else(tracing::Span::none);
            let pause = match Box::pin(self.once()).instrument(span).await {
                Ok(Some(pause)) => pause,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(pod = spec::name(&self.pod), %error, "pod could not be brought on; tried again");
                    RETRY
                }
            };
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() { break },
                () = self.wake.called() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.context.sources.watch_for(&self.uid, &Default::default());
        self.context.registry.remove(&self.uid);
        self.context.metrics.workers.set(self.context.registry.count() as i64);
    }

    /// One step; gives how long to wait for news, or `None` at the end.
    async fn once(&mut self) -> Result<Option<Duration>, Error> {
        self.take_desired();
        let news = self.wake.take_news();
        self.refresh(&news).await?;
        if self.desired.borrow().is_end() {
            return self.terminate().await;
        }
        if news.sources {
            self.sources_changed().await;
        }
        if self.volumes_due() {
            self.renew_volumes().await;
        }
        let again = self.advance().await?;
        let reported = self.report(&again).await;
        let pause = again.again_in.unwrap_or(Duration::from_secs(3600));
        let pause = self.volume_wait().map_or(pause, |wait| wait.min(pause));
        Ok(Some(if reported { pause } else { pause.min(RETRY) }))
    }

    /// The newest object, with our own status in it: the API's copy may be older.
    fn take_desired(&mut self) {
        let desired = self.desired.borrow_and_update().clone();
        let mut pod = Pod::clone(desired.pod());
        if let Some(own) = &self.written {
            let mut status = own.clone();
            // Conditions of others are theirs; the newest object has them.
            let foreign = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let gates: Vec<_> = spec::of(&pod).readiness_gates.iter().flatten().collect();
            let foreign: Vec<_> = foreign
                .filter(|condition| gates.iter().any(|gate| gate.condition_type == condition.type_))
                .cloned()
                .collect();
            let conditions = status.conditions.get_or_insert_default();
            conditions.retain(|old| !foreign.iter().any(|new| new.type_ == old.type_));
            conditions.extend(foreign);
            pod.status = Some(status);
        }
        self.pod = Arc::new(pod);
    }

    /// Reads the runtime again, and tells who looks at this Pod.
    pub(super) async fn refresh(&mut self, news: &News) -> Result<(), Error> {
        self.runtime = look(&self.context.cri, &self.uid, &news.ended, &mut self.seen).await?;
        let ids = self.runtime.containers.iter().map(|container| container.id.clone());
        let ids = ids.chain(self.runtime.sandboxes.iter().map(|sandbox| sandbox.id.clone()));
        self.context.registry.owns(&self.uid, ids);
        self.read_last_words();
        self.follow_probes();
        self.show();
        Ok(())
    }

    pub(super) fn show(&self) {
        self.view.send_replace(Arc::new(PodView { pod: self.pod.clone(), runtime: self.runtime.clone() }));
    }

    /// Plans and acts until there is nothing more to do at the moment.
    async fn advance(&mut self) -> Result<Plan, Error> {
        for _ in 0..MAX_ROUNDS {
            let mut plan = self.plan();
            if let Some(failure) = plan.fail.clone() {
                self.fail(failure).await?;
                return Ok(plan);
            }
            let done = self.act(&mut plan).await?;
            if !done || self.desired.has_changed().unwrap_or(true) {
                return Ok(plan);
            }
            self.refresh(&News::default()).await?;
            // Each step is shown: a Pod that pulls a large image already has its address.
            self.report(&plan).await;
        }
        let mut plan = self.plan();
        plan.again_in = Some(RETRY);
        Ok(plan)
    }

    pub(super) fn plan(&self) -> Plan {
        let probes = self.probing.board.all();
        plan(&View {
            pod: &self.pod,
            runtime: &self.runtime,
            probes: &probes,
            problems: &self.problems,
            now: Timestamp::now(),
        })
    }
}
