//! Clusters by what they leave: the tables of what is told of them, and states, locks and copies on a disk.

use super::*;

fn traces(recorded: &[(&str, bool)], held: &[&str], networks: &[&str], groups: &[(&str, bool)]) -> Traces {
    let state = |is_alive: bool| if is_alive { Recorded::Supervised } else { Recorded::Dead };
    Traces {
        recorded: recorded.iter().map(|(root, alive)| (PathBuf::from(root), state(*alive))).collect(),
        held: held.iter().map(PathBuf::from).collect(),
        networks: networks.iter().map(|name| (*name).to_owned()).collect(),
        groups: groups.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect(),
        ..Traces::default()
    }
}

/// With a copy in a folder.
fn with_copy(mut traces: Traces, root: &str, of: &str, is_alive: bool) -> Traces {
    traces.recorded.insert(PathBuf::from(root), Recorded::Copy { of: of.to_owned(), is_alive });
    traces
}

/// Each as a line: its name, its folder, what there is of it.
fn lines(traces: &Traces) -> Vec<String> {
    let line = |one: Found| {
        let root = one.root.map_or_else(|| "-".to_owned(), |root| root.display().to_string());
        let standing = match one.standing {
            Standing::Runs => "runs".to_owned(),
            Standing::Lost => "lost".to_owned(),
            Standing::Copy { of, is_held: false } => format!("copy of {of}"),
            Standing::Copy { of, is_held: true } => format!("held copy of {of}"),
        };
        format!("{} {root} {standing} {}", one.name, one.what.join("+"))
    };
    told(traces).into_iter().map(line).collect()
}

#[test]
fn clusters_are_told_by_what_there_is_of_them() {
    let check = |traces: Traces, expected: &[&str]| assert_eq!(lines(&traces), expected, "{traces:?}");
    check(Traces::default(), &[]);
    // All of it was killed, or its folder was taken away too.
    let killed = traces(&[("/h/demo", false)], &[], &["demo"], &[("demo", true)]);
    check(killed, &["demo /h/demo lost files+a network+control groups"]);
    let cut_off = traces(&[], &[], &["demo"], &[("demo", true)]);
    check(cut_off, &["demo - lost a network+control groups"]);
    check(traces(&[("/h/demo", false)], &[], &[], &[]), &["demo /h/demo lost files"]);
    // It runs, here or in another home, or is just being built.
    let here = traces(&[("/h/demo", true)], &["/h/demo"], &["demo"], &[]);
    check(here, &["demo /h/demo runs files+a network"]);
    check(traces(&[], &["/other/demo"], &["demo"], &[]), &["demo /other/demo runs a network"]);
    check(traces(&[("/h/demo", false)], &["/h/demo"], &[], &[]), &["demo /h/demo runs files"]);
    // What runs keeps what died in another home under the same name.
    let two = traces(&[("/a/demo", false), ("/b/demo", true)], &["/b/demo"], &["demo"], &[]);
    check(two, &["demo /a/demo runs files+a network", "demo /b/demo runs files+a network"]);
    // Its supervisor is where this process sees none.
    let mut elsewhere = traces(&[], &[], &["demo"], &[("demo", true)]);
    elsewhere.hidden.insert("demo".to_owned());
    check(elsewhere, &["demo - runs a network+control groups"]);
    // Another one's name doesn't count, nor a group that somebody uses and nothing else tells of.
    let others = traces(&[], &["/h/demo-2"], &["demo"], &[("own", true), ("left", false)]);
    check(others, &["demo - lost a network", "left - lost control groups"]);
}

#[test]
fn marked_processes_alone_are_what_is_left_of_a_cluster() {
    let check = |mut traces: Traces, expected: &[&str]| {
        traces.marked = BTreeSet::from(["demo".to_owned()]);
        assert_eq!(lines(&traces), expected, "{traces:?}");
    };
    check(Traces::default(), &["demo - lost processes"]);
    // They are in its group.
    let grouped = traces(&[], &[], &[], &[("demo", true)]);
    check(grouped, &["demo - lost control groups+processes"]);
    // Another one of the name runs, whose they aren't.
    let two = traces(&[("/b/demo", true)], &["/b/demo"], &[], &[]);
    check(two, &["demo /b/demo runs files+processes"]);
}

