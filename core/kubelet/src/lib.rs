//! The kubelet: Pods on a node through CRI.
