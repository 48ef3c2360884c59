//! Own namespaces for tests that need a real containerd.
//!
//! The test binary starts itself again inside fresh network, mount and process
//! namespaces, with empty /run, /var/lib and /var/log: so standard paths can be
//! used, and every process and mount ends with the test, however it ends. Control
//! groups are the one thing shared with the machine; the outer side removes them.

use std::{path::PathBuf, process::Command};

use tiphys_runtime::cgroup::Hierarchy;

/// What the inner side works with.
pub struct Own {
    /// An empty folder on a real disk.
    pub folder: PathBuf,
    /// A control group of its own, removed afterwards.
    pub group: String,
}

/// `None` in the outer process, after the inner one has passed.
pub fn enter(test: &str) -> Option<Own> {
    const FOLDER: &str = "TIPHYS_TEST_FOLDER";
    const GROUP: &str = "TIPHYS_TEST_GROUP";
    if let (Some(folder), Ok(group)) = (std::env::var_os(FOLDER), std::env::var(GROUP)) {
        return Some(Own { folder: folder.into(), group });
    }
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let group = format!("/tiphys-test-{}-{}", std::process::id(), test.replace(':', "_"));
    let setup = "for at in /run /var/lib /var/log; do mount -t tmpfs tmpfs $at || exit 1; done; \
                 ip link set lo up; exec \"$0\" --exact \"$1\" --nocapture";
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", setup])
        .arg(std::env::current_exe().expect("this test"))
        .arg(test)
        .env(FOLDER, folder.path())
        .env(GROUP, &group)
        .status()
        .expect("unshare runs");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hierarchy = Hierarchy::detect().expect("control groups are mounted");
    runtime.block_on(hierarchy.remove(&group)).expect("the control group is removed");
    assert!(status.success(), "{test} failed inside its namespaces");
    None
}

/// A bridge network of these namespaces' own.
pub const CNI: &str = r#"{
  "cniVersion": "0.4.0", "name": "test",
  "plugins": [{
    "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.200.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}"#;

/// Gives the runtime busybox as an image: `docker.io/library/box:1`.
pub fn busybox_image() -> tiphys_runtime::image::Image {
    use tiphys_runtime::image::{Recipe, build_from_files};
    let recipe = Recipe {
        name: "box:1".into(),
        entrypoint: vec!["/bin/busybox".into()],
        env: vec!["PATH=/bin".into()],
        ..Recipe::default()
    };
    let busybox = PathBuf::from("/bin/busybox");
    let names =
        ["busybox", "sh", "cat", "sleep", "echo", "nc", "httpd", "dd", "ls", "env", "id", "test", "touch"];
    let paths: Vec<String> = names.iter().map(|name| format!("bin/{name}")).collect();
    let files: Vec<_> = paths.iter().map(|path| (busybox.clone(), path.as_str(), 0o755)).collect();
    build_from_files(&recipe, &files).expect("an image")
}