#[test]
fn a_copy_is_no_cluster_that_runs() {
    let check = |traces: Traces, expected: &[&str]| assert_eq!(lines(&traces), expected, "{traces:?}");
    let all = [("demo", true)];
    let running = || traces(&[("/a/demo", true)], &["/a/demo"], &["demo"], &all);
    let runs = "demo /a/demo runs files+a network+control groups";
    // Under another name, and of the same in another home.
    let copy = "copied /a/copied copy of demo files";
    check(with_copy(running(), "/a/copied", "demo", true), &[copy, runs]);
    let copy = "demo /b/demo copy of demo files";
    check(with_copy(running(), "/b/demo", "demo", true), &[copy, runs]);
    // What it was copied from is dead, or runs where this process sees none of its locks.
    let dead = || traces(&[("/a/demo", false)], &[], &["demo"], &[]);
    let copy = "copied /a/copied copy of demo files";
    let lost = "demo /a/demo lost files+a network";
    check(with_copy(dead(), "/a/copied", "demo", false), &[copy, lost]);
    check(with_copy(dead(), "/a/copied", "demo", true), &[copy, "demo /a/demo runs files+a network"]);
    // The folder's name may have a network of its own.
    let networked = traces(&[], &[], &["copied"], &[]);
    check(with_copy(networked, "/a/copied", "demo", false), &[copy, "copied - lost a network"]);
    // It is the folder of the cluster, which was renamed while that runs.
    let renamed = || traces(&[], &["/a/prod"], &["demo"], &all);
    let (held, runs) = ("prod /a/prod held copy of demo files", "demo - runs a network+control groups");
    check(with_copy(renamed(), "/a/prod", "demo", true), &[held, runs]);
}

#[test]
fn a_name_may_be_that_of_another_folders_cluster() {
    let check = |traces: &Traces, expected: Option<Elsewhere>| {
        assert_eq!(runs_elsewhere(traces, "demo", Path::new("/a/demo")), expected, "{traces:?}");
    };
    let other = || Some(Elsewhere::Folder(PathBuf::from("/b/demo")));
    let all = [("demo", true)];
    // Only of what died, and of other names.
    check(&traces(&[("/a/demo", false)], &[], &["demo"], &all), None);
    check(&traces(&[("/a/demo", false), ("/b/demo", false)], &[], &["demo"], &all), None);
    check(&traces(&[("/a/demo", false), ("/b/other", true)], &["/b/other"], &["demo"], &all), None);
    // Another one is supervised, or just being built, or goes on without its supervisor.
    check(&traces(&[("/a/demo", false), ("/b/demo", true)], &[], &["demo"], &all), other());
    check(&traces(&[("/a/demo", false)], &["/b/demo"], &["demo"], &[]), other());
    let mut served = traces(&[("/a/demo", false), ("/b/demo", false)], &[], &["demo"], &all);
    served.served.insert(PathBuf::from("/b/demo"));
    check(&served, other());
    served.served = BTreeSet::from([PathBuf::from("/a/demo")]);
    check(&served, None);
    // A copy, whose supervisor holds the lock of what it was copied from.
    check(&traces(&[("/a/demo", true)], &["/b/demo"], &["demo"], &all), other());
    let copy = |held: &str| with_copy(traces(&[], &[held], &["demo"], &all), "/a/demo", "demo", true);
    check(&copy("/b/demo"), other());
    check(&copy("/b/other"), Some(Elsewhere::Unseen));
    let dead = || traces(&[("/a/demo", false)], &[], &["demo"], &all);
    check(&with_copy(dead(), "/b/demo", "demo", true), Some(Elsewhere::Unseen));
    check(&with_copy(dead(), "/b/demo", "other", true), None);
    check(&traces(&[("/a/demo", true)], &["/b/other"], &["demo"], &all), Some(Elsewhere::Unseen));
    // A container's, at the same path, or with nothing to be seen but its group.
    check(&traces(&[("/a/demo", false)], &["/a/demo"], &["demo"], &all), Some(Elsewhere::Unseen));
    let mut hidden = traces(&[("/a/demo", false)], &[], &["demo"], &all);
    hidden.hidden.insert("demo".to_owned());
    check(&hidden, Some(Elsewhere::Unseen));
}

