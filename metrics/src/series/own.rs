//! Which series Tiphys itself tells, by their labels alone: the log keeps no more of them, and after it was
//! read again what is told of nodes and objects must not count as sent by their namespace, which would be
//! refused what it sends until all was told anew.
//!
//! Labels can be sent by anybody, so this is believed only until somebody tells the series again, or it
//! goes for its age. Pure.

use tiphys_api::ways::Way;

use super::Labels;

/// By which way a series comes that bears the labels of what Tiphys tells; nothing of others.
pub fn way_of(labels: &Labels) -> Option<Way> {
    let of = |label| labels.get(label).unwrap_or_default();
    // What is scraped has the address of its target.
    let is_of_node = !of("node").is_empty() && of("node") == of("instance");
    match of("job") {
        "kube-state-metrics" if labels.name().starts_with("kube_") && of("instance").is_empty() => {
            Some(Way::Objects)
        }
        "kubelet" if is_of_node && ["/metrics", "/metrics/cadvisor"].contains(&of("metrics_path")) => {
            Some(Way::Sampled)
        }
        "node-exporter" if is_of_node && of("namespace").is_empty() => Some(Way::Sampled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::NAME;

    #[test]
    fn what_others_tell_by_the_same_names_is_theirs() {
        let pod = [("job", "kube-state-metrics"), ("namespace", "shop"), ("pod", "web-1")];
        let node = [("job", "node-exporter"), ("node", "n1"), ("instance", "n1")];
        let check = |name: &str, labels: &[(&str, &str)], more: &[(&str, &str)], expected: Option<Way>| {
            let all = Labels::new([labels, more, &[(NAME, name)]].concat());
            assert_eq!(way_of(&all), expected, "{all}");
        };
        check("kube_pod_info", &pod, &[], Some(Way::Objects));
        check("kube_pod_info", &pod, &[("instance", "10.0.0.9:8080")], None);
        check("requests_total", &pod, &[], None);
        check("kube_pod_info", &[("namespace", "shop")], &[], None);
        check("node_load1", &node, &[], Some(Way::Sampled));
        check("node_load1", &node, &[("namespace", "monitoring")], None);
        check("node_load1", &node, &[("instance", "10.0.0.1:9100")], None);
        check("up", &[("job", "kubelet"), ("metrics_path", "/metrics")], &[], None);
    }
}
