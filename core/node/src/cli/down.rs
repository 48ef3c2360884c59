//! `tiphys down`: stops the cluster and takes everything away; with `--all`, what is left of those that
//! nobody supervises any more.

use std::process::ExitCode;

use super::Global;
use crate::{
    cluster::{
        down,
        lost::{self, Found},
        state::{ClusterState, Lock},
    },
    failure::{Failure, OrNext, Outcome},
    output::{self, Progress},
};

#[derive(Debug, clap::Args)]
pub struct Down {
    /// Take away what is left of all clusters of this machine that nobody supervises any more, even where
    /// their files are gone too; those that run stay
    #[arg(long)]
    all: bool,
}

impl Down {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        if self.all {
            return all(global).await;
        }
        let layout = global.layout();
        // First: whoever is not root may not even read what there is.
        if layout.root().exists() && !nix::unistd::geteuid().is_root() {
            return Err(Failure::new("taking a cluster down needs root", "sudo tiphys down"));
        }
        let Some(state) = ClusterState::load(&layout)? else {
            output::line(&format!("there is no cluster {:?} on this machine", global.cluster));
            tell_of_lost(global).await;
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

/// Takes away what is left of clusters that nobody supervises. Each is tried; the first error is returned.
async fn all(global: &Global) -> Outcome<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("taking clusters away needs root", "sudo tiphys down --all"));
    }
    let (running, lost): (Vec<_>, Vec<_>) =
        lost::find(&global.home).await?.into_iter().partition(|one| one.runs);
    running.iter().for_each(|one| output::line(&stays(one)));
    if lost.is_empty() {
        output::line("nothing is left of clusters that are gone");
    }
    let progress = Progress::start();
    let mut first = Ok(());
    for one in &lost {
        progress.step(&format!("taking away {}", left(one)));
        let taken = lost::take_away(&global.home, one).await.or_next("tiphys down --all");
        if let Err(error) = &taken {
            output::warning(&format!("{}: {}", one.name, error.message()));
        }
        first = first.and(taken);
    }
    first?;
    if !lost.is_empty() {
        progress.step("nothing of them is left");
    }
    Ok(ExitCode::SUCCESS)
}

/// For whoever looks for a cluster that is nowhere, as its files are. Who may not look is told nothing.
async fn tell_of_lost(global: &Global) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let found = lost::find(&global.home).await.unwrap_or_default();
    let lost: Vec<String> = found.iter().filter(|one| !one.runs).map(left).collect();
    if !lost.is_empty() {
        let lost = lost.join("; ");
        output::line(&format!("of clusters that are gone there is left: {lost}"));
        output::line("to take that away: tiphys down --all");
    }
}

/// `demo (files, a network)`.
fn left(one: &Found) -> String {
    format!("{} ({})", one.name, one.what.join(", "))
}

/// What is said of a cluster that runs.
fn stays(one: &Found) -> String {
    let home = one.root.as_deref().and_then(|root| root.parent());
    let home = home.map_or_else(String::new, |home| format!(" --home {}", home.display()));
    format!("{} runs, and stays; to take it down: tiphys down --cluster {}{home}", one.name, one.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_what_stays_is_said() {
        let root = Some("/h/demo".into());
        let one = Found { name: "demo".to_owned(), root, runs: true, what: vec!["files", "a network"] };
        assert_eq!(left(&one), "demo (files, a network)");
        assert!(stays(&one).ends_with("tiphys down --cluster demo --home /h"), "{}", stays(&one));
        let nowhere = Found { root: None, ..one };
        assert!(stays(&nowhere).ends_with("tiphys down --cluster demo"), "{}", stays(&nowhere));
    }
}
