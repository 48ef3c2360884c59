//! Volumes against `du`, one that hangs beside one that doesn't, and what is told when.

use std::process::Command;

use serde_json::json;

use super::*;

fn pod(volumes: &serde_json::Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [], "volumes": volumes},
    });
    Arc::new(serde_json::from_value(pod).expect("a Pod"))
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it never came to be");
        std::thread::yield_now();
    }
}

#[test]
fn a_volume_takes_what_du_says() {
    let root = tempfile::tempdir().expect("a folder");
    let pod = pod(&json!([
        {"name": "data", "emptyDir": {}}, {"name": "gone", "emptyDir": {}}, {"name": "c", "configMap": {}},
    ]));
    let folder = volumes::folder_of(root.path(), &pod);
    let data = folder.join("kubernetes.io~empty-dir/data");
    fs::create_dir_all(data.join("a/b")).expect("made");
    fs::create_dir_all(folder.join("kubernetes.io~configmap/c")).expect("made");
    for (name, length) in [("x", 100_000), ("a/y", 1), ("a/b/z", 5_000_000)] {
        fs::write(data.join(name), vec![b'x'; length]).expect("written");
    }
    std::os::unix::fs::symlink("/", data.join("link")).expect("linked");
    let du = |option: &str| -> u64 {
        let out = Command::new("du").args(["-s", option]).arg(&data).output().expect("du runs").stdout;
        let text = String::from_utf8(out).expect("text");
        text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    };
    let files = Arc::new(Files::new(SILENT));
    let of_volume = |volume: &Volume| {
        let (mut looked, pulse) = (Looked::new(files.clone()), Arc::new(Pulse::new()));
        Place::of(root.path(), &pod, volume)?.measure(&mut looked, &pulse)
    };
    let listed = spec::of(&pod).volumes.iter().flatten();
    let found: Vec<_> = listed.filter_map(of_volume).collect();
    let [volume] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(volume.used_bytes, du("--block-size=1"));
    assert_eq!(volume.inodes_used, du("--inodes"));
    assert!(volume.capacity_bytes > 0 && volume.available_bytes > 0 && volume.inodes >= volume.inodes_free);
    assert_eq!(files.looks.load(Ordering::Relaxed), 0, "who looks no more doesn't slow others");
}

#[test]
fn a_figure_that_waits_for_a_turn_is_told_until_it_is_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = Arc::new(Files::new(Duration::ZERO));
    let (pulse, other, begun) = (Arc::new(Pulse::new()), Arc::new(Pulse::new()), Instant::now());
    let mut looked = Looked::new(files.clone());
    let others_turn = || files.turn.take(&other, Duration::ZERO).expect("nobody has it");
    let mut after = |seconds| looked.at(folder.path(), &pulse, begun + Duration::from_secs(seconds));
    let held = others_turn();
    assert_eq!(after(0), None);
    assert_eq!(files.looks.load(Ordering::Relaxed), 0, "who had no turn yet doesn't slow others");
    drop(held);
    let first = after(1);
    assert_eq!(first.map(|taken| taken.inodes), Some(1));
    // Another's files are very many.
    let held = others_turn();
    for (seconds, expected) in [(2, first), (100, first), (120, first), (400, None), (401, None)] {
        assert_eq!(after(seconds), expected, "after {seconds} s");
    }
    drop(held);
    assert_eq!(after(402), first);
    assert_eq!(files.looks.load(Ordering::Relaxed), 1);
}

