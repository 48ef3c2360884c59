//! A process of its own for a test that changes what holds for a whole one: how many files it may
//! have open.

use std::process::Command;

use nix::{
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};

/// False in the outer process, after the inner one has passed. `test` is the test's own name.
pub fn enter(test: &str) -> bool {
    const INSIDE: &str = "TIPHYS_TEST_OWN_PROCESS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let ended = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test])
        .env(INSIDE, "1")
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{test} failed inside: {said}");
    false
}

/// So many files more can be opened, and what is open stays. For none it holds whatever is closed.
pub fn leave_descriptors(n: usize) {
    // SAFETY: it only asks whether there is a descriptor of this number.
    let is_free = |number: &i32| unsafe { libc::fcntl(*number, libc::F_GETFD) } == -1;
    let end = if n == 0 { 0 } else { (0..).filter(is_free).nth(n).expect("numbers don't end") };
    limit(u64::from(end.cast_unsigned()));
}

/// As many as there may be.
pub fn free_descriptors() {
    limit(u64::MAX);
}

fn limit(most: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), hard).expect("limited");
}
