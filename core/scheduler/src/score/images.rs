//! Nodes that have the Pod's images: by size, and less the fewer Nodes have
//! them, so that a new image doesn't draw every Pod to the one Node that has it.

use super::{BEST, Score};
use crate::{node_info::NodeInfo, pod_info::PodInfo, snapshot::Snapshot};

pub const SCORE: Score = Score { name: "ImageLocality", weight: 1, score };

const MEGA: i64 = 1024 * 1024;
/// Less isn't worth a preference.
const LEAST: i64 = 23 * MEGA;
/// More, a container, makes no difference.
const MOST: i64 = 1000 * MEGA;

fn score(pod: &PodInfo, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let spec = &*pod.spec;
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let images: Vec<String> =
        containers.filter_map(|container| Some(normal(container.image.as_deref()?))).collect();
    if images.iter().all(|image| snapshot.nodes_with_image(image) == 0) {
        return None;
    }
    let total = snapshot.nodes.len().max(1) as f64;
    let most = MOST * images.len() as i64;
    let of = |node: &&NodeInfo| {
        let present = images.iter().filter_map(|image| Some((image, *node.images.get(image)?)));
        let sum: i64 = present
            .map(|(image, size)| (size as f64 * f64::from(snapshot.nodes_with_image(image)) / total) as i64)
            .sum();
        BEST * (sum.clamp(LEAST, most) - LEAST) / (most - LEAST)
    };
    Some(nodes.iter().map(of).collect())
}

/// Nodes list images with their tag.
fn normal(image: &str) -> String {
    let tagged = image.rfind(':').is_some_and(|colon| image.rfind('/').is_none_or(|slash| colon > slash));
    if tagged { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::figures;
    use serde_json::json;

    #[test]
    fn large_images_that_are_there_count() {
        let with = |size: i64| (json!({"images": [{"names": ["app:latest"], "sizeBytes": size}]}), vec![]);
        let nodes = vec![with(1000 * MEGA), with(1000 * MEGA), (json!({}), vec![])];
        let figures = figures(&SCORE, json!({}), nodes).unwrap();
        assert!(figures[0] > 60 && figures[0] == figures[1] && figures[2] == 0, "{figures:?}");
    }

    #[test]
    fn an_image_nobody_has_makes_no_difference() {
        assert_eq!(figures(&SCORE, json!({}), vec![(json!({}), vec![])]), None);
        assert_eq!(normal("localhost:5000/app"), "localhost:5000/app:latest");
    }
}
