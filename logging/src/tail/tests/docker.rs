//! Logs that are links into docker's folder: followed there, and nowhere else.

use super::{
    super::links::{Links, Refused},
    *,
};

pub const ID: &str = "4f2a";

/// A container's log in docker's folder, with what docker knows of it, and the link to it.
pub fn link(node: &Node, id: &str, container: &str, restart: u32) -> PathBuf {
    let (folder, link) = (node.docker.path().join(id), format!("{POD}/{container}/{restart}.log"));
    fs::create_dir_all(&folder).expect("a folder");
    let labels = serde_json::json!({ "io.kubernetes.container.logpath": format!("/var/log/pods/{link}") });
    let known = serde_json::json!({ "ID": id, "Config": { "Env": ["TOKEN=secret"], "Labels": labels } });
    fs::write(folder.join("config.v2.json"), known.to_string()).expect("written");
    let path = folder.join(format!("{id}-json.log"));
    symlink(&path, node.root.path().join(link)).expect("a link");
    path
}

pub fn json(number: usize, text: &str) -> String {
    let time = format!("2026-01-31T12:00:00.{number:09}Z");
    serde_json::json!({ "log": text, "stream": "stdout", "time": time }).to_string() + "\n"
}

/// As docker does it: the numbers go up, and the file itself is the first.
fn rotate(path: &Path) {
    let name = |number: u32| match number {
        0 => path.to_owned(),
        number => path.with_file_name(format!("{}.{number}", path.file_name().expect("a name").display())),
    };
    let free = (1..).find(|number| !name(*number).exists()).expect("a free number");
    for number in (0..free).rev() {
        fs::rename(name(number), name(number + 1)).expect("renamed");
    }
}

pub fn wrote(path: &Path) -> Change {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    Change::WroteIn(path.parent().expect("a folder").to_owned(), name)
}

pub fn folder_of(path: &Path) -> Place {
    Place::Folder(path.parent().expect("a folder").to_owned())
}

#[test]
fn lines_behind_a_link_are_read_and_its_target_is_watched() {
    let mut node = Node::new();
    let path = link(&node, ID, "app", 0);
    append(&path, json(1, "one\n").as_bytes());
    let mut tailer = node.tailer(vec![]);
    assert!(node.asked.0.contains(&folder_of(&path)));
    assert_eq!(drain(&mut tailer), ["one"]);
    append(&path, json(2, "two\n").as_bytes());
    tailer.apply(&wrote(&path), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["two"]);
    // The next instance of the container is another one for docker.
    let next = link(&node, "5b3c", "app", 1);
    append(&next, json(3, "three\n").as_bytes());
    node.look(&mut tailer);
    append(&path, json(4, "four\n").as_bytes());
    tailer.apply(&wrote(&path), &mut node.asked);
    let mut bodies = drain(&mut tailer);
    bodies.sort();
    assert_eq!(bodies, ["four", "three"]);
    let mut restarts: Vec<u32> = tailer.streams().map(|info| info.restart).collect();
    restarts.sort_unstable();
    assert_eq!(restarts, [0, 1]);
}

#[test]
fn a_rotation_while_it_is_read_or_while_nobody_looks_loses_and_doubles_nothing() {
    let mut node = Node::new();
    let path = link(&node, ID, "app", 0);
    append(&path, json(1, "one\n").as_bytes());
    let mut tailer = node.tailer(vec![]);
    append(&path, json(2, "two\n").as_bytes());
    rotate(&path);
    append(&path, json(3, "three\n").as_bytes());
    tailer.apply(&Change::In(folder_of(&path)), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["one", "two", "three"]);
    append(&path, json(4, "begun ").as_bytes());
    tailer.apply(&wrote(&path), &mut node.asked);
    assert!(drain(&mut tailer).is_empty());

    let checkpoints = tailer.checkpoints();
    drop(tailer);
    append(&path, json(5, "and ended\n").as_bytes());
    rotate(&path);
    append(&path, json(6, "six\n").as_bytes());
    rotate(&path);
    let mut tailer = node.tailer(checkpoints);
    assert_eq!(drain(&mut tailer), ["begun and ended", "six"]);
    append(&path, json(7, "seven\n").as_bytes());
    tailer.apply(&wrote(&path), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["seven"]);
    assert!(drain(&mut node.tailer(tailer.checkpoints())).is_empty());
}

