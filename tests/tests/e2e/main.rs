//! End to end: one cluster of three nodes on real containers, driven by the real
//! kubectl and the binary's own commands.
//!
//! The scenarios share the cluster and run one after the other; each cleans up
//! what it made, and the last one takes the cluster down and looks for remains.
//! Needs root. `TIPHYS_SOAK=1` runs the long forms.

#![allow(clippy::print_stderr, reason = "who runs the suite reads there how it goes")]

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use tiphys_tests::{Cluster, Machine};

mod accounts;
mod archive;
mod audit;
mod autoscaler;
mod autoscaler_metrics;
mod autoscaler_sawtooth;
mod chaos;
mod chart;
mod dashboard;
mod doors;
mod down;
mod figures;
mod foreign_nodes;
mod guestbook;
mod helm;
mod kube_rs;
mod kubectl;
mod kubectl_access;
mod kubectl_controllers;
mod kubectl_every;
mod kubectl_lone;
mod kubectl_objects;
mod kubectl_pods;
mod kubectl_proxy;
mod kubectl_published;
mod log_doors;
mod log_policy;
mod log_readers;
mod log_sources;
mod logs;
mod messages;
mod metric_doors;
mod network;
mod python;
mod sample_apiserver;
mod servers;
mod sql;
mod stateful;
mod static_pods;
mod storm;
mod torture;
mod trace;

/// The cluster that scenarios share.
const CLUSTER: &str = "e2e";

/// The busybox image that scenarios run.
const BUSYBOX: &str = "test.local/busybox:1";

/// The same with curl, for Pods that ask others by name.
const CURL: &str = "test.local/curl:1";

type Scenario = fn(&Shared) -> Result<()>;

/// Every scenario, in the order they run.
const SCENARIOS: &[(&str, Scenario)] = &[
    ("e2e_three_nodes_are_ready", kubectl::nodes),
    ("e2e_up_twice_is_an_answer", messages::up_twice),
    ("e2e_wrong_words_get_a_message", messages::wrong_words),
    ("e2e_create_scale_rollout_delete", kubectl::deployment),
    ("e2e_describe_get_watch_top", kubectl::look),
    ("e2e_exec_logs_port_forward", kubectl::streams),
    ("e2e_debug_joins_a_running_pod", kubectl::debug),
    ("e2e_every_kubectl_walks", kubectl_every::walk),
    ("e2e_an_old_extension_server_answers", sample_apiserver::walk),
    ("e2e_kubectl_and_replication_controllers", kubectl_controllers::walk),
    ("e2e_kubectl_and_stateful_sets", stateful::walk),
    ("e2e_kubectl_and_single_pods", kubectl_lone::walk),
    ("e2e_kubectl_proxies", kubectl_proxy::walk),
    ("e2e_a_guestbook_of_three_parts_works", guestbook::walk),
    ("e2e_pods_find_what_is_of_their_account", accounts::walk),
    ("e2e_the_python_client_walks", python::walk),
    ("e2e_helm_installs_and_rolls_back", helm::walk),
    ("e2e_a_service_is_reached_across_nodes", network::service),
    ("e2e_logs_of_every_node_are_found", logs::search),
    ("e2e_logs_are_followed_and_counted", logs::tool),
    ("e2e_logs_are_read_by_others", log_readers::read),
    ("e2e_logs_of_the_nodes_own_parts_are_found", log_sources::system),
    ("e2e_annotations_rule_over_logs", log_sources::policies),
    ("e2e_other_clusters_take_the_collector", foreign_nodes::collect),
    ("e2e_the_chart_is_the_manifest", chart::chart),
    ("e2e_static_pods_live_with_their_files", static_pods::walk),
    ("e2e_logs_are_sent_by_others", log_doors::send),
    ("e2e_logs_are_kept_as_is_said_and_doors_want_tls", log_policy::kept),
    ("e2e_sql_sees_pods_and_disk", sql::tables),
    ("e2e_metrics_are_scraped_and_sent", metric_doors::scraped_and_sent),
    ("e2e_every_door_is_asked", doors::ask),
    ("e2e_load_scales_up_and_back", autoscaler::load),
    ("e2e_a_sawtooth_turns_no_more_often_than_upstreams_formula", autoscaler_sawtooth::walk),
    ("e2e_memory_disk_and_network_scale_up_and_back", autoscaler_metrics::sources),
    ("e2e_a_sql_metric_scales", autoscaler_metrics::sql),
    ("e2e_what_pods_expose_scales_them", autoscaler_metrics::scraped),
    ("e2e_each_component_tells_its_own_figures", figures::components),
    ("e2e_a_browser_walks_the_dashboard", dashboard::walk),
    ("e2e_a_kube_rs_controller_outlives_a_server", kube_rs::controller),
    ("e2e_kill_loses_nothing", chaos::kill),
    ("e2e_down_leaves_nothing", down::nothing_left),
    ("e2e_servers_on_one_etcd_take_over", servers::take_over),
    ("e2e_each_server_shows_the_logs_of_all", servers::logs),
    ("e2e_a_snapshot_makes_a_new_store", servers::snapshot),
    ("e2e_a_store_that_is_not_there_is_told", servers::not_there),
    ("e2e_kill_of_a_server_in_a_storm_loses_nothing", storm::kills),
    ("e2e_an_apply_is_one_trace", trace::apply),
    ("e2e_the_audit_log_is_found", audit::found),
    ("e2e_logs_of_what_is_gone_are_in_the_archive", archive::outlives),
    ("e2e_torture_loses_and_doubles_no_line", torture::count),
];

/// What the scenarios share.
pub struct Shared {
    before: Machine,
    cluster: Mutex<Option<Arc<Cluster>>>,
}

impl Shared {
    /// The cluster; started by the first who asks.
    pub fn cluster(&self) -> Result<Arc<Cluster>> {
        let mut slot = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = &*slot {
            return Ok(cluster.clone());
        }
        // The usual port for Postgres may be somebody's; the doors' scenario looks whether 0 was heeded.
        let cluster = Cluster::up(CLUSTER, 3, &["--postgres-port", "0"])?;
        cluster.import_busybox(BUSYBOX)?;
        cluster.import_curl(CURL)?;
        let cluster = Arc::new(cluster);
        *slot = Some(cluster.clone());
        Ok(cluster)
    }

    /// Takes the cluster out, to end it.
    pub fn take_cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They share one cluster.
    arguments.test_threads = Some(1);
    let shared = Arc::new(Shared {
        before: Machine::snapshot(&Cluster::name_of(CLUSTER)).context("snapshot")?,
        cluster: Mutex::new(None),
    });
    let trials = SCENARIOS
        .iter()
        .map(|(name, scenario)| {
            let shared = shared.clone();
            Trial::test(*name, move || scenario(&shared).map_err(|error| Failed::from(format!("{error:#}"))))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(shared.take_cluster());
    Ok(conclusion.exit_code())
}
