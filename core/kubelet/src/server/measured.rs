//! What the node measured of its Pods, for a Prometheus or a metrics server from elsewhere:
//! `/metrics/cadvisor` with all figures, `/metrics/resource` with those of CPU and memory.
//!
//! Both are made of the lines that travel to Tiphys' own metrics server, so they tell the same.
//! Of `/metrics/cadvisor` it is the newest second with which the disks were read, at most 15 s
//! old; `/metrics/resource` is the newest of all.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use tiphys_api::{
    cadvisor::{self, Name, Tell, counter, gauge, plain, seconds},
    samples::{ContainerSample, NodeSamples, Usage},
};

use super::{
    Shared,
    exposition::{CONTENT_TYPE, Page},
};

/// `GET /metrics/cadvisor`
pub(super) async fn cadvisor(State(shared): State<Shared>) -> Response {
    answer(newest(&lines(&shared), is_whole), |page, samples| cadvisor::tell(page, samples, &[]))
}

/// `GET /metrics/resource`
pub(super) async fn resource(State(shared): State<Shared>) -> Response {
    answer(newest(&lines(&shared), |_| true), tell_resources)
}

/// All that are kept, oldest first.
fn lines(shared: &Shared) -> Vec<Bytes> {
    shared.seconds.after(0).into_iter().map(|(_, line)| line).collect()
}

/// What is told with the figures of the machine alone is told by this line, too.
fn is_whole(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        machine: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Head>(line).is_ok_and(|head| head.machine.is_some())
}

/// `None` before there is one.
fn newest(lines: &[Bytes], is_wanted: impl Fn(&[u8]) -> bool) -> Option<NodeSamples> {
    let line = lines.iter().rev().find(|line| is_wanted(line))?;
    serde_json::from_slice(line).ok()
}

fn answer(samples: Option<NodeSamples>, tell: impl FnOnce(&mut Page, &NodeSamples)) -> Response {
    let Some(samples) = samples else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node has yet to measure\n").into_response();
    };
    let mut page = Page::new(samples.time);
    tell(&mut page, &samples);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.text()).into_response()
}

/// CPU, working set and swap, under the names of what they are of.
macro_rules! resources {
    ($of:literal) => {
        &[
            counter(concat!($of, "_cpu_usage_seconds_total"), "CPU time used", |it| {
                seconds(it.cpu_usage_nanos_total)
            }),
            gauge(concat!($of, "_memory_working_set_bytes"), "Memory without inactive file cache", |it| {
                plain(it.memory_working_set_bytes)
            }),
            gauge(concat!($of, "_swap_usage_bytes"), "Memory swapped out", |it| plain(it.memory_swap_bytes)),
        ]
    };
}

static NODE: &[Name<Usage>] = resources!("node");
static POD: &[Name<Usage>] = resources!("pod");
static CONTAINER: &[Name<Usage>] = resources!("container");
static STARTED: &[Name<ContainerSample>] =
    &[gauge("container_start_time_seconds", "When it was started, since the Unix epoch", |it| {
        Some(it.started_at as f64 / 1e6)
    })];
static ERROR: &[Name<()>] =
    &[gauge("resource_scrape_error", "1 when something could not be measured", |_| Some(0.0))];

fn tell_resources(page: &mut Page, samples: &NodeSamples) {
    page.tell(0, "", NODE, &samples.usage, &[]);
    for pod in &samples.pods {
        let of_pod = [("namespace", pod.namespace.as_str()), ("pod", &pod.pod)];
        page.tell(1, &pod.uid, POD, &pod.usage, &of_pod);
        for container in &pod.containers {
            let own = cadvisor::with(&[("container", container.container.as_str())], &of_pod);
            page.tell(2, &container.container_id, CONTAINER, &container.usage, &own);
            page.tell(3, &container.container_id, STARTED, container, &own);
        }
    }
    page.tell(4, "", ERROR, &(), &[]);
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tiphys_api::samples::{DiskUsage, Machine, PodSample};

    use super::*;

    /// A second; the disks are told with the machine.
    fn line(time: i64, is_whole: bool) -> Bytes {
        let usage = Usage {
            cpu_usage_nanos_total: 1_500_000_000 * time as u64,
            memory_working_set_bytes: 4096,
            ..Usage::default()
        };
        let disk = DiskUsage { device: "vda".into(), write_bytes: 9, ..DiskUsage::default() };
        let container = ContainerSample {
            container: "app".into(),
            container_id: "c1".into(),
            started_at: 2_500_000,
            image: if is_whole { "web:1".into() } else { String::new() },
            usage,
            disks: if is_whole { vec![disk] } else { Vec::new() },
        };
        let pod = PodSample {
            namespace: "shop".into(),
            pod: "web".into(),
            uid: "u1".into(),
            usage,
            containers: vec![container],
            ..PodSample::default()
        };
        let samples = NodeSamples {
            time: time * 1_000_000,
            node: "n1".into(),
            usage,
            machine: is_whole.then(Machine::default),
            pods: vec![pod],
            ..NodeSamples::default()
        };
        serde_json::to_vec(&samples).expect("encoded").into()
    }

    async fn told(response: Response) -> String {
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        String::from_utf8(body.to_vec()).expect("text")
    }

    fn assert_has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|told| told == *line), "{line} is not in {text}");
        }
    }

    #[tokio::test]
    async fn cadvisors_page_is_of_the_newest_second_that_has_all() {
        let lines = [line(1, true), line(2, true), line(3, false)];
        let page = answer(newest(&lines, is_whole), |page, samples| cadvisor::tell(page, samples, &[]));
        let text = told(page).await;
        let pod = r#"namespace="shop",pod="web",id="/podu1""#;
        let own = r#"namespace="shop",pod="web",container="app",name="c1",image="web:1",id="/podu1/c1""#;
        assert_has(
            &text,
            &[
                "# TYPE container_cpu_usage_seconds_total counter",
                &format!(r#"container_cpu_usage_seconds_total{{{own},cpu="total"}} 3 2000"#),
                &format!(r#"container_fs_writes_bytes_total{{{own},device="/dev/vda"}} 9 2000"#),
                r#"container_memory_working_set_bytes{id="/"} 4096 2000"#,
                &format!(r#"container_network_receive_bytes_total{{{pod},interface="eth0"}} 0 2000"#),
                &format!(r"container_spec_cpu_shares{{{own}}} 2 2000"),
                "machine_cpu_cores 0 2000",
            ],
        );
        // The labels of the target are the asker's to add.
        assert!(!text.contains("node=") && !text.contains("job="), "{text}");
    }

    #[tokio::test]
    async fn the_page_of_resources_is_of_the_newest_second() {
        let text = told(answer(newest(&[line(1, true), line(3, false)], |_| true), tell_resources)).await;
        assert_has(
            &text,
            &[
                "node_cpu_usage_seconds_total 4.5 3000",
                r#"pod_memory_working_set_bytes{namespace="shop",pod="web"} 4096 3000"#,
                r#"container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} 4.5 3000"#,
                r#"container_start_time_seconds{container="app",namespace="shop",pod="web"} 2.5 3000"#,
                "resource_scrape_error 0 3000",
            ],
        );
    }

    #[test]
    fn before_the_first_second_nothing_is_told() {
        let response = answer(newest(&[], |_| true), tell_resources);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let response = answer(newest(&[line(1, false)], is_whole), tell_resources);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
