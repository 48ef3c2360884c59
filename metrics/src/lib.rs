//! Metrics: sampling store, DataFusion SQL, metrics.k8s.io.
