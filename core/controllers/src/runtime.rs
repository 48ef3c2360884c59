//! The one reconcile runtime.
//!
//! ```text
//! changes ──(mapped to keys by the controller)──> queue ──> N workers ──> reconcile(key)
//!                                                  ^                        |
//!                                                  └── error: back-off; Requeue::After ──┘
//! ```
//!
//! Workers start when the controller's caches have their first list. A
//! reconcile reads the state again, and may run twice without harm.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tiphys_lifecycle::OnError;
use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

use crate::{
    context::Context,
    error::Error,
    key::Key,
    metric_names::{ByName, ByResult, Metrics},
    queue::Queue,
};

/// What comes after a reconcile that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// The next change of something.
    No,
    /// The same key again after this time, or at a change.
    After(Duration),
}

#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error>;

    /// The W3C trace context of the object, that the reconcile's span goes below.
    fn traceparent(&self, _key: &Key) -> Option<String> {
        None
    }
}

/// A controller, wired: run it by [`Context::run`].
pub struct Controller {
    pub name: &'static str,
    /// Keys worked on at the same time.
    pub workers: usize,
    pub queue: Arc<Queue>,
    pub reconciler: Arc<dyn Reconciler>,
    /// True when the caches that it reads have their first list.
    pub synced: Vec<watch::Receiver<bool>>,
}

impl Controller {
    pub(crate) fn run(self, context: &Context) {
        let Self { name, workers, queue, reconciler, synced } = self;
        context.metrics.queue(name, &queue);
        for number in 0..workers {
            let (queue, reconciler) = (queue.clone(), reconciler.clone());
            let worker = Worker { name, queue, reconciler, metrics: context.metrics.clone() };
            let work = worker.run(synced.clone());
            context.tasks.spawn(format!("{name} controller {number}"), OnError::Log, work);
        }
    }
}

struct Worker {
    name: &'static str,
    queue: Arc<Queue>,
    reconciler: Arc<dyn Reconciler>,
    metrics: Metrics,
}

impl Worker {
    async fn run(self, synced: Vec<watch::Receiver<bool>>) -> Result<(), std::convert::Infallible> {
        for mut cache in synced {
            // An error means that the watch has stopped with its tasks.
            let _ = cache.wait_for(|synced| *synced).await;
        }
        loop {
            self.work().await;
        }
    }

    async fn work(&self) {
        let key = self.queue.next().await;
        let span = tracing::info_span!("reconcile", controller = self.name, key = %key);
        if let Some(parent) = self.reconciler.traceparent(&key) {
            tiphys_telemetry::trace::set_parent(&span, &parent);
        }
        let started = Instant::now();
        let result = self.reconciler.reconcile(&key).instrument(span).await;
        let took = started.elapsed().as_secs_f64();
        self.metrics.work_seconds.get_or_create(&ByName { name: self.name }).observe(took);
        let result = self.conclude(&key, result);
        self.metrics.reconciles.get_or_create(&ByResult { controller: self.name, result }).inc();
        self.queue.done(&key);
    }

    fn conclude(&self, key: &Key, result: Result<Requeue, Error>) -> &'static str {
        match result {
            Ok(after) => {
                self.queue.forget(key);
                if let Requeue::After(pause) = after {
                    self.queue.add_after(key.clone(), pause);
                }
                "ok"
            }
            Err(error) if error.is_conflict() => {
                self.queue.retry(key.clone());
                "conflict"
            }
            Err(error @ Error::NotYet(_)) => {
                let pause = self.queue.retry(key.clone());
                tracing::debug!(controller = self.name, key = %key, %error, ?pause, "reconcile waits");
                "ok"
            }
            Err(error) => {
                let pause = self.queue.retry(key.clone());
                tracing::warn!(controller = self.name, key = %key, %error, ?pause, "reconcile failed");
                "error"
            }
        }
    }
}
