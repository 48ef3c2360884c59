//! The actions of a plan, carried out.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::Instrument;

use super::{Desired, registry::News, worker::Worker};
use crate::{
    Error,
    events::Kind,
    logs,
    pod::{
        dns,
        plan::{Action, Plan},
        resources,
        runtime::Container,
        sandbox_config::{self, SandboxFacts},
        spec,
    },
    sources,
    volumes::{ContentContext, PodVolumes},
};

const SANDBOX_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl Worker {
    /// True when something was done, so that it pays to plan again.
    pub(super) async fn act(&mut self, plan: &mut Plan) -> Result<bool, Error> {
        let actions = std::mem::take(&mut plan.actions);
        let mut done = false;
        for action in actions {
            if self.desired.borrow().is_end() {
                break;
            }
            done |= match action {
                Action::StopSandbox { id } => self.stop_sandbox(&id).await?,
                Action::RunSandbox { attempt } => self.prepare(plan, attempt).await?,
                Action::Start { container, attempt, delay } => {
                    self.ready_to_start(plan).await && self.start(plan, &container, attempt, delay).await
                }
                Action::RunHook { id, container } => self.run_hook(&container, &id).await,
                Action::Kill { id, why, .. } => self.kill_one(&id, &why).await?,
                Action::Remove { id } => {
                    self.context.cri.remove_container(&id).await?;
                    false
                }
                Action::RemoveSandbox { id } => {
                    self.context.cri.remove_sandbox(&id).await?;
                    false
                }
            };
        }
        self.started_all();
        Ok(done)
    }

    /// True when it was running, or something in it was.
    async fn stop_sandbox(&mut self, id: &str) -> Result<bool, Error> {
        let busy = self.runtime.sandboxes.iter().any(|sandbox| sandbox.id == id && sandbox.ready)
            || self.runtime.running().any(|container| container.sandbox == id);
        // A sandbox that died by itself still holds its address and host ports.
        self.context.cri.stop_sandbox(id).await?;
        Ok(busy)
    }

    /// Volumes and sandbox, at the same time.
    async fn prepare(&mut self, plan: &mut Plan, attempt: u32) -> Result<bool, Error> {
        if let Some(wait) = remaining(self.sandbox_pause) {
            plan.again_in = Some(plan.again_in.map_or(wait, |before| before.min(wait)));
            return Ok(false);
        }
        let group = resources::pod_group(&self.context.config.pods_group, &self.pod);
        self.make_groups(&group)?;
        let (volumes, sandbox) = tokio::join!(self.ensure_volumes(), self.run_sandbox(attempt));
        self.took_volumes(volumes);
        match sandbox {
            Ok(id) => {
                tracing::debug!(pod = spec::name(&self.pod), sandbox = %id, "sandbox runs");
                self.sandbox_pause = None;
                self.refresh(&News::default()).await?;
                self.write_hosts()?;
                Ok(true)
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.context.events.pod(&self.pod, Kind::Warning, "FailedCreatePodSandBox", message);
                let pause = self.sandbox_pause.map_or(SANDBOX_PAUSE, |(_, pause)| (pause * 2).min(MAX_PAUSE));
                self.sandbox_pause = Some((Instant::now() + pause, pause));
                plan.again_in = Some(pause);
                Ok(false)
            }
        }
    }

    /// The Pod's control group, and those of the classes above it.
    fn make_groups(&self, group: &str) -> Result<(), Error> {
        Ok(self.context.hierarchy.create(group, &resources::pod_limits(&self.pod))?)
    }

    async fn run_sandbox(&self, attempt: u32) -> Result<String, Error> {
        let config = self.sandbox_config(attempt)?;
        std::fs::create_dir_all(&config.log_directory)
            .map_err(Error::io("create", config.log_directory.clone()))?;
        if let Err(error) = logs::say(&self.pod, config.log_directory.as_ref()) {
            // The collector asks the API server then.
            tracing::debug!(folder = config.log_directory, %error, "what the pod says of its logs is not in its folder");
        }
        let span = tracing::info_span!("run sandbox");
        Ok(self.context.cri.run_sandbox(config).instrument(span).await?)
    }

    pub(super) fn sandbox_config(
        &self,
        attempt: u32,
    ) -> Result<tiphys_runtime::cri::v1::PodSandboxConfig, Error> {
        let config = &self.context.config;
        let host = std::fs::read_to_string(&config.resolv_conf).unwrap_or_default();
        let cluster =
            dns::ClusterDns { servers: config.cluster_dns.clone(), domain: config.cluster_domain.clone() };
        let facts = SandboxFacts {
            dns: dns::config(&self.pod, &cluster, &host),
            log_root: &config.log_root,
            group_base: &config.pods_group,
            domain: &config.cluster_domain,
        };
        Ok(sandbox_config::sandbox_config(&self.pod, attempt, &facts))
    }

    fn write_hosts(&self) -> Result<(), Error> {
        let folder = self.context.volumes.pod_folder(&self.uid);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let ips = self.runtime.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        let node = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let text = sandbox_config::hosts_file(&self.pod, &ips, &self.context.config.cluster_domain, &node);
        let path = folder.join("etc-hosts");
        std::fs::write(&path, text).map_err(Error::io("write", &path))
    }

    pub(super) async fn ensure_volumes(&self) -> Result<PodVolumes, Error> {
        let span = tracing::info_span!("volumes");
        let ips = self.runtime.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        let node = self.context.node_facts(ips);
        let context = ContentContext {
            pod: &self.pod,
            node: &node,
            sources: &self.context.sources,
            client: &self.context.client,
        };
        let mut made = PodVolumes::default();
        self.context.volumes.ensure(&context, &mut made).instrument(span).await?;
        Ok(made)
    }

    fn took_volumes(&mut self, made: Result<PodVolumes, Error>) {
        self.watch_sources();
        match made {
            Ok(made) => {
                self.volumes = Some(made);
                self.volume_pause = None;
            }
            Err(error) => {
                self.context.events.pod(&self.pod, Kind::Warning, "FailedMount", error.to_string());
                let pause = self.volume_pause.map_or(SANDBOX_PAUSE, |(_, pause)| (pause * 2).min(MAX_PAUSE));
                self.volume_pause = Some((Instant::now() + pause, pause));
            }
        }
    }

    /// Containers start only when every volume is there. After a restart of this
    /// process the volumes are there, but it has to know their paths.
    async fn ready_to_start(&mut self, plan: &mut Plan) -> bool {
        if self.volumes.is_some() {
            return true;
        }
        if let Some(wait) = remaining(self.volume_pause) {
            plan.again_in = Some(plan.again_in.map_or(wait, |before| before.min(wait)));
            return false;
        }
        let made = self.ensure_volumes().await;
        self.took_volumes(made);
        if let Some(wait) = remaining(self.volume_pause) {
            plan.again_in = Some(plan.again_in.map_or(wait, |before| before.min(wait)));
        }
        self.volumes.is_some()
    }

    /// When volumes want attention: a token to renew, or a failure to repeat.
    pub(super) fn volume_wait(&self) -> Option<Duration> {
        self.runtime.ready_sandbox()?;
        let renew = self.volumes.as_ref().and_then(|volumes| volumes.renew_at);
        let retry = self.volume_pause.map(|(at, _)| at);
        renew
            .into_iter()
            .chain(retry)
            .min()
            .map(|at| at.saturating_duration_since(Instant::now()).max(Duration::from_millis(100)))
    }

    /// A ConfigMap or Secret changed: files are written again, and containers that
    /// lacked one need not wait any longer.
    pub(super) async fn sources_changed(&mut self) {
        self.problems.retain(|_, problem| problem.reason != super::start::CONFIG_ERROR);
        self.volume_pause = None;
        self.renew_volumes().await;
    }

    pub(super) async fn renew_volumes(&mut self) {
        if self.runtime.ready_sandbox().is_some() {
            let made = self.ensure_volumes().await;
            self.took_volumes(made);
        }
    }

    /// A token or a failure waits no longer; or the sandbox was found by a process
    /// that has yet to take over its volumes.
    pub(super) fn volumes_due(&self) -> bool {
        let adopted = self.volumes.is_none() && self.volume_pause.is_none();
        let renew = self.volumes.as_ref().and_then(|volumes| volumes.renew_at);
        let due = renew.into_iter().chain(self.volume_pause.map(|(at, _)| at)).any(|at| at <= Instant::now());
        self.runtime.ready_sandbox().is_some() && (adopted || due)
    }

    pub(super) fn watch_sources(&self) {
        let mut wanted = sources::of_volumes(&self.pod);
        for name in self.problems.keys() {
            if let Some(container) = spec::container(&self.pod, name) {
                wanted.extend(sources::of_variables(&self.pod, &container));
            }
        }
        self.context.sources.watch_for(&self.uid, &wanted);
    }

    /// A deletion has a grace of its own and does not wait for this one's: the kill is
    /// left, and the Pod's end goes on with it.
    async fn kill_one(&mut self, id: &str, why: &str) -> Result<bool, Error> {
        let Some(container) = self.runtime.containers.iter().find(|container| container.id == id).cloned()
        else {
            return Ok(false);
        };
        let grace = self.grace_of(&container);
        let killed = unless_ended(self.desired.clone(), self.kill(&container, why, grace)).await;
        killed.transpose()?;
        Ok(true)
    }

    /// The grace of the probe that failed, if it has one, else the Pod's. Until the
    /// startup probe has passed no other is run, and afterwards it is run no more.
    pub(super) fn grace_of(&self, container: &Container) -> Duration {
        let probed = self.probing.board.all();
        let failed = probed.get(&container.id).filter(|probed| probed.failed.is_some());
        let of_probe = failed.zip(spec::container(&self.pod, &container.name)).and_then(|(probed, spec)| {
            let probe = if probed.started { &spec.liveness_probe } else { &spec.startup_probe };
            probe.as_ref()?.termination_grace_period_seconds
        });
        let seconds = of_probe.unwrap_or_else(|| spec::grace_seconds(&self.pod));
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// The Pod has to end by the kubelet's own decision.
    pub(super) async fn fail(&mut self, failure: (String, String)) -> Result<(), Error> {
        if self.failure.as_ref() != Some(&failure) {
            self.context.events.pod(&self.pod, Kind::Warning, &failure.0, failure.1.clone());
        }
        self.failure = Some(failure);
        let grace = Duration::from_secs(spec::grace_seconds(&self.pod).unsigned_abs());
        let stopped = unless_ended(self.desired.clone(), self.stop_containers(grace)).await;
        if stopped.transpose()?.is_none() {
            return Ok(());
        }
        for sandbox in self.runtime.sandboxes.clone() {
            self.stop_sandbox(&sandbox.id).await?;
        }
        self.refresh(&News::default()).await
    }

    /// The span of the Pod's start ends with its last container's start.
    fn started_all(&mut self) {
        let running = |name: &str| self.runtime.latest(name).is_some_and(Container::is_running);
        if self.starting.is_some()
            && spec::of(&self.pod).containers.iter().all(|container| running(&container.name))
        {
            self.starting = None;
            if !spec::of(&self.pod).containers.is_empty() && self.written_running_before() {
                return;
            }
            self.context.metrics.pod_start_seconds.observe(self.first_seen.elapsed().as_secs_f64());
        }
    }

    /// This process did not start the Pod, it found it.
    fn written_running_before(&self) -> bool {
        self.desired
            .borrow()
            .pod()
            .status
            .as_ref()
            .is_some_and(|status| status.phase.as_deref() == Some("Running"))
    }
}

/// What the work gave, or nothing if the Pod's end was asked for first.
pub(super) async fn unless_ended<T>(
    mut desired: watch::Receiver<Desired>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = desired.wait_for(Desired::is_end) => None,
    }
}

fn remaining(pause: Option<(Instant, Duration)>) -> Option<Duration> {
    let (at, _) = pause?;
    let left = at.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