#[test]
fn who_holds_the_lock_of_another_folder_of_the_name_runs_elsewhere() {
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let name = format!("twice-{}", std::process::id());
    let [ours, theirs] = homes.each_ref().map(|home| Layout::new(home.path(), &name));
    let lock = |layout: &Layout| Lock::try_take(&layout.lock()).expect("made").expect("free");
    let (_own, other) = (lock(&ours), lock(&theirs));
    let current = Process::current().expect("it runs");
    let supervises = |layout: &Layout| supervises(&current, layout).expect("looked at");
    let elsewhere = || elsewhere(&ours, &name).expect("looked at");
    let folder = theirs.root().canonicalize().expect("it is there");
    assert_eq!(elsewhere(), Some(Elsewhere::Folder(folder)));
    assert!(supervises(&ours) && supervises(&theirs));
    drop(other);
    assert_eq!(elsewhere(), None, "its own lock is that of nobody else");
    assert!(supervises(&ours) && !supervises(&theirs));
    fs::remove_dir_all(theirs.root()).expect("removed");
    assert!(!supervises(&theirs), "there is no lock");
    let ended = Process { started: current.started + 1, ..current.clone() };
    assert!(!super::supervises(&ended, &ours).expect("looked at"));
}

#[test]
fn a_state_is_a_copy_by_its_name_or_by_whose_lock_its_supervisor_holds() {
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let name = format!("copied-{}", std::process::id());
    let [ours, theirs] = homes.each_ref().map(|home| Layout::new(home.path(), &name));
    let renamed = Layout::new(homes[0].path(), "renamed");
    let _lock = Lock::try_take(&ours.lock()).expect("made").expect("free");
    let dead = ClusterState::empty(&name);
    let alive = ClusterState { supervisor: Process::current().expect("it runs"), ..dead.clone() };
    let told = |state: &ClusterState, layout: &Layout, is_held: bool| {
        state.save(layout).expect("written");
        recorded_in(layout.root(), is_held).expect("it is there")
    };
    let copy = |is_alive: bool| Recorded::Copy { of: name.clone(), is_alive };
    assert_eq!(told(&alive, &ours, false), Recorded::Supervised);
    assert_eq!(told(&dead, &ours, false), Recorded::Dead);
    assert_eq!(told(&alive, &theirs, false), copy(true));
    assert_eq!(told(&alive, &theirs, true), Recorded::Supervised, "its lock went before its state");
    assert_eq!(told(&alive, &renamed, false), copy(true));
    assert_eq!(told(&alive, &renamed, true), copy(true), "its folder may have been renamed");
    assert_eq!(told(&dead, &renamed, false), copy(false));
    fs::write(theirs.state(), "{").expect("written");
    assert_eq!(recorded_in(theirs.root(), false), Some(Recorded::Dead), "nobody knows whose it is");
    fs::remove_file(theirs.state()).expect("removed");
    assert_eq!(recorded_in(theirs.root(), false), None);
}

#[test]
fn a_cluster_whose_folder_is_renamed_runs_on() {
    let home = tempfile::tempdir().expect("a folder");
    let name = format!("moved-{}", std::process::id());
    let layout = Layout::new(&home.path().canonicalize().expect("it is there"), &name);
    let _lock = Lock::try_take(&layout.lock()).expect("made").expect("free");
    let supervisor = Process::current().expect("it runs");
    ClusterState { supervisor, ..ClusterState::empty(&name) }.save(&layout).expect("written");
    let renamed = layout.root().with_file_name(format!("{name}-renamed"));
    fs::rename(layout.root(), &renamed).expect("renamed");
    let all = told(&Traces::of(home.path(), BTreeSet::from([name.clone()]), None).expect("looked at"));
    let cluster = all.iter().find(|one| one.name == name).expect("it has a network");
    assert_eq!((&cluster.standing, &cluster.root), (&Standing::Runs, &None), "{all:?}");
    let folder = all.iter().find(|one| one.root.as_deref() == Some(renamed.as_path())).expect("it is there");
    assert_eq!(folder.standing, Standing::Copy { of: name.clone(), is_held: true }, "{all:?}");
    assert!(runs(home.path(), &name).expect("looked at"), "nothing of it is taken away");
}

#[test]
fn a_supervisors_lock_is_told_by_its_path() {
    let table = [
        ("/h/demo/lock", Some("/h/demo")),
        ("/h/demo/lock (deleted)", Some("/h/demo")),
        ("/h/demo/lock.old", None),
        ("/lock", None),
        ("pipe:[77]", None),
        ("demo/lock", None),
    ];
    for (file, expected) in table {
        assert_eq!(locked(Path::new(file)).as_deref(), expected.map(Path::new), "{file}");
    }
}

