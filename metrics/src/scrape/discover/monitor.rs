//! A monitor's endpoint as a job. Pure.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::spec::{Endpoint, KeyOf, Monitor, SecretOrConfigMap};
use crate::{
    prometheus_operator::duration,
    scrape::{
        access::{Access, Kept},
        expose::Format,
        relabel,
        target::{Job, Reach, Taking},
    },
};

pub const INTERVAL: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(10);
/// No target is asked more often.
const SHORTEST: Duration = Duration::from_secs(1);
pub const BODY_LIMIT: usize = 128 << 20;

/// What may be written and changes nothing here: which of two ways an operator goes to the same
/// targets, and how many dropped ones a server remembers.
const WITHOUT_EFFECT: [&str; 4] =
    ["selectorMechanism", "serviceDiscoveryRole", "keepDroppedTargets", "enableHttp2"];

/// Understands a spec.
///
/// # Errors
/// What is wrong with it.
pub fn read(written: &Map<String, Value>) -> Result<Monitor, String> {
    serde_json::from_value(Value::Object(written.clone()))
        .map_err(|error| format!("the spec is wrong: {error}"))
}

/// The job of an endpoint.
///
/// # Errors
/// What can't be done as it is written.
pub fn job(
    name: String,
    namespace: &str,
    bound: bool,
    written: &Map<String, Value>,
    monitor: &Monitor,
    endpoint: &Endpoint,
) -> Result<Job, String> {
    let interval = endpoint.interval.as_deref().filter(|text| !text.is_empty());
    let interval = interval.map_or(Ok(INTERVAL), duration::parse)?.max(SHORTEST);
    let timeout = endpoint.scrape_timeout.as_deref().filter(|text| !text.is_empty());
    let timeout = timeout.map_or(Ok(TIMEOUT), duration::parse)?;
    let relabelings =
        relabel::Rule::all(&endpoint.relabelings).map_err(|why| format!("relabelings: {why}"))?;
    let taking = Taking {
        honor_labels: endpoint.honor_labels,
        ignore_timestamps: endpoint.honor_timestamps == Some(false),
        ends_timed: endpoint.track_timestamps_staleness,
        relabelings: relabel::Rule::all(&endpoint.metric_relabelings)
            .map_err(|why| format!("metricRelabelings: {why}"))?,
        sample_limit: monitor.sample_limit,
        label_limit: monitor.label_limit,
        label_name_limit: monitor.label_name_length_limit,
        label_value_limit: monitor.label_value_length_limit,
        namespace: bound.then(|| namespace.to_owned()),
    };
    let first = monitor.scrape_protocols.first().map(String::as_str);
    Ok(Job {
        written: format!("{name} {bound} {}", Value::Object(written.clone())),
        name,
        interval,
        timeout: timeout.min(interval),
        relabelings,
        taking: Arc::new(taking),
        reach: Reach::Network(Box::new(access(namespace, endpoint)?)),
        protobuf: monitor.scrape_native_histograms || first == Some("PrometheusProto"),
        fallback: fallback(monitor.fallback_scrape_protocol.as_deref())?,
        body_limit: body_limit(monitor.body_size_limit.as_deref())?,
        target_limit: monitor.target_limit,
        pinned: false,
        more_parameters: more_parameters(endpoint),
    })
}

/// What is written in a monitor, or for one of its endpoints, and not done: the targets are scraped
/// without it. Of what says nothing, such as `false`, nothing is told.
pub fn not_done(monitor: &Monitor, endpoint: &Endpoint) -> Vec<String> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) => true,
    };
    let of = |prefix: &'static str, rest: &Map<String, Value>| -> Vec<String> {
        let told =
            rest.iter().filter(|(name, value)| says(value) && !WITHOUT_EFFECT.contains(&name.as_str()));
        told.map(|(name, _)| format!("{prefix}{name} is not done: the targets are scraped without it"))
            .collect()
    };
    let mut all = of("", &monitor.rest);
    all.extend(of("attachMetadata.", &monitor.attach_metadata.rest));
    all.extend(of("", &endpoint.rest));
    all
}

