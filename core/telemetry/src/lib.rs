//! Tracing, OpenTelemetry export, and one metrics registry a component.
