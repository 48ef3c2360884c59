//! `tiphys status`: what runs and how it is. Exit code 1 when something is wrong; what, and what to do about
//! it, is said.

use std::{io, process::ExitCode};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{Global, connect::Connect};
use crate::{
    cluster::state::ClusterState,
    failure::{OrAsked, Outcome},
    output,
};

/// What to try when the API refuses: not everybody may list nodes.
const RIGHTS: &str = "kubectl auth can-i --list";
/// So many Pods that don't run are named.
const NAMED: usize = 10;

#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    connect: Connect,
}

impl Status {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let mut healthy = true;
        // Where nobody answers, who should have says why; a dead cluster can only be taken away.
        let mut silent = "tiphys doctor".to_owned();
        match ClusterState::load(&global.layout()) {
            Ok(Some(state)) => {
                healthy &= processes(&state)?;
                silent = format!("tail {}", global.layout().log("server").display());
                if !state.supervisor.is_alive() {
                    output::warning("nobody supervises the cluster any more: what ends is not started again");
                    silent = global.typed("down");
                    output::line(&format!("next: {silent}"));
                }
            }
            Ok(None) => {}
            // The API tells the rest.
            Err(error) if is_for_root(&error) => {
                output::warning("the cluster's processes are shown to root only");
            }
            Err(error) => output::warning(&format!("{error:#}")),
        }
        let client = self.connect.client(global).await?;
        healthy &= nodes(&client, &silent).await?;
        healthy &= pods(&client, &silent).await?;
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn is_for_root(error: &anyhow::Error) -> bool {
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    error.downcast_ref::<io::Error>().is_some_and(denied)
}

fn processes(state: &ClusterState) -> Outcome<bool> {
    let mut text = String::from("PROCESS          PID      STATE\n");
    let mut all = true;
    for (name, process) in state.processes() {
        let alive = process.as_ref().is_some_and(|process| process.is_alive());
        all &= alive;
        let pid = process.map_or_else(|| "-".to_owned(), |process| process.pid.to_string());
        text.push_str(&format!("{name:<16} {pid:<8} {}\n", if alive { "running" } else { "dead" }));
    }
    text.push_str(&format!("\nAPI {}  dashboard {}\n", state.api_url(), state.dashboard_url()));
    text.push_str(&format!("SQL for clients of Postgres: 127.0.0.1:{}\n\n", state.postgres_port));
    output::data(&text)?;
    Ok(all)
}

async fn nodes(client: &Client, silent: &str) -> Outcome<bool> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.or_asked_of(RIGHTS, silent)?;
    let mut text = String::from("NODE             STATE      VERSION\n");
    let mut all = true;
    for node in nodes {
        let status = node.status.clone().unwrap_or_default();
        let conditions = status.conditions.into_iter().flatten();
        let ready = conditions.filter(|one| one.type_ == "Ready").any(|one| one.status == "True");
        all &= ready;
        let version = status.node_info.map(|info| info.kubelet_version).unwrap_or_default();
        let state = if ready { "Ready" } else { "NotReady" };
        text.push_str(&format!("{:<16} {state:<10} {version}\n", node.name_any()));
    }
    output::data(&text)?;
    Ok(all)
}

async fn pods(client: &Client, silent: &str) -> Outcome<bool> {
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await;
    let (text, next) = told_of(&pods.or_asked_of(RIGHTS, silent)?.items);
    output::data(&text)?;
    if let Some(next) = &next {
        output::line(&format!("next: {next}"));
    }
    Ok(next.is_none())
}

/// How many Pods are well, and which are not; what to do about the first of those. Pure.
fn told_of(pods: &[Pod]) -> (String, Option<String>) {
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let is_well = |pod: &&Pod| matches!(phase(pod).as_str(), "Running" | "Succeeded");
    let (well, ill): (Vec<_>, Vec<_>) = pods.iter().partition(is_well);
    let mut text = format!("\n{} of {} Pods run or are done\n", well.len(), pods.len());
    let namespace = |pod: &Pod| pod.namespace().unwrap_or_default();
    for pod in ill.iter().take(NAMED) {
        text.push_str(&format!("not: {}/{} ({})\n", namespace(pod), pod.name_any(), phase(pod)));
    }
    if ill.len() > NAMED {
        text.push_str(&format!("and {} more\n", ill.len() - NAMED));
    }
    let describe = |pod: &&Pod| format!("kubectl describe pod -n {} {}", namespace(pod), pod.name_any());
    (text, ill.first().map(describe))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::PodStatus, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn pod(name: &str, phase: &str) -> Pod {
        Pod {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("shop".to_owned()),
                ..ObjectMeta::default()
            },
            status: Some(PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() }),
            ..Pod::default()
        }
    }

    #[test]
    fn pods_that_do_not_run_are_named() {
        let well = [pod("a", "Running"), pod("b", "Succeeded")];
        assert_eq!(told_of(&well), ("\n2 of 2 Pods run or are done\n".to_owned(), None));
        let (text, next) = told_of(&[pod("a", "Running"), pod("c", "Pending"), pod("d", "Failed")]);
        let expected = "\n1 of 3 Pods run or are done\nnot: shop/c (Pending)\nnot: shop/d (Failed)\n";
        assert_eq!((text.as_str(), next.as_deref()), (expected, Some("kubectl describe pod -n shop c")));
        let many: Vec<Pod> = (0..NAMED + 3).map(|number| pod(&format!("p{number}"), "Pending")).collect();
        let (text, _) = told_of(&many);
        assert!(text.ends_with("not: shop/p9 (Pending)\nand 3 more\n"), "{text}");
    }

    #[test]
    fn a_state_that_root_may_read_is_told_from_a_damaged_one() {
        use anyhow::Context as _;
        let denied = Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied));
        let denied = denied.context("/h/demo/cluster.json can't be read").unwrap_err();
        assert!(is_for_root(&denied) && !is_for_root(&anyhow::anyhow!("it is damaged")));
    }
}