/// How an answer is read that says of no format that it is in it.
fn fallback(protocol: Option<&str>) -> Result<Format, String> {
    match protocol {
        None | Some("" | "PrometheusText0.0.4" | "PrometheusText1.0.0") => Ok(Format::Plain),
        Some("OpenMetricsText0.0.1" | "OpenMetricsText1.0.0") => Ok(Format::OpenMetrics),
        Some("PrometheusProto") => Ok(Format::Protobuf),
        Some(other) => Err(format!("fallbackScrapeProtocol {other:?} is no protocol")),
    }
}

fn more_parameters(endpoint: &Endpoint) -> Vec<(String, String)> {
    let more = |(name, values): (&String, &Vec<String>)| {
        let name = name.clone();
        values.clone().into_iter().skip(1).map(move |value| (name.clone(), value))
    };
    endpoint.params.iter().flat_map(more).collect()
}

fn body_limit(text: Option<&str>) -> Result<usize, String> {
    let Some(text) = text.filter(|text| !text.is_empty() && *text != "0") else { return Ok(BODY_LIMIT) };
    let wrong = || format!("bodySizeLimit {text:?} is no size, such as 10MB");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "B" | "" => 1,
        "KB" | "KiB" => 1 << 10,
        "MB" | "MiB" => 1 << 20,
        "GB" | "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    Ok(number.checked_mul(unit).ok_or_else(wrong)?.min(BODY_LIMIT))
}

fn access(namespace: &str, endpoint: &Endpoint) -> Result<Access, String> {
    if !endpoint.bearer_token_file.is_empty() {
        return Err("bearerTokenFile names a file of the server, and none is read: \
            use authorization.credentials"
            .to_owned());
    }
    if endpoint.oauth2.is_some() || endpoint.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
        return Err("oauth2 and proxyUrl are not done".to_owned());
    }
    let kept = |is_secret, key: &KeyOf| Kept {
        namespace: namespace.to_owned(),
        is_secret,
        name: key.name.clone(),
        key: key.key.clone(),
    };
    let either = |place: &SecretOrConfigMap| {
        let secret = place.secret.as_ref().map(|key| kept(true, key));
        secret.or_else(|| place.config_map.as_ref().map(|key| kept(false, key)))
    };
    let mut access = Access { no_redirects: endpoint.follow_redirects == Some(false), ..Access::default() };
    if let Some(key) = endpoint.bearer_token_secret.as_ref().filter(|key| !key.name.is_empty()) {
        access.token = Some(("Bearer".to_owned(), kept(true, key)));
    }
    if let Some(authorization) = &endpoint.authorization
        && let Some(key) = &authorization.credentials
    {
        let scheme = if authorization.scheme.is_empty() { "Bearer" } else { &authorization.scheme };
        access.token = Some((scheme.to_owned(), kept(true, key)));
    }
    if let Some(basic) = &endpoint.basic_auth {
        let password = Some(&basic.password).filter(|key| !key.name.is_empty());
        access.basic = Some((kept(true, &basic.username), password.map(|key| kept(true, key))));
    }
    if let Some(tls) = &endpoint.tls_config {
        if [&tls.ca_file, &tls.cert_file, &tls.key_file].iter().any(|file| !file.is_empty()) {
            return Err("files of tlsConfig are the server's, and none is read: use ca, cert and keySecret"
                .to_owned());
        }
        access.authority = either(&tls.ca);
        access.certificate = either(&tls.cert).zip(tls.key_secret.as_ref().map(|key| kept(true, key)));
        access.server_name = tls.server_name.clone().filter(|name| !name.is_empty());
        access.any_server = tls.insecure_skip_verify;
    }
    Ok(access)
}

/// The namespaces that a monitor looks into; none: all.
pub fn namespaces<'a>(monitor: &'a Monitor, own: &'a str) -> Option<Vec<&'a str>> {
    match (monitor.namespace_selector.any, monitor.namespace_selector.match_names.as_slice()) {
        (true, _) => None,
        (false, []) => Some(vec![own]),
        (false, names) => Some(names.iter().map(String::as_str).collect()),
    }
}
