//! The house rules as tests: arrows between crates, headers, lengths, words, what shows that
//! upstream's conformance list holds, and what `make bench` measures.

// Beside this file they would be test binaries of their own.
#[path = "tidy/bench.rs"]
mod bench;
#[path = "tidy/conformance.rs"]
mod conformance;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 80;

/// Who may depend on whom, beside `lifecycle`, `telemetry` and `tls`, which anybody may.
const ARROWS: &[(&str, &[&str])] = &[
    ("tiphys-lifecycle", &[]),
    ("tiphys-telemetry", &[]),
    ("tiphys-tls", &[]),
    ("tiphys-api", &[]),
    ("tiphys-store", &[]),
    ("tiphys-runtime", &[]),
    ("tiphys-apiserver", &["tiphys-api", "tiphys-store"]),
    ("tiphys-client", &["tiphys-api"]),
    ("tiphys-objects", &[]),
    ("tiphys-controllers", &["tiphys-api", "tiphys-client"]),
    ("tiphys-scheduler", &["tiphys-api", "tiphys-client"]),
    ("tiphys-kubelet", &["tiphys-api", "tiphys-client", "tiphys-runtime"]),
    ("tiphys-network", &["tiphys-api", "tiphys-client"]),
    ("tiphys-dns", &["tiphys-api", "tiphys-client"]),
    ("tiphys-logging", &["tiphys-api", "tiphys-client", "tiphys-objects"]),
    ("tiphys-metrics", &["tiphys-api", "tiphys-client", "tiphys-objects"]),
    ("tiphys-autoscaler", &["tiphys-api", "tiphys-client"]),
    ("tiphys-web", &["tiphys-api"]),
];
const BASE: &[&str] = &["tiphys-lifecycle", "tiphys-telemetry", "tiphys-tls"];

fn root() -> PathBuf {
    tiphys_tests::package_folder().parent().expect("tests/ is in the workspace").to_path_buf()
}

/// Files that git knows or would take, with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("names are UTF-8");
    let files: Vec<_> =
        listed.lines().filter(|name| name.ends_with(ending)).map(|name| root().join(name)).collect();
    files.into_iter().filter(|path| path.exists()).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn refuse(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut offenders = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let from = package["name"].as_str().expect("a name");
        let Some(to) = allowed.get(from) else { continue };
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        // Tests may use what they like.
        for dependency in dependencies.filter(|dependency| dependency["kind"].is_null()) {
            let name = dependency["name"].as_str().expect("a name");
            if name.starts_with("tiphys-") && !to.contains(&name) && !BASE.contains(&name) {
                offenders.push(format!("{from} -> {name}"));
            }
        }
    }
    refuse("these arrows are not in the design", offenders);
}

#[test]
fn every_crate_stands_in_the_list_of_arrows() {
    let known: BTreeSet<_> =
        ARROWS.iter().map(|(name, _)| *name).chain(["tiphys-node", "tiphys-tests"]).collect();
    let manifests = files("Cargo.toml").into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let names = manifests.filter_map(|text| {
        let line = text.lines().find(|line| line.starts_with("name = "))?;
        Some(line.trim_start_matches("name = ").trim_matches('"').to_owned())
    });
    refuse("crates without arrows", names.filter(|name| !known.contains(name.as_str())).collect());
}

#[test]
fn every_rust_file_begins_with_a_header() {
    let headless = files(".rs").into_iter().filter(|path| {
        let text = fs::read_to_string(path).expect("readable");
        !text.lines().take(3).any(|line| line.starts_with("//!"))
    });
    refuse("files without a //! header", headless.map(|path| name(&path)).collect());
}

#[test]
fn files_stay_short() {
    let mut offenders = Vec::new();
    for ending in [".rs", ".ts", ".tsx", ".css"] {
        for path in files(ending) {
            let lines = fs::read_to_string(&path).expect("readable").lines().count();
            if lines > MAX_FILE_LINES {
                offenders.push(format!("{} has {lines} lines", name(&path)));
            }
        }
    }
    refuse("files over 600 lines", offenders);
}

#[test]
fn functions_stay_short() {
    let mut offenders = Vec::new();
    for path in files(".rs") {
        let text = fs::read_to_string(&path).expect("readable");
        for (line, length) in long_functions(&text) {
            offenders.push(format!("{}:{line} has {length} lines", name(&path)));
        }
    }
    refuse("functions over 80 lines", offenders);
}

/// Functions over the limit, by the indentation that rustfmt gives them.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let words = trimmed
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        let words =
            words.trim_start_matches("async ").trim_start_matches("const ").trim_start_matches("unsafe ");
        if !words.starts_with("fn ") {
            continue;
        }
        // A signature that ends in a semicolon has no body.
        let head = lines[start..]
            .iter()
            .find(|line| line.ends_with('{') || line.ends_with('}') || line.ends_with(';'));
        if !head.is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let end = lines[start..].iter().position(|line| *line == close);
        let length = end.map_or(0, |end| end + 1);
        if length > MAX_FUNCTION_LINES {
            found.push((start + 1, length));
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME", "XXX:"];
    let mut offenders = Vec::new();
    for path in files(".rs") {
        // This file names them.
        if path.ends_with("tests/tests/tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offenders.push(format!("{}:{} {}", name(&path), number + 1, line.trim()));
            }
        }
    }
    refuse("left for later", offenders);
}

#[test]
fn no_module_attracts_everything() {
    let names = ["utils", "util", "common", "helpers", "helper", "manager", "misc", "types"];
    let bad = files(".rs").into_iter().filter(|path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder =
            path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        names.contains(&stem) || (stem == "mod" && names.contains(&folder))
    });
    refuse("modules whose name says nothing", bad.map(|path| name(&path)).collect());
}

#[test]
fn the_length_rule_sees_a_long_function() {
    let long = format!("impl A {{\n    fn long() {{\n{}    }}\n}}\n", "        x();\n".repeat(90));
    assert_eq!(long_functions(&long), [(2, 92)]);
    assert!(long_functions("fn short() {\n}\n").is_empty());
}
