//! Which peers `make bench` measures: those of the PATH, others by name, and none where that is empty. What
//! it would run is read; nothing runs.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::root;

const PEERS: [&str; 4] = ["KUBE_APISERVER", "VICTORIA_LOGS", "PROMETHEUS", "VICTORIA_METRICS"];
/// What a make that runs this test says to those below it.
const OF_MAKE: [&str; 3] = ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"];

/// What it would run with this folder as the PATH.
fn planned(folder: &Path, set: &[(&str, &str)]) -> String {
    let path = env::var_os("PATH").expect("a PATH");
    let program = env::split_paths(&path).map(|folder| folder.join("make")).find(|file| file.exists());
    let mut make = Command::new(program.expect("make is installed"));
    make.args(["--dry-run", "bench"]).current_dir(root()).env("PATH", folder);
    for name in OF_MAKE.iter().chain(&PEERS) {
        make.env_remove(name);
    }
    let output = make.envs(set.iter().copied()).output().expect("make runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn has(plan: &str, words: &[&str]) {
    for word in words {
        assert!(plan.contains(word), "{word} is not in:\n{plan}");
    }
}

#[test]
fn make_bench_takes_peers_from_the_path_and_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["prometheus", "victoria-logs-prod"] {
        fs::write(at(name), "").expect("written");
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let plan = planned(folder.path(), &[]);
    has(
        &plan,
        &[
            &format!("PROMETHEUS=\"{}\"", at("prometheus")),
            &format!("VICTORIA_LOGS=\"{}\"", at("victoria-logs-prod")),
            &format!("Prometheus: {}", at("prometheus")),
            "VictoriaMetrics: not measured; deploy/setup/setup.sh bench installs it",
            "kube-apiserver: not measured",
        ],
    );
    assert!(!plan.contains("VICTORIA_METRICS=\""), "{plan}");
    let plan = planned(folder.path(), &[("PROMETHEUS", ""), ("VICTORIA_METRICS", "/elsewhere/metrics")]);
    has(&plan, &["Prometheus: not measured", "VICTORIA_METRICS=\"/elsewhere/metrics\""]);
    assert!(!plan.contains("PROMETHEUS=\""), "{plan}");
}
