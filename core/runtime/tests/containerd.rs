//! A real containerd: started, adopted, fed with images, asked to run a Pod's
//! sandbox and a container in it, and stopped.

mod own;

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use tiphys_lifecycle::Tasks;
use tiphys_runtime::{
    cgroup::{Hierarchy, Limits},
    containerd::{self, Containerd, EventKind, Settings},
    cri::{Cri, v1},
    image,
    stats::{ContainerTarget, PodTarget, Sampler},
};

#[test]
fn a_container_runs_is_measured_and_leaves_nothing() {
    let Some(own) = own::enter("a_container_runs_is_measured_and_leaves_nothing") else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(300), Box::pin(scenario(own))).await.expect("in time");
    });
}

async fn scenario(own: own::Own) {
    let settings = Settings::below(&own.folder, "tiphys.io/pause:test");
    let tasks = Tasks::new();
    std::fs::create_dir_all(&settings.cni_conf_dir).expect("a folder");
    std::fs::write(settings.cni_conf_dir.join("10-test.conflist"), own::CNI).expect("written");
    let containerd = Containerd::start(settings.clone(), &tasks).await.expect("containerd starts");
    let socket = containerd.socket().to_path_buf();

    let images = [image::pause_image("test").expect("an image"), own::busybox_image()];
    let names = image::import(&socket, &images).await.expect("imported");
    assert_eq!(names, ["tiphys.io/pause:test", "docker.io/library/box:1"]);
    // Twice is no error.
    image::import(&socket, &images).await.expect("imported");

    let mut events = Box::pin(containerd::subscribe(&socket).await.expect("subscribed"));
    let cri = Cri::new(&socket);
    let pod_group = format!("{}/pod1", own.group);
    let hierarchy = Hierarchy::detect().expect("control groups");
    hierarchy
        .create(&pod_group, &Limits { memory_bytes: Some(64 << 20), ..Limits::default() })
        .expect("a group");
    let sandbox_config = sandbox(&own, &pod_group);
    let sandbox = cri.run_sandbox(sandbox_config.clone()).await.expect("a sandbox");
    let id = cri.create_container(&sandbox, container(), sandbox_config).await.expect("a container");
    cri.start_container(&id).await.expect("it starts");

    // Another agent finds the same containerd.
    let again = Containerd::start(settings, &tasks.child()).await.expect("adopted");
    assert_eq!(again.socket(), socket);

    let exec = cri.exec_sync(&id, vec!["echo".into(), "inside".into()], Duration::from_secs(120)).await;
    assert_eq!(exec.expect("it answers").stdout, b"inside\n");
    let status = cri.sandbox_status(&sandbox).await.expect("it answers").expect("it is there");
    let ip = status.network.map(|network| network.ip).unwrap_or_default();
    assert!(ip.starts_with("10.200.0."), "{ip}");
    // Its first word is not said by the moment at which it runs.
    let log = own.folder.join("logs/box/0.log");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains(" stdout F hello")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    measured(&own, &cri, &sandbox, &pod_group, &id).await;

    cri.stop_container(&id, Duration::ZERO).await.expect("it stops");
    loop {
        let event = events.next().await.expect("events go on").expect("events go on");
        if event.id == id && event.kind == EventKind::Exited {
            break;
        }
    }
    cri.stop_sandbox(&sandbox).await.expect("it stops");
    cri.remove_sandbox(&sandbox).await.expect("it is removed");
    hierarchy.remove(&own.group).await.expect("removed");
    assert!(cri.list_containers(HashMap::new()).await.expect("a list").is_empty());
    containerd.stop().await.expect("it stops");
    assert!(tokio::net::UnixStream::connect(&socket).await.is_err());
}

async fn measured(own: &own::Own, cri: &Cri, sandbox: &str, pod_group: &str, id: &str) {
    let pid = cri.sandbox_pid(sandbox).await.expect("it answers").expect("it runs");
    let mut sampler = Sampler::new(&own.group, "/").expect("a sampler");
    let containers = vec![ContainerTarget { id: id.into(), group: format!("{pod_group}/{id}") }];
    let target = PodTarget { id: "1".into(), group: pod_group.into(), network_pid: Some(pid), containers };
    sampler.set_targets(&[target]);
    let snapshot = sampler.read();
    let pod = &snapshot.pods[0];
    assert!(pod.containers[0].1.cpu_usage_nanos > 0, "{pod:?}");
    assert!(pod.figures.memory_usage_bytes >= pod.containers[0].1.memory_usage_bytes, "{pod:?}");
    // Neighbour discovery is sent as soon as the interface is up; waiting for it would prove no more.
    assert!(snapshot.node.cpu_usage_nanos > 0);
}

fn sandbox(own: &own::Own, pod_group: &str) -> v1::PodSandboxConfig {
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: "web".into(),
            uid: "1".into(),
            namespace: "default".into(),
            attempt: 0,
        }),
        log_directory: own.folder.join("logs").to_string_lossy().into_owned(),
        linux: Some(v1::LinuxPodSandboxConfig { cgroup_parent: pod_group.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn container() -> v1::ContainerConfig {
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: "box".into(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: "box:1".into(), ..Default::default() }),
        args: vec!["sh".into(), "-c".into(), "echo hello; sleep 1000".into()],
        log_path: "box/0.log".into(),
        linux: Some(v1::LinuxContainerConfig::default()),
        ..Default::default()
    }
}
