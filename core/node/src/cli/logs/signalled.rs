//! What tests of `--file` share: a process that waits for an answer, and a signal that ends it.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use http::Request;
use kube::Client;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tower::ServiceExt;

use super::file;

/// Where the answer of the process goes, and its form.
const PLACE: &str = "TIPHYS_TEST_ANSWER";
const FORM: &str = "TIPHYS_TEST_FORM";

/// A client of a server that is these routes.
pub fn client(router: Router) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let router = router.clone();
        async move { Ok::<_, tower::BoxError>(router.oneshot(request.map(axum::body::Body::new)).await?) }
    });
    Client::new(service, "shop")
}

/// The path and the form, if this is a process that is to wait.
pub fn asked() -> Option<(String, String)> {
    Some((std::env::var(PLACE).ok()?, std::env::var(FORM).ok()?))
}

/// Each signal ends the test of this name, which waits for an answer in this form, and leaves no file.
pub fn leave_nothing(waiting: &str, table: &[(Signal, &str)]) {
    for (signal, form) in table {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answer");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", waiting])
            .env(PLACE, &path)
            .env(FORM, form)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let (part, started) = (file::part(&path), Instant::now());
        while !part.exists() && started.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(part.exists(), "{signal} {form}: the answer never began");
        kill(Pid::from_raw(child.id().cast_signed()), *signal).expect("told");
        // Killed by the signal it would have no exit code.
        assert!(child.wait().expect("ended").success(), "{signal} {form}");
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "{signal} {form}");
    }
}
