//! One component's metrics.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

/// A named metrics registry. Clones share it.
#[derive(Clone)]
pub struct Component {
    name: &'static str,
    registry: Arc<Mutex<Registry>>,
}

impl Component {
    /// An empty registry whose metrics carry no prefix.
    pub fn new(name: &'static str) -> Self {
        Self { name, registry: Arc::default() }
    }

    /// The component's name, as in `tiphys status`.
    pub fn name(&self) -> &'static str {
        self.name
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

#[cfg(test)]
mod tests {
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
}
