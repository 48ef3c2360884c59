//! One container, started: image, variables, mounts, create, start, hook.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use tracing::Instrument;

use super::{act::unless_ended, registry::News, worker::Worker};
use crate::{
    events::Kind,
    images,
    metric_names::{ByCode, ByType},
    pod::{
        backoff,
        container_config::{ContainerFacts, container_config},
        env, ephemeral,
        plan::{Plan, Problem},
        spec,
    },
    probe::{Target, run_handler},
    sources::{self, SourceKind},
    volumes::PodVolumes,
};

/// Something that the container's spec refers to is missing or wrong.
pub(super) const CONFIG_ERROR: &str = "CreateContainerConfigError";
const CREATE_ERROR: &str = "CreateContainerError";
const PULL_BACKOFF: &str = "ImagePullBackOff";

const FIRST_PAUSE: Duration = Duration::from_secs(10);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// A missing ConfigMap is often only late; its watch tells sooner.
const CONFIG_PAUSE: Duration = Duration::from_secs(5);
/// So long `ErrImagePull` is shown before `ImagePullBackOff`.
const SHOW_PULL_ERROR: Duration = Duration::from_secs(1);
const HOOK_LIMIT: Duration = Duration::from_secs(300);

/// What stands in the way, for the status.
struct Obstacle {
    reason: &'static str,
    message: String,
}

impl Worker {
    /// True when it runs now, or ended at once.
    pub(super) async fn start(&mut self, plan: &mut Plan, name: &str, attempt: u32, delay: Duration) -> bool {
        let Some(container) = spec::container(&self.pod, name).map(Cow::into_owned) else { return false };
        let container_type = spec::container_type(&self.pod, name);
        match self.try_start(&container, attempt, delay).await {
            Ok(()) => {
                self.problems.remove(name);
                let started = &self.context.metrics.containers_started;
                started.get_or_create(&ByType { container_type }).inc();
                true
            }
            Err(obstacle) => {
                let failed = ByCode { container_type, code: obstacle.reason };
                self.context.metrics.containers_failed.get_or_create(&failed).inc();
                self.remember(plan, name, obstacle);
                false
            }
        }
    }

    fn remember(&mut self, plan: &mut Plan, name: &str, obstacle: Obstacle) {
        tracing::info!(
            pod = spec::name(&self.pod), container = name, reason = obstacle.reason, message = %obstacle.message,
            "container does not start"
        );
        let before = self.problems.get(name).map(|problem| problem.pause);
        let pause = match obstacle.reason {
            CONFIG_ERROR => CONFIG_PAUSE,
            _ => before.map_or(FIRST_PAUSE, |before| (before * 2).min(MAX_PAUSE)),
        };
        let retry_at = Timestamp::now() + pause;
        let reason = obstacle.reason.to_owned();
        self.problems.insert(name.to_owned(), Problem { reason, message: obstacle.message, retry_at, pause });
        let wait = if obstacle.reason == images::PULL_FAILED { SHOW_PULL_ERROR } else { pause };
        plan.again_in = Some(plan.again_in.map_or(wait, |before| before.min(wait)));
        self.watch_sources();
    }

    /// A pull that failed is shown as such once, then as waiting for its next try.
    pub(super) fn age_problems(&mut self) {
        for (name, problem) in &mut self.problems {
            let waits = backoff::between(Timestamp::now(), problem.retry_at);
            if problem.reason == images::PULL_FAILED && waits + SHOW_PULL_ERROR <= problem.pause {
                problem.reason = PULL_BACKOFF.into();
                let image = spec::container(&self.pod, name).and_then(|container| container.image.clone());
                let said = format!("Back-off pulling image \"{}\"", image.unwrap_or_default());
                problem.message = format!("{said}: {}", problem.message);
                self.context.events.container(&self.pod, name, Kind::Normal, "BackOff", said);
            }
        }
    }

    async fn try_start(
        &mut self,
        container: &Container,
        attempt: u32,
        delay: Duration,
    ) -> Result<(), Obstacle> {
        let id = self.create(container, attempt, delay).await?;
        let events = &self.context.events;
        events.container(
            &self.pod,
            &container.name,
            Kind::Normal,
            "Created",
            format!("Created container: {}", container.name),
        );
        let span = tracing::info_span!("start container", container = %container.name);
        // Before the start: it may end at once, and its end is told to its owner.
        self.context.registry.owns(&self.uid, std::iter::once(id.clone()));
        let started = self.context.cri.start_container(&id).instrument(span).await;
        if let Err(error) = started {
            events.container(&self.pod, &container.name, Kind::Warning, "Failed", format!("Error: {error}"));
            // The runtime shows it as ended with a StartError: from there on it is a crash like others.
            return Ok(());
        }
        events.container(
            &self.pod,
            &container.name,
            Kind::Normal,
            "Started",
            format!("Started container {}", container.name),
        );
        self.post_start(container, &id).await;
        Ok(())
    }

