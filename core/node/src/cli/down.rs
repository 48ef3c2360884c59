//! `tiphys down`: stops the cluster and takes everything away; with `--all`, what is left of those that
//! nobody supervises any more.
//!
//! ```text
//! state ─> its supervisor is asked ─> what a dead one left goes, unless the name is a running cluster's
//! ```
//!
//! What it must not do: touch a cluster of another folder. Network and control groups go by the cluster's
//! name, and two folders may have clusters of one name.

use std::process::ExitCode;

use super::{Global, copied, word};
use crate::{
    cluster::{
        down,
        lost::{self, Elsewhere, Found, Standing},
        state::{ClusterState, Lock},
    },
    failure::{Failure, OrNext, Outcome},
    layout::Layout,
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
            let next = format!("sudo {}", global.typed("down"));
            return Err(Failure::new("taking a cluster down needs root", next));
        }
        let Some(state) = ClusterState::load(&layout)? else {
            output::line(&global.absent());
            tell_of_others(global).await;
            return Ok(ExitCode::SUCCESS);
        };
        if state.cluster != global.cluster {
            return Err(copied::refused(global, &state.cluster, None));
        }
        let progress = Progress::start();
        let asked = lost::supervises(&state.supervisor, &layout)?;
        if asked {
            progress.step("its supervisor takes the cluster down");
            if down::ask_supervisor(&state).await? && ClusterState::load(&layout)?.is_none() {
                progress.step("cluster is down, nothing is left");
                return Ok(ExitCode::SUCCESS);
            }
        }
        let Some(lock) = Lock::try_take(&layout.lock())? else {
            let hangs = asked && state.supervisor.is_alive();
            return Err(busy(global, hangs.then_some(state.supervisor.pid)));
        };
        // The supervisor may have written more before it died.
        let Some(state) = ClusterState::load(&layout)? else {
            // Somebody else took it down: the lock has made its folder anew.
            lock.abandon(&layout);
            progress.step("cluster is down, nothing is left");
            return Ok(ExitCode::SUCCESS);
        };
        if let Some(other) = lost::elsewhere(&layout, &global.cluster)? {
            // Who supervises this folder's cluster would hold its lock.
            let is_copy = !asked && state.supervisor.is_alive();
            return Err(if is_copy {
                copied::refused(global, &state.cluster, Some(&other))
            } else {
                stays_whole(global, &other)
            });
        }
        progress.step("the supervisor is gone; taking away what it left");
        down::take_away(&layout, &state, None).await.or_next(global.typed("down"))?;
        progress.step("cluster is down, nothing is left");
        Ok(ExitCode::SUCCESS)
    }
}

/// Why nothing is taken away while somebody holds the cluster's lock: another command, or a supervisor that
/// was asked to end and doesn't.
fn busy(global: &Global, hanging: Option<i32>) -> Failure {
    let Some(pid) = hanging else {
        return Failure::new("another command is just working on this cluster", global.typed("status"));
    };
    let down = global.typed("down");
    Failure::new(
        format!("the cluster's supervisor, process {pid}, was asked to take it down and doesn't end"),
        format!("{down} once more; if it never ends: sudo kill -9 {pid}, and then {down}"),
    )
}

/// Why nothing is taken away of a dead cluster while another one of its name runs.
fn stays_whole(global: &Global, other: &Elsewhere) -> Failure {
    let name = &global.cluster;
    let (place, first) = copied::running(name, other);
    Failure::new(
        format!(
            "another cluster {name:?} runs {place}, with network and control groups of the same names: \
             nothing of {} is taken away",
            global.layout().root().display()
        ),
        format!("{first}; then {}", global.typed("down")),
    )
}

/// Takes away what is left of clusters that nobody supervises. Each is tried; the first error is returned.
async fn all(global: &Global) -> Outcome<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("taking clusters away needs root", format!("sudo {}", again(global))));
    }
    let (lost, others): (Vec<_>, Vec<_>) =
        lost::find(&global.home).await?.into_iter().partition(|one| one.standing == Standing::Lost);
    others.iter().for_each(|one| output::line(&stays(one)));
    if lost.is_empty() {
        output::line("nothing is left of clusters that are gone");
    }
    let progress = Progress::start();
    let mut first = Ok(());
    for one in &lost {
        progress.step(&format!("taking away {}", left(one)));
        let taken = lost::take_away(&global.home, one).await.or_next(again(global));
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

/// The same for all clusters once more; of the home that was looked at.
fn again(global: &Global) -> String {
    Global { cluster: super::CLUSTER.to_owned(), ..global.clone() }.typed("down --all")
}

/// For whoever looks for a cluster that isn't where it was looked for. Who may not look is told nothing.
async fn tell_of_others(global: &Global) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let found = lost::find(&global.home).await.unwrap_or_default();
    let runs = |one: &&Found| one.standing == Standing::Runs && one.name == global.cluster;
    for one in found.iter().filter(runs) {
        output::line(&stays(one));
    }
    let lost: Vec<String> = found.iter().filter(|one| one.standing == Standing::Lost).map(left).collect();
    if !lost.is_empty() {
        let lost = lost.join("; ");
        output::line(&format!("of clusters that are gone there is left: {lost}"));
        output::line(&format!("to take that away: {}", again(global)));
    }
}

/// `demo (files, a network)`.
fn left(one: &Found) -> String {
    format!("{} ({})", one.name, one.what.join(", "))
}

