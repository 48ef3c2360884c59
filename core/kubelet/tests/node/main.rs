//! The kubelet with a real containerd and a real API server: what becomes of Pods,
//! from their start to their end, over restarts of the kubelet.

#![allow(clippy::disallowed_methods, reason = "a test ends its tasks with its runtime")]

#[path = "../../../runtime/tests/own/mod.rs"]
mod own;

mod ephemeral;
mod harness;
mod lives;
mod peers;
mod probes;
mod restarts;
mod statics;

use std::{future::Future, time::Duration};

use harness::Node;

/// Of a whole scenario; one that takes longer fails.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs a scenario on a node in namespaces of its own, and looks that nothing is left.
fn run<F: Future<Output = Node>>(test: &str, scenario: impl FnOnce(Node) -> F) {
    let Some(own) = own::enter(test) else { return };
    // What went on, when a test is run with RUST_LOG.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let whole = async {
        let node = Box::pin(scenario(Box::pin(Node::start(own)).await)).await;
        Box::pin(node.end()).await;
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, Box::pin(whole)).await.expect("in time") });
}

#[test]
fn abuse_20_a_pod_lives_and_only_the_kubelets_port_is_open() {
    run("abuse_20_a_pod_lives_and_only_the_kubelets_port_is_open", lives::whole);
}

#[test]
fn a_sandbox_that_died_is_replaced() {
    run("a_sandbox_that_died_is_replaced", lives::dead_sandbox);
}

#[test]
fn an_unhealthy_container_is_restarted_with_back_off() {
    run("an_unhealthy_container_is_restarted_with_back_off", probes::back_off);
}

#[test]
fn a_container_for_debugging_joins_a_running_pod() {
    run("a_container_for_debugging_joins_a_running_pod", ephemeral::debugging);
}

#[test]
fn every_kind_of_probe_decides() {
    run("every_kind_of_probe_decides", probes::kinds);
}

#[test]
fn a_restarted_kubelet_restarts_no_container() {
    run("a_restarted_kubelet_restarts_no_container", restarts::adoption);
}

#[test]
fn a_restarted_kubelet_finishes_what_was_begun() {
    run("a_restarted_kubelet_finishes_what_was_begun", restarts::unfinished);
}

#[test]
fn static_pods_follow_their_manifests() {
    run("static_pods_follow_their_manifests", statics::manifests);
}