#[test]
fn files_that_hang_cost_their_own_volume_only() {
    let (turn, patience) = (Turn::new(Duration::from_millis(1)), Duration::from_secs(60));
    let files = Arc::new(Files { turn, patience, looks: AtomicUsize::new(0) });
    let (begins, begun) = channel();
    let (answer, answers) = channel::<()>();
    let (of_hung, now) = (files.clone(), Instant::now());
    std::thread::scope(|scope| {
        let hung = scope.spawn(move || {
            let walk = |pulse: &Pulse| {
                pulse.sign();
                begins.send(()).expect("the test waits");
                answers.recv_timeout(Duration::from_secs(120)).expect("an answer in the end");
                Ok(Taken { bytes: 99, inodes: 99 })
            };
            Looked::new(of_hung).by(walk, &Arc::new(Pulse::new()), now)
        });
        begun.recv().expect("it looks at files");
        // The others have their turns, however long it hangs.
        let (mut well, pulse) = (Looked::new(files.clone()), Arc::new(Pulse::new()));
        for number in 1_u32..5 {
            let sum = Taken { bytes: number.into(), inodes: number.into() };
            assert_eq!(well.by(|_| Ok(sum), &pulse, now + OLD * number), Some(sum));
        }
        answer.send(()).expect("it waits still");
        let found = hung.join().expect("it ends");
        assert_eq!(found, Some(Taken { bytes: 99, inodes: 99 }), "it has its figure as well");
        let last = Taken { bytes: 7, inodes: 7 };
        assert_eq!(well.by(|_| Ok(last), &pulse, now + OLD * 9), Some(last), "the turn is nobody's");
    });
}

#[test]
fn a_volume_that_hangs_is_missing_and_holds_up_no_other() {
    let sample = |name: &str, used_bytes: u64| VolumeSample {
        volume: name.into(),
        used_bytes,
        ..VolumeSample::default()
    };
    let (called, calls) = channel();
    let (answer, answers) = channel::<u64>();
    let mut hangs = Watched::start("/hangs".into(), move |_| {
        called.send(()).ok()?;
        answers.recv().ok().map(|used| sample("hangs", used))
    });
    let mut well = Watched::start("/well".into(), move |_| Some(sample("well", 7)));
    calls.recv().expect("asked");
    let now = Instant::now();
    answer.send(1).expect("it waits");
    assert_eq!(until(|| hangs.current(now)).used_bytes, 1);
    // The next call has no answer: for a moment the last one holds, and then it is missing.
    calls.recv().expect("asked");
    assert_eq!(hangs.current(now).map(|found| found.used_bytes), Some(1));
    let late = Instant::now() + SILENT + Duration::from_secs(1);
    assert_eq!(hangs.current(late), None);
    assert!(hangs.is_silent);
    assert_eq!(until(|| well.current(Instant::now())).used_bytes, 7);
    assert!(calls.try_recv().is_err(), "it is not asked again");
    answer.send(2).expect("it waits still");
    assert_eq!(until(|| hangs.current(late).filter(|found| found.used_bytes == 2)).volume, "hangs");
    assert!(!hangs.is_silent);
}

#[test]
fn a_pods_volumes_are_told_when_one_changes_and_when_all_are() {
    let root = tempfile::tempdir().expect("a folder");
    let pod = pod(&json!([{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]));
    let folder = volumes::folder_of(root.path(), &pod).join("kubernetes.io~empty-dir");
    ["a", "b"].iter().for_each(|name| fs::create_dir_all(folder.join(name)).expect("made"));
    let mut volumes = Volumes::new(root.path());
    let inodes = |told: &HashMap<String, Vec<VolumeSample>>| -> Vec<u64> {
        told.get("u").into_iter().flatten().map(|volume| volume.inodes_used).collect()
    };
    let next = |volumes: &mut Volumes, all| volumes.next(&[&pod], Instant::now(), all);
    until(|| (inodes(&next(&mut volumes, false)) == [1, 1]).then_some(()));
    // Nothing has changed, and all are told.
    until(|| (inodes(&next(&mut volumes, true)) == [1, 1]).then_some(()));
    fs::write(folder.join("b/new"), "x").expect("written");
    until(|| (inodes(&next(&mut volumes, false)) == [1, 2]).then_some(()));
    let before = volumes.pods["u"].told.clone();
    let told = next(&mut volumes, false);
    assert_eq!(before == volumes.pods["u"].told, told.is_empty(), "the same is not told twice: {told:?}");
    assert!(volumes.next(&[], Instant::now(), true).is_empty() && volumes.pods.is_empty());
}
