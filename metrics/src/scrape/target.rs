//! What is scraped and how: a job (what several targets have in common) and a target.
//!
//! A target is made from discovered labels by the job's relabeling: `__address__`,
//! `__scheme__`, `__metrics_path__` and `__param_*` say where it is, what doesn't begin
//! with `__` is on all its series. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{access::Access, expose::Format, relabel};
use crate::series::{Labels, LabelsBuilder};

/// What the targets of one job have in common.
#[derive(Debug)]
pub struct Job {
    /// Such as `serviceMonitor/shop/web/0`.
    pub name: String,
    /// What it was made from: another text is another job.
    pub written: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub relabelings: Vec<relabel::Rule>,
    pub taking: Arc<Taking>,
    pub reach: Reach,
    /// Native histograms are asked for, which only protobuf has.
    pub protobuf: bool,
    /// What an answer is in that doesn't say so.
    pub fallback: Format,
    /// Bytes of a body, unpacked.
    pub body_limit: usize,
    /// Targets at most; 0: any number.
    pub target_limit: usize,
    /// Relabeling may not lead to another host than was discovered.
    pub pinned: bool,
    /// More values of a URL's parameters than the first, which is a label.
    pub more_parameters: Vec<(String, String)>,
}

/// By which way a target is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Over the network of Pods.
    Network(Box<Access>),
    /// A kubelet, by the server's own certificate.
    Kubelet,
    /// A component of this server, in memory.
    Own,
}

/// How samples are taken in.
#[derive(Debug, Clone, Default)]
pub struct Taking {
    pub honor_labels: bool,
    pub ignore_timestamps: bool,
    /// A series whose samples have times of their own ends like others when it is missing.
    pub ends_timed: bool,
    pub relabelings: Vec<relabel::Rule>,
    /// 0: no limit, as for those below.
    pub sample_limit: usize,
    pub label_limit: usize,
    pub label_name_limit: usize,
    pub label_value_limit: usize,
    /// All series are of this namespace, whatever the target says.
    pub namespace: Option<String>,
}

/// One place that is scraped.
#[derive(Debug)]
pub struct Target {
    pub job: Arc<Job>,
    pub url: String,
    pub labels: Labels,
    pub discovered: BTreeMap<String, String>,
}

impl Target {
    /// What makes it this target and no other.
    pub fn key(&self) -> (String, String, Labels) {
        (self.job.written.clone(), self.url.clone(), self.labels.clone())
    }

    /// A number that spreads the targets over their interval.
    pub fn spread(&self) -> u64 {
        let digest = md5::compute([self.labels.as_bytes(), self.url.as_bytes()].concat()).0;
        digest.first_chunk::<8>().map_or(0, |half| u64::from_be_bytes(*half))
    }
}

/// The target of discovered labels; none when the relabeling drops it.
///
/// # Errors
/// It has no address that can be asked.
pub fn target(job: &Arc<Job>, discovered: BTreeMap<String, String>) -> Result<Option<Target>, String> {
    let mut labels = LabelsBuilder::default();
    labels.set("job", &job.name);
    labels.set("__scheme__", "http");
    labels.set("__metrics_path__", "/metrics");
    discovered.iter().for_each(|(name, value)| labels.set(name, value));
    if !relabel::apply(&job.relabelings, &mut labels) {
        return Ok(None);
    }
    let of = |name| labels.get(name).unwrap_or_default();
    let (address, scheme, path) = (of("__address__"), of("__scheme__"), of("__metrics_path__"));
    if address.is_empty() || address.contains(['/', '@', '?', '#']) {
        return Err(format!("{address:?} is no address"));
    }
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(format!("{scheme:?} is neither http nor https"));
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = format!("{scheme}://{address}{slash}{path}");
    let mut url = url::Url::parse(&text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
    let found = discovered.get("__address__").map_or("", |address| host(address));
    if job.pinned && host(address) != found {
        return Err(format!(
            "relabeling leads from {found:?} to {address:?}, and the target is of another namespace"
        ));
    }
    let mut parameters: Vec<_> =
        labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("__param_")?, value))).collect();
    parameters.extend(job.more_parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    let address = address.to_owned();
    if of("instance").is_empty() {
        labels.set("instance", &address);
    }
    let kept = labels.iter().filter(|(name, _)| !name.starts_with("__"));
    let labels = Labels::new(kept);
    Ok(Some(Target { job: job.clone(), url: url.into(), labels, discovered }))
}

/// An address without its port.
fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub fn job(relabelings: serde_json::Value) -> Job {
        let written: Vec<relabel::Written> = serde_json::from_value(relabelings).expect("rules");
        Job {
            name: "test".into(),
            written: String::new(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            relabelings: relabel::Rule::all(&written).expect("rules"),
            taking: Arc::default(),
            reach: Reach::Network(Box::default()),
            protobuf: false,
            fallback: Format::Plain,
            body_limit: 1 << 20,
            target_limit: 0,
            pinned: false,
            more_parameters: Vec::new(),
        }
    }

    fn made(
        pairs: &[(&str, &str)],
        relabelings: serde_json::Value,
    ) -> Result<Option<(String, String)>, String> {
        let discovered = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let made = target(&Arc::new(job(relabelings)), discovered)?;
        Ok(made.map(|target| (target.url, target.labels.to_string())))
    }

    #[test]
    fn discovered_labels_say_where_a_target_is() {
        let pairs = [
            ("__address__", "10.0.0.1:80"),
            ("__meta_x", "y"),
            ("namespace", "shop"),
            ("__param_module", "a b"),
            ("__metrics_path__", "m"),
        ];
        let found = made(&pairs, json!([{"sourceLabels": ["__meta_x"], "targetLabel": "x"}]));
        assert_eq!(
            found.expect("valid").expect("kept"),
            (
                "http://10.0.0.1/m?module=a+b".to_owned(),
                r#"{instance="10.0.0.1:80", job="test", namespace="shop", x="y"}"#.to_owned()
            )
        );
        let rules = json!([{"action": "drop", "sourceLabels": ["__meta_x"], "regex": "y"}]);
        assert_eq!(made(&pairs, rules), Ok(None));
        assert!(made(&[], json!([])).is_err());
        assert!(made(&[("__address__", "a@b")], json!([])).is_err());
        assert!(made(&[("__address__", "a"), ("__scheme__", "file")], json!([])).is_err());
        for (scheme, url) in [("HTTPS", "https://a/metrics"), ("Http", "http://a/metrics")] {
            let found = made(&[("__address__", "a"), ("__scheme__", scheme)], json!([]));
            assert_eq!(found.expect("valid").expect("kept").0, url);
        }
    }
}
