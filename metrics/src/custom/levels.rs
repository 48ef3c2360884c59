//! Which of the nodes' own series count together. Pure.
//!
//! A node tells of itself as a whole, of each Pod as a whole and of each container, under the
//! same names; whoever adds up all of them counts everything twice. So of a Pod its own
//! series count, or those of the containers that a selector asks for, and of a node its own.
//! Series that were scraped or sent all count, but those of a namespace about a node that tells
//! the same of itself: whoever may write in one namespace describes no node to others.

use std::collections::HashSet;

use tiphys_api::selector::{LabelSelector, Operator, Requirement};

use super::series::Found;
use crate::{
    memory::Level,
    names::back,
    series::{Labels, Matcher},
};

/// The label that only series of containers have.
const CONTAINER: &str = "container";

/// What is left when nothing counts twice; `selector` is what chose among the series.
pub fn once(found: Vec<Found>, selector: &LabelSelector) -> Vec<Found> {
    let counts = counting(&found, asks_for_containers(selector));
    found.into_iter().zip(counts).filter_map(|(one, counts)| counts.then_some(one)).collect()
}

/// Whether each of them counts.
fn counting(found: &[Found], by_container: bool) -> Vec<bool> {
    let levels = [Level::Node, Level::Pod, Level::Container].map(|level| (level, back::of_level(level)));
    let told: Vec<_> = found.iter().map(|one| (level(&levels, &one.labels), &one.labels)).collect();
    let wholes = |wanted: Level| -> HashSet<(&str, &str)> {
        let of_level = told.iter().filter(|(level, _)| *level == Some(wanted));
        of_level.map(|(_, labels)| of(wanted, labels)).collect()
    };
    let (nodes, pods) = (wholes(Level::Node), wholes(Level::Pod));
    let counts = |(level, labels): &(Option<Level>, &Labels)| match level {
        None => labels.get("namespace").is_none() || !nodes.contains(&of(Level::Node, labels)),
        Some(level) if by_container => *level == Level::Container,
        Some(Level::Node) => true,
        Some(Level::Pod) => !nodes.contains(&of(Level::Node, labels)),
        Some(Level::Container) => {
            !pods.contains(&of(Level::Pod, labels)) && !nodes.contains(&of(Level::Node, labels))
        }
    };
    told.iter().map(counts).collect()
}

/// The level of a node's own series; nothing of a series that is somebody else's.
fn level(levels: &[(Level, Vec<Matcher>); 3], labels: &Labels) -> Option<Level> {
    let holds = |one: &Matcher| one.matches(labels.get(&one.name).unwrap_or_default());
    levels.iter().find(|(_, all)| all.iter().all(holds)).map(|(level, _)| *level)
}

/// The node or the Pod that a series is of or in.
fn of(level: Level, labels: &Labels) -> (&str, &str) {
    let label = |name| labels.get(name).unwrap_or_default();
    match level {
        Level::Node => (label("node"), ""),
        Level::Pod | Level::Container => (label("namespace"), label("pod")),
    }
}

/// Whether a selector says anything of containers but that there be none.
fn asks_for_containers(selector: &LabelSelector) -> bool {
    let asks = |one: &Requirement| one.key == CONTAINER && one.operator != Operator::DoesNotExist;
    selector.requirements().iter().any(asks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Reading;

    const OWN: [(&str, &str); 4] =
        [("job", "kubelet"), ("metrics_path", "/metrics/cadvisor"), ("node", "n1"), ("instance", "n1")];

    fn own(labels: &[(&str, &str)], value: f64) -> Found {
        let labels = Labels::new(OWN.into_iter().chain(labels.iter().copied()));
        Found { labels, reading: Reading { value, time: 0, window: 0, ways: Default::default() } }
    }

    fn pod(name: &str, value: f64) -> Found {
        own(&[("namespace", "shop"), ("pod", name)], value)
    }

    fn container(name: &str, container: &str, value: f64) -> Found {
        own(&[("namespace", "shop"), ("pod", name), (CONTAINER, container)], value)
    }

    fn values(found: Vec<Found>, selector: &str) -> Vec<f64> {
        let selector = LabelSelector::parse(selector).expect("a selector");
        once(found, &selector).iter().map(|one| one.reading.value).collect()
    }

    #[test]
    fn a_pod_is_told_once() {
        let all = || vec![container("a", "app", 60.0), pod("a", 100.0), container("a", "proxy", 30.0)];
        assert_eq!(values(all(), ""), [100.0]);
        assert_eq!(values(all(), "!container"), [100.0]);
        // A selector has chosen already; what it lets through of the Pod itself is left out.
        assert_eq!(values(all(), "container!=proxy"), [60.0, 30.0]);
        // Of what is told of containers alone, they are all there is.
        assert_eq!(values(vec![container("b", "app", 1.0), pod("a", 5.0)], ""), [1.0, 5.0]);
    }

    #[test]
    fn abuse_29_a_namespace_tells_nothing_of_a_node_that_tells_of_itself() {
        let node = own(&[("id", "/")], 400.0);
        let forged = || own(&[("id", "/"), ("namespace", "shop")], 9000.0);
        assert_eq!(values(vec![node, forged()], ""), [400.0]);
        // By a name that nodes don't tell it may say what it likes.
        assert_eq!(values(vec![forged()], ""), [9000.0]);
    }

    #[test]
    fn a_node_is_told_once_and_what_others_tell_counts_all() {
        let node = own(&[("id", "/")], 400.0);
        assert_eq!(values(vec![node, pod("a", 100.0), container("a", "app", 60.0)], ""), [400.0]);
        let others = [("lane", "a"), ("lane", "b")].map(|lane| Found {
            labels: Labels::new([("job", "shop"), ("pod", "a"), lane]),
            reading: Reading { value: 2.0, time: 0, window: 0, ways: Default::default() },
        });
        assert_eq!(values(others.into_iter().collect(), ""), [2.0, 2.0]);
    }
}
