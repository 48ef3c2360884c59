//! `tiphys status`: what runs and how it is. Exit code 1 when something is wrong.

use std::process::ExitCode;

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
                silent = match state.supervisor.is_alive() {
                    true => format!("tail {}", global.layout().log("server").display()),
                    false => "tiphys down".to_owned(),
                };
            }
            Ok(None) => {}
            // Not root: the API tells the rest.
            Err(error) => output::warning(&format!("{error:#}")),
        }
        let client = self.connect.client(global).await?;
        healthy &= nodes(&client, &silent).await?;
        healthy &= pods(&client, &silent).await?;
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
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
    let pods = pods.or_asked_of(RIGHTS, silent)?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let running = pods.iter().filter(|pod| matches!(phase(pod).as_str(), "Running" | "Succeeded")).count();
    output::data(&format!("\n{running} of {} Pods run or are done\n", pods.items.len()))?;
    Ok(running == pods.items.len())
}