    async fn create(
        &mut self,
        container: &Container,
        attempt: u32,
        delay: Duration,
    ) -> Result<String, Obstacle> {
        let name = &container.name;
        let context = self.context.clone();
        let (sources, arriving) = (&context.sources, &context.config.arriving);
        let pull = images::ensure(&context.cri, sources, arriving, &context.events, &self.pod, container);
        let pull = pull.instrument(tracing::info_span!("image", container = %name));
        let Some(image) = unless_ended(self.desired.clone(), pull).await else {
            return Err(Obstacle { reason: "PodTerminating", message: "the Pod is being deleted".into() });
        };
        let image = image.map_err(|missing| Obstacle { reason: missing.reason, message: missing.message })?;
        let wrong = |message: String| {
            context.events.container(&self.pod, name, Kind::Warning, "Failed", format!("Error: {message}"));
            Obstacle { reason: CONFIG_ERROR, message }
        };
        let variables = self.variables(container).await.map_err(wrong)?;
        let none = PodVolumes::default();
        let volumes = self.volumes.as_ref().unwrap_or(&none);
        let mounts = context.volumes.mounts(&self.pod, container, attempt, volumes, &variables);
        let facts = ContainerFacts {
            attempt,
            delay,
            image: image.id,
            image_user: image.user,
            variables,
            mounts: mounts.map_err(|error| wrong(error.to_string()))?,
            node_memory: context.config.capacity.memory_bytes,
            oom_group: context.hierarchy.is_unified(),
            target: self.target_of(name).map_err(wrong)?,
        };
        let config = container_config(&self.pod, container, facts).map_err(wrong)?;
        let sandbox = self.runtime.ready_sandbox();
        let (sandbox_id, sandbox_attempt) =
            sandbox.map(|sandbox| (sandbox.id.clone(), sandbox.attempt)).unwrap_or_default();
        let sandbox_config =
            self.sandbox_config(sandbox_attempt).map_err(|error| wrong(error.to_string()))?;
        self.clear_the_way(name, attempt).await;
        let span = tracing::info_span!("create container", container = %name);
        let created =
            context.cri.create_container(&sandbox_id, config, sandbox_config).instrument(span).await;
        created.map_err(|error| {
            context.events.container(&self.pod, name, Kind::Warning, "Failed", format!("Error: {error}"));
            Obstacle { reason: CREATE_ERROR, message: error.to_string() }
        })
    }

    /// The instance whose processes an ephemeral container is to see.
    fn target_of(&self, name: &str) -> Result<Option<String>, String> {
        let Some(target) = ephemeral::target(&self.pod, name) else { return Ok(None) };
        let found = self.runtime.latest(target).filter(|instance| instance.is_running());
        found
            .map(|instance| Some(instance.id.clone()))
            .ok_or_else(|| format!("target container {target:?} does not run"))
    }

    /// An instance that was made but never started holds the next one's name.
    async fn clear_the_way(&self, name: &str, attempt: u32) {
        use crate::pod::runtime::State;
        let stale = self.runtime.containers.iter().filter(|container| {
            container.name == name && (container.state == State::Created || container.attempt == attempt)
        });
        for container in stale {
            if let Err(error) = self.context.cri.remove_container(&container.id).await {
                tracing::debug!(container = name, %error, "stale container was not removed");
            }
        }
    }

    async fn variables(&self, container: &Container) -> Result<Vec<(String, String)>, String> {
        let mut known = env::Sources::default();
        for source in sources::of_variables(&self.pod, container) {
            let content = self.context.sources.fetch(&source).await.map_err(|error| error.to_string())?;
            match source.kind {
                SourceKind::Secret => {
                    known.secrets.insert(source.name, content);
                }
                SourceKind::ConfigMap => {
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    let content = content
                        .map(|content| content.into_iter().map(|(key, value)| (key, text(value))).collect());
                    known.config_maps.insert(source.name, content);
                }
            }
        }
        self.context.services.ready().await;
        let services = self.context.services.list();
        let links = env::service_links(&self.pod, services.iter().map(AsRef::as_ref));
        let ips = match spec::uses_host_network(&self.pod) {
            true => self.context.config.node_ips.clone(),
            false => self.runtime.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default(),
        };
        env::variables(&self.pod, container, &self.context.node_facts(ips), &known, links)
    }

    /// The hook of a container that an earlier process started, and did not live to run.
    /// Hooks run at least once, as the API has it.
    pub(super) async fn run_hook(&mut self, name: &str, id: &str) -> bool {
        if let Some(container) = spec::container(&self.pod, name).map(Cow::into_owned) {
            self.post_start(&container, id).await;
        }
        true
    }

    /// A container whose postStart hook fails is killed.
    async fn post_start(&mut self, container: &Container, id: &str) {
        let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone())
        else {
            return;
        };
        let target = self.target(id);
        let run = Box::pin(run_handler(&target, container, &hook, HOOK_LIMIT));
        let Some(result) = unless_ended(self.desired.clone(), run).await else { return };
        self.hooks_run.insert(id.to_owned());
        if let Err(message) = result {
            let said = format!("PostStartHook failed: {message}");
            self.context.events.container(
                &self.pod,
                &container.name,
                Kind::Warning,
                "FailedPostStartHook",
                said,
            );
            if self.refresh(&News::default()).await.is_ok()
                && let Some(instance) =
                    self.runtime.containers.iter().find(|instance| instance.id == id).cloned()
            {
                let grace = Duration::from_secs(spec::grace_seconds(&self.pod).unsigned_abs());
                let kill = Box::pin(self.kill(&instance, "FailedPostStartHook", grace));
                let killed = unless_ended(self.desired.clone(), kill).await;
                tracing::debug!(?killed, container = %container.name, "container killed after its hook failed");
            }
        }
    }

    pub(super) fn target(&self, container_id: &str) -> Target {
        let own = self.runtime.sandboxes.first().and_then(|sandbox| sandbox.ips.first());
        let ip = own.or(self.context.config.node_ips.first()).cloned().unwrap_or_default();
        Target { cri: self.context.cri.clone(), container_id: container_id.to_owned(), ip }
    }
}