#[test]
fn who_holds_a_lock_is_told_by_the_kernels_list() {
    let locks = "1: FLOCK  ADVISORY  WRITE 77 fe:00:9 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 78 fe:00:9 0 EOF\n\
                 2: FLOCK  ADVISORY  READ 79 fe:00:8 0 EOF\n3: POSIX  ADVISORY  WRITE 80 fe:00:7 0 EOF\n";
    assert_eq!(lockers(locks), BTreeSet::from([77]));
}

#[test]
fn arguments_of_a_supervisors_children_tell_its_folder() {
    let table = [
        ("tiphys server --data-dir=/h/demo/server --listen=127.0.0.1:1", Some("/h/demo")),
        ("tiphys agent --node-name=node-1 --data-dir=/h/demo/nodes/node-1", Some("/h/demo")),
        ("tiphys server --data-dir=/var/lib/tiphys-server", None),
        ("tiphys agent --data-dir=/srv/node", None),
        ("other --data-dir=/h/demo/server", None),
        ("tiphys server", None),
        ("", None),
    ];
    for (line, expected) in table {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(root_told(&arguments).as_deref(), expected.map(Path::new), "{line}");
    }
}

#[tokio::test]
async fn the_state_of_a_cluster_that_was_killed_is_found_and_goes() {
    let home = tempfile::tempdir().expect("a folder");
    let name = format!("lost-{}", std::process::id());
    let layout = Layout::new(&home.path().canonicalize().expect("it is there"), &name);
    let lock = Lock::try_take(&layout.lock()).expect("made").expect("free");
    ClusterState::empty(&name).save(&layout).expect("written");
    let find = || {
        let found = told(&Traces::of(home.path(), BTreeSet::new(), None).expect("looked at"));
        found.into_iter().find(|one| one.root.as_deref() == Some(layout.root()))
    };
    let found = find().expect("it is there");
    let is_held = found.standing == Standing::Runs && found.what == ["files"];
    assert!(is_held, "somebody holds its lock: {found:?}");
    take_away(home.path(), &found).await.expect_err("somebody works on it");
    drop(lock);
    let found = find().expect("it is there");
    assert_eq!(found.standing, Standing::Lost, "{found:?}");
    let copied = layout.root().with_file_name(format!("{name}-copy"));
    let copied = layout_of(&copied).expect("a cluster's");
    fs::create_dir(copied.root()).and_then(|()| fs::copy(layout.state(), copied.state())).expect("copied");
    let all = told(&Traces::of(home.path(), BTreeSet::new(), None).expect("looked at"));
    let is_copy = |one: &Found| one.standing == Standing::Copy { of: name.clone(), is_held: false };
    assert!(all.iter().any(|one| one.root.as_deref() == Some(copied.root()) && is_copy(one)), "{all:?}");
    let copy = Found { name: format!("{name}-copy"), root: Some(copied.root().to_owned()), ..found.clone() };
    take_away(home.path(), &copy).await.expect_err("it is of another cluster");
    assert!(copied.state().exists() && layout.state().exists());
    take_away(home.path(), &found).await.expect("gone");
    assert!(find().is_none() && !layout.root().exists());
}

#[tokio::test]
async fn a_cluster_of_which_only_a_marked_process_is_left_is_found_and_goes() {
    let home = tempfile::tempdir().expect("a folder");
    let name = format!("marked-{}", std::process::id());
    let mut command = tokio::process::Command::new("sleep");
    strays::mark(command.arg("600"), &home.path().join(&name));
    let mut child = command.as_std_mut().spawn().expect("started");
    let stray = Process::of(child.id().cast_signed()).expect("running");
    let found = find(home.path()).await;
    let one = found.iter().flatten().find(|one| one.name == name).cloned();
    let taken = match &one {
        Some(one) => take_away(home.path(), one).await,
        None => Ok(()),
    };
    let is_alive = stray.is_alive();
    child.kill().and_then(|()| child.wait()).expect("reaped");
    let told = one.map(|one| (one.root, one.standing, one.what));
    assert_eq!(told, Some((None, Standing::Lost, vec!["processes"])), "{found:?}");
    assert!(!is_alive, "{taken:?}");
    taken.expect("nothing is left");
}
