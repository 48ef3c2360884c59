//! One component's metrics.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use prometheus_client::registry::Registry;

use crate::process::Process;

/// The components of this process, for whoever exports the figures of all of them. As the
/// process has one log, it has one list: a component is in it from when it is made until
/// nobody holds it.
static LIVING: Mutex<Vec<Living>> = Mutex::new(Vec::new());

struct Living {
    name: &'static str,
    since: SystemTime,
    registry: Weak<Mutex<Registry>>,
}

/// A named metrics registry. Clones share it.
#[derive(Clone)]
pub struct Component {
    name: &'static str,
    since: SystemTime,
    registry: Arc<Mutex<Registry>>,
}

impl Component {
    /// A registry whose metrics carry no prefix. Behind them stands what the process uses.
    pub fn new(name: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let component = Self { name, since: SystemTime::now(), registry: Arc::new(Mutex::new(registry)) };
        let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        living.retain(|other| other.registry.strong_count() > 0);
        let registry = Arc::downgrade(&component.registry);
        living.push(Living { name, since: component.since, registry });
        component
    }

    /// The component's name, as in `tiphys status`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// When it began to count.
    pub(crate) fn since(&self) -> SystemTime {
        self.since
    }

    /// Registers metrics: `component.registry(|r| r.register("name", "help", metric.clone()))`.
    pub fn registry<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The OpenMetrics text of all its metrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(component = self.name, %error, "metrics could not be written");
        }
        text
    }

    /// The Content-Type of [`Component::render`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

/// Every component of this process. Of two with one name the newer: a part that is started
/// again counts anew.
pub(crate) fn living() -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    for &Living { name, since, ref registry } in living.iter().rev() {
        if let Some(registry) = registry.upgrade()
            && found.iter().all(|newer| newer.name != name)
        {
            found.push(Component { name, since, registry });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_component_prints_its_own_metrics_only() {
        let (one, other) = (Component::new("one"), Component::new("other"));
        let counter: Counter = Counter::default();
        one.registry(|registry| registry.register("pods_started", "Pods started", counter.clone()));
        counter.inc();
        assert!(one.render().contains("pods_started_total 1"));
        assert!(!other.render().contains("pods_started"));
    }

    #[test]
    fn those_that_live_are_found_and_of_a_name_the_newest() {
        let found =
            || living().into_iter().filter(|component| component.name() == "term").collect::<Vec<_>>();
        assert!(found().is_empty());
        let first = Component::new("term");
        let second = Component::new("term");
        let is_second = |component: &Component| Arc::ptr_eq(&component.registry, &second.registry);
        assert!(matches!(&found()[..], [only] if is_second(only)));
        drop(first);
        assert!(matches!(&found()[..], [only] if is_second(only)));
        drop(second);
        // Who exports in another test may hold it for a moment.
        let begun = Instant::now();
        while !found().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(120), "it lives on");
            std::thread::yield_now();
        }
    }
}
