//! `tiphys down`: stops the cluster and takes everything away.

use std::process::ExitCode;

use super::Global;
use crate::{
    cluster::{
        down,
        state::{ClusterState, Lock},
    },
    failure::{Failure, OrNext, Outcome},
    output::{self, Progress},
};

#[derive(Debug, clap::Args)]
pub struct Down {}

impl Down {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let layout = global.layout();
        // First: whoever is not root may not even read what there is.
        if layout.root().exists() && !nix::unistd::geteuid().is_root() {
            return Err(Failure::new("taking a cluster down needs root", "sudo tiphys down"));
        }
        let Some(state) = ClusterState::load(&layout)? else {
            output::line(&format!("there is no cluster {:?} on this machine", global.cluster));
            return Ok(ExitCode::SUCCESS);
        };
        let progress = Progress::start();
        if down::ask_supervisor(&state).await? && ClusterState::load(&layout)?.is_none() {
            progress.step("cluster is down, nothing is left");
            return Ok(ExitCode::SUCCESS);
        }
        let Some(_lock) = Lock::try_take(&layout.lock())? else {
            return Err(Failure::new("another command is just working on this cluster", "tiphys status"));
        };
        // The supervisor may have written more before it died.
        let state = ClusterState::load(&layout)?.unwrap_or(state);
        progress.step("the supervisor is gone; taking away what it left");
        down::take_away(&layout, &state, None).await.or_next("tiphys down")?;
        progress.step("cluster is down, nothing is left");
        Ok(ExitCode::SUCCESS)
    }
}