/// What is said of a cluster that runs, of a copy, or of a running cluster's folder that was renamed.
fn stays(one: &Found) -> String {
    if let (Standing::Copy { of, is_held }, Some(root)) = (&one.standing, &one.root) {
        let home = root.parent().unwrap_or(root);
        let state = Layout::new(home, &one.name).state();
        let told = format!("{} is of the cluster {of:?}", state.display());
        if !is_held {
            return format!("{told}, and stays; if this is a copy: rm -r {}", word(root));
        }
        // -T: a folder that has the name again stays as it is.
        let back = format!("mv -T {} {}", word(root), word(Layout::new(home, of).root()));
        return format!(
            "{told}, and runs: a process holds the folder's lock; it stays; if the folder was renamed, to \
             take it down: {back}; then tiphys down --cluster {of} --home {}",
            word(home)
        );
    }
    let home = one.root.as_deref().and_then(|root| root.parent());
    let home = home.map_or_else(String::new, |home| format!(" --home {}", word(home)));
    format!("{} runs, and stays; to take it down: tiphys down --cluster {}{home}", one.name, one.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::process::Process, layout::HOME};

    fn global(home: &str) -> Global {
        Global { cluster: "demo".to_owned(), home: home.into() }
    }

    #[test]
    fn whoever_is_refused_is_told_what_runs_where_and_what_to_do() {
        let here = global("/a");
        let check = |told: Failure, message: &[&str], next: &str| {
            for part in message {
                assert!(told.message().contains(part), "{part:?} is not in {}", told.message());
            }
            assert_eq!(told.next(), next);
        };
        let other = stays_whole(&here, &Elsewhere::Folder("/b c/demo".into()));
        let next = "tiphys down --cluster demo --home '/b c'; then tiphys down --cluster demo --home /a";
        check(other, &["another cluster \"demo\" runs in /b c/demo, ", "nothing of /a/demo is"], next);
        let unseen = stays_whole(&global(HOME), &Elsewhere::Unseen);
        let next = "tiphys down --cluster demo where that one was started; then tiphys down --cluster demo";
        check(unseen, &["doesn't see it"], next);
        check(busy(&here, None), &["another command"], "tiphys status --cluster demo --home /a");
        let down = "tiphys down --cluster demo";
        let next = format!("{down} once more; if it never ends: sudo kill -9 7, and then {down}");
        check(busy(&global(HOME), Some(7)), &["process 7, was asked"], &next);
    }

    #[tokio::test]
    async fn a_running_cluster_of_the_name_keeps_what_a_dead_one_would_take_along() {
        let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let cluster = format!("named-{}", std::process::id());
        let [dead, running] = homes.each_ref().map(|home| Global {
            cluster: cluster.clone(),
            home: home.path().canonicalize().expect("it is there"),
        });
        let lock = Lock::try_take(&running.layout().lock()).expect("made").expect("free");
        let state = ClusterState::empty(&cluster);
        state.save(&dead.layout()).expect("written");
        let down = async |global: &Global| Down { all: false }.run(global).await;
        let refused = down(&dead).await.expect_err("another one runs");
        let place = running.layout().root().display().to_string();
        assert!(refused.message().contains(&place), "{}", refused.message());
        assert!(dead.layout().state().exists());
        // A copy, that names the supervisor of the other one.
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("started");
        let supervisor = Process::of(child.id().cast_signed()).expect("running");
        let copy = ClusterState { supervisor: supervisor.clone(), ..state };
        copy.save(&dead.layout()).expect("written");
        let refused = down(&dead).await;
        let is_alive = supervisor.is_alive();
        child.kill().and_then(|()| child.wait()).expect("reaped");
        let refused = refused.expect_err("another one runs");
        let said = format!("is of the cluster {cluster:?} that runs in {place}, which is not touched");
        assert!(refused.message().ends_with(&said), "{}", refused.message());
        assert!(is_alive && dead.layout().state().exists());
        drop(lock);
        ClusterState::empty(&cluster).save(&dead.layout()).expect("written");
        down(&dead).await.expect("nobody has the name any more");
        assert!(!dead.layout().root().exists());
    }

    #[test]
    fn what_is_left_and_what_stays_is_said() {
        let root = Some("/h/demo".into());
        let what = vec!["files", "a network"];
        let one = Found { name: "demo".to_owned(), root, standing: Standing::Runs, what };
        assert_eq!(left(&one), "demo (files, a network)");
        assert!(stays(&one).ends_with("tiphys down --cluster demo --home /h"), "{}", stays(&one));
        let copied = |is_held: bool| Found {
            standing: Standing::Copy { of: "first".to_owned(), is_held },
            ..one.clone()
        };
        let state = "/h/demo/cluster.json is of the cluster \"first\"";
        assert_eq!(stays(&copied(false)), format!("{state}, and stays; if this is a copy: rm -r /h/demo"));
        let held = stays(&copied(true));
        assert!(held.starts_with(&format!("{state}, and runs: ")) && !held.contains("rm -r"), "{held}");
        let back = "mv -T /h/demo /h/first; then tiphys down --cluster first --home /h";
        assert!(held.ends_with(back), "{held}");
        let nowhere = Found { root: None, ..one };
        assert!(stays(&nowhere).ends_with("tiphys down --cluster demo"), "{}", stays(&nowhere));
        assert_eq!(again(&global("/h")), "tiphys down --all --home /h");
    }
}
