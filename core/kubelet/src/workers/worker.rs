//! The loop of one Pod: look at the runtime, plan, act, report, wait.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    registry::{News, Seat, Wake, is_local},
};
use crate::{
    Error,
    pod::{
        conditions,
        plan::{Plan, Problem, View, plan},
        runtime::RuntimeState,
        spec,
    },
    volumes::PodVolumes,
};

/// A plan that goes on for longer than this is asked for again later.
const MAX_ROUNDS: u32 = 32;
/// Where only news bring a Pod on.
const LONG: Duration = Duration::from_secs(3600);
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
    /// As it was computed last, whether the API knows it or not.
    pub(super) status: Option<PodStatus>,
    /// The object as it was after this worker's last write of its status.
    pub(super) written: Option<Arc<Pod>>,
    pub(super) messages: BTreeMap<String, String>,
    /// Instances whose postStart hook came to its end.
    pub(super) hooks_run: BTreeSet<String>,
    pub(super) first_seen: Instant,
    /// The span of the Pod's start, until it has started.
    pub(super) starting: Option<tracing::Span>,
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, seat: Seat) -> Self {
        let pod = seat.desired.borrow().pod().clone();
        let uid = spec::uid(&pod).to_owned();
        // Of a static Pod the copy tells what it was before this process.
        let object = if is_local(&pod) { context.registry.mirror_of(&uid) } else { Some(pod.clone()) };
        let (registry, own) = (context.registry.clone(), uid.clone());
        let probing = Probing::new(move || registry.wake(&own));
        let span =
            tracing::info_span!("pod start", namespace = spec::namespace(&pod), pod = spec::name(&pod));
        if let Some(parent) = spec::annotation(&pod, tiphys_api::names::TRACEPARENT) {
            tiphys_telemetry::trace::set_parent(&span, parent);
        }
        Self {
            status: object.and_then(|object| object.status.clone()),
            written: None,
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
            hooks_run: BTreeSet::new(),
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
                Ok(None) if self.leave() => break,
                // It was wanted again while it ended.
                Ok(None) => {
                    self.begin_again();
                    continue;
                }
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
        self.context.metrics.workers.set(self.context.registry.count() as i64);
    }

    /// Gives up the Pod's place, unless somebody asks for the Pod again.
    fn leave(&self) -> bool {
        // Before the place is free for another worker, which watches anew.
        self.context.sources.watch_for(&self.uid, &Default::default());
        self.context.classes.gone(&self.uid);
        self.context.registry.leave(&self.uid)
    }

    /// Nothing is left of the Pod's first life; what the API shows of it stays.
    fn begin_again(&mut self) {
        tracing::info!(pod = spec::name(&self.pod), "pod is wanted again after it was ended");
        if is_local(&self.pod) {
            self.status = None;
        }
        (self.seen, self.runtime) = (Seen::default(), RuntimeState::default());
        (self.failure, self.volumes) = (None, None);
        (self.volume_pause, self.sandbox_pause) = (None, None);
        self.problems.clear();
        self.messages.clear();
        self.hooks_run.clear();
    }

    /// One step; gives how long to wait for news, or `None` at the end.
    async fn once(&mut self) -> Result<Option<Duration>, Error> {
        self.take_desired();
        let news = self.wake.take_news();
        if let Err(error) = self.refresh(&news).await {
            self.wake.give_back(news);
            return Err(error);
        }
        if self.desired.borrow().is_end() {
            return self.terminate().await;
        }
        if self.context.registry.is_behind(&self.uid) {
            let reported = self.report(&Plan::default()).await;
            return Ok(Some(if reported { LONG } else { RETRY }));
        }
        if news.sources {
            self.sources_changed().await;
        }
        if self.volumes_due() {
            self.renew_volumes().await;
        }
        let again = self.advance().await?;
        let reported = self.report(&again).await;
        let pause = again.again_in.unwrap_or(LONG);
        let pause = self.volume_wait().map_or(pause, |wait| wait.min(pause));
        Ok(Some(if reported { pause } else { pause.min(RETRY) }))
    }

    /// The newest object, with our own status in it: the API's copy may be older.
    fn take_desired(&mut self) {
        let desired = self.desired.borrow_and_update().clone();
        let mut pod = Pod::clone(desired.pod());
        if let Some(own) = &self.status {
            pod.status = Some(joined(own, &pod));
        }
        self.pod = Arc::new(pod);
    }

    /// Reads the runtime again, and tells who looks at this Pod.
    pub(super) async fn refresh(&mut self, news: &News) -> Result<(), Error> {
        self.runtime = look(&self.context.cri, &self.uid, &news.ended, &mut self.seen).await?;
        let ids = self.runtime.containers.iter().map(|container| container.id.clone());
        let ids = ids.chain(self.runtime.sandboxes.iter().map(|sandbox| sandbox.id.clone()));
        self.context.registry.owns(&self.uid, ids);
        let runtime = &self.runtime;
        self.hooks_run.retain(|id| runtime.containers.iter().any(|container| container.id == *id));
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
            let done = Box::pin(self.act(&mut plan)).await?;
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
        let hooks_due = self.hooks_due();
        plan(&View {
            pod: &self.pod,
            runtime: &self.runtime,
            probes: &probes,
            problems: &self.problems,
            hooks_due: &hooks_due,
            now: Timestamp::now(),
        })
    }
}

/// Our own status, with what is for others to say as the newest object has it: their
/// conditions, and that the Pod is over.
fn joined(own: &PodStatus, newest: &Pod) -> PodStatus {
    let (mut status, theirs) = (own.clone(), newest.status.clone().unwrap_or_default());
    let known = status.conditions.as_deref().unwrap_or_default();
    status.conditions = Some(conditions::joined(known, theirs.conditions.as_deref().unwrap_or_default()));
    if spec::is_terminal(newest) {
        (status.phase, status.reason, status.message) = (theirs.phase, theirs.reason, theirs.message);
    }
    status
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
