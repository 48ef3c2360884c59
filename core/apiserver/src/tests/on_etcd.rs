//! The scenarios on etcd: this same program is run again, with the other store.

use std::process::Command;

use super::backing::CHOICE;

/// Those that lean on the store most: revisions, watches, restarts, conflicts, keys.
const SCENARIOS: &[&str] = &[
    "tests::apply::",
    "tests::deletion::",
    "tests::encryption::",
    "tests::lists::",
    "tests::scenarios::",
    "tests::services::",
    "tests::watches::",
    "tests::writes::",
];

#[test]
fn scenarios_pass_on_etcd_too() {
    if std::env::var(CHOICE).is_ok() {
        // It is this run already.
        return;
    }
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    // The cache's own tests are called alike.
    let again = again.args(SCENARIOS).args(["--skip", "cache::"]);
    let output = again.env(CHOICE, "etcd").output().expect("it runs again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed > 40, "only {passed} scenarios ran:\n{said}");
}