#[test]
fn what_is_written_after_the_link_went_is_read_and_the_end_too() {
    let mut node = Node::new();
    let path = link(&node, ID, "app", 0);
    append(&path, json(1, "one\n").as_bytes());
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    fs::remove_file(node.dir().join("0.log")).expect("removed");
    append(&path, json(2, "two\n").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["two"]);
    append(&path, json(3, "last").as_bytes());
    fs::remove_dir_all(path.parent().expect("a folder")).expect("removed");
    tailer.apply(&Change::In(folder_of(&path)), &mut node.asked);
    assert!(tailer.take_vanished());
    assert!(drain(&mut tailer).is_empty());
    fs::remove_dir_all(node.root.path().join(POD)).expect("removed");
    tailer.apply(&Change::In(Place::Root), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["last"]);
    assert!(tailer.checkpoints().is_empty());
}

#[test]
fn abuse_14_a_link_to_anything_but_the_containers_own_log_is_refused_and_named() {
    let mut node = Node::new();
    let outside = tempfile::tempdir().expect("a folder");
    let secret = json(1, "secret\n");
    fs::write(outside.path().join("x-json.log"), &secret).expect("written");
    let docker = node.docker.path().to_owned();
    // Of another container, by docker's word, and one of which docker says nothing.
    let foreign = docker.join("f0/f0-json.log");
    fs::create_dir_all(node.root.path().join(POD).join("other")).expect("a folder");
    fs::write(link(&node, "f0", "other", 0), &secret).expect("written");
    fs::remove_file(node.root.path().join(POD).join("other/0.log")).expect("removed");
    fs::create_dir_all(docker.join("unknown")).expect("a folder");
    fs::write(docker.join("unknown/unknown-json.log"), &secret).expect("written");
    // A chain: the log is a link, its folder is.
    symlink(&foreign, link(&node, "chain", "app", 1)).expect("a link");
    symlink(outside.path(), docker.join("x")).expect("a link");
    // No log at all.
    let pipe = link(&node, "pipe", "app", 2);
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");

    type Is = fn(&Refused) -> bool;
    let elsewhere: Is = |why| matches!(why, Refused::Elsewhere(_));
    let chain: Is = |why| matches!(why, Refused::Chain(_));
    let not_its: Is = |why| matches!(why, Refused::Foreign(_));
    let cases: [(PathBuf, Is); 11] = [
        ("/etc/shadow".into(), elsewhere),
        (outside.path().join("x-json.log"), elsewhere),
        ("1.log".into(), elsewhere),
        (docker.join("f0/config.v2.json"), elsewhere),
        (docker.join("f0/../f0/f0-json.log"), elsewhere),
        (docker.join("../x-json.log"), elsewhere),
        (docker.join("x/x-json.log"), chain),
        (docker.join("chain/chain-json.log"), chain),
        (foreign, not_its),
        (docker.join("unknown/unknown-json.log"), not_its),
        (pipe, |why| matches!(why, Refused::Unreadable(..))),
    ];
    let links = Links::into(Some(docker));
    let key = (POD.to_owned(), "app".to_owned());
    for (at, (text, is_right)) in cases.iter().enumerate() {
        // Each is what docker itself calls the link of those that are no chain otherwise.
        let link = match at {
            7 => "1.log",
            10 => "2.log",
            _ => "0.log",
        };
        let why = links.follow(&key, link, text, &mut node.asked).expect_err("refused");
        assert!(is_right(&why), "{}: {why}", text.display());
        assert!(why.to_string().contains(&*text.to_string_lossy()), "{why}");
        let _ = fs::remove_file(node.dir().join(link));
        symlink(text, node.dir().join(link)).expect("a link");
        assert!(drain(&mut node.tailer(vec![])).is_empty(), "{}", text.display());
    }
    assert!(Links::into(None).follow(&key, "0.log", &cases[8].0, &mut node.asked).is_err());
}

/// The lines of the records `0..n`, each in one to three pieces, and the bodies.
pub fn script(pieces: &[u8]) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut bodies) = (Vec::new(), Vec::new());
    for (number, n_pieces) in pieces.iter().enumerate() {
        let texts: Vec<String> = (0..*n_pieces).map(|piece| format!("r{number}.{piece} ")).collect();
        for (at, text) in texts.iter().enumerate() {
            let end = if at + 1 == texts.len() { "\n" } else { "" };
            bytes.extend(json(number, &format!("{text}{end}")).into_bytes());
        }
        bodies.push(texts.concat());
    }
    (bytes, bodies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// As of the runtime's own files, with docker's rotation.
    #[test]
    fn every_line_behind_a_link_is_read_once(
        pieces in proptest::collection::vec(1u8..4, 1..30),
        steps in steps(),
    ) {
        let (bytes, expected) = script(&pieces);
        let mut node = Node::new();
        let path = link(&node, ID, "app", 0);
        prop_assert_eq!(read(&mut node, &path, &wrote(&path), |_| rotate(&path), &bytes, steps), expected);
    }
}
