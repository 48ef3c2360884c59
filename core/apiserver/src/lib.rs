//! The Kubernetes API: generic verbs over any kind.
