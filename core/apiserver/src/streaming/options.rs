//! The query parameters of the streaming subresources, and the kubelet's paths
//! made from them. Pure.

use form_urlencoded::Serializer;
use serde_json::json;

use crate::authz::Refusal;

/// PodLogOptions, as checked parameters for the kubelet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub container: String,
    parameters: Vec<(&'static str, String)>,
}

/// PodExecOptions and PodAttachOptions.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecOptions {
    pub container: String,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
    pub command: Vec<String>,
}

impl LogOptions {
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let key: &'static str = match &*key {
                "container" => {
                    options.container = value.into_owned();
                    continue;
                }
                "follow" => "follow",
                "previous" => "previous",
                "timestamps" => "timestamps",
                "sinceSeconds" => "sinceSeconds",
                "sinceTime" => "sinceTime",
                "tailLines" => "tailLines",
                "limitBytes" => "limitBytes",
                "stream" => "stream",
                _ => continue,
            };
            if let Some(value) = checked(key, &value)? {
                options.parameters.push((key, value));
            }
        }
        let has = |name: &str| options.parameters.iter().any(|(key, _)| *key == name);
        if has("sinceSeconds") && has("sinceTime") {
            let why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
            return Err(invalid("PodLogOptions", "sinceSeconds", why));
        }
        Ok(options)
    }

    /// The kubelet's path for the log of `container`.
    pub fn path(&self, namespace: &str, pod: &str, container: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        with_query(format!("/containerLogs/{namespace}/{pod}/{container}"), &query.finish())
    }
}

/// The value as the kubelet is to get it, `None` when it says nothing.
fn checked(key: &'static str, value: &str) -> Result<Option<String>, Refusal> {
    let at_least = match key {
        "follow" | "previous" | "timestamps" => return Ok(flag(value).then(|| "true".to_owned())),
        "sinceTime" => {
            let time: jiff::Timestamp = value
                .parse()
                .map_err(|_| Refusal::bad_request(format!("sinceTime {value:?} is not an RFC 3339 time")))?;
            return Ok(Some(time.to_string()));
        }
        "stream" => {
            let known = matches!(value, "All" | "Stdout" | "Stderr");
            let why =
                format!("Unsupported value: {value:?}: supported values: \"All\", \"Stderr\", \"Stdout\"");
            return if known {
                Ok(Some(value.into()))
            } else {
                Err(invalid("PodLogOptions", "stream", &why))
            };
        }
        "tailLines" => 0,
        _ => 1,
    };
    let number: i64 =
        value.parse().map_err(|_| Refusal::bad_request(format!("{key} {value:?} is not a whole number")))?;
    if number < at_least {
        let why = format!("Invalid value: {number}: must be greater than or equal to {at_least}");
        return Err(invalid("PodLogOptions", key, &why));
    }
    Ok(Some(number.to_string()))
}

impl ExecOptions {
    pub fn parse(query: &str) -> Self {
        let mut options = Self {
            container: String::new(),
            stdin: false,
            stdout: true,
            stderr: true,
            tty: false,
            command: Vec::new(),
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "container" => options.container = value.into_owned(),
                "command" => options.command.push(value.into_owned()),
                "stdin" => options.stdin = flag(&value),
                "stdout" => options.stdout = flag(&value),
                "stderr" => options.stderr = flag(&value),
                "tty" => options.tty = flag(&value),
                _ => {}
            }
        }
        // A terminal has one output.
        options.stderr &= !options.tty;
        options
    }

    /// Checks what exec needs; attach needs no command.
    pub fn check(&self, kind: &str) -> Result<(), Refusal> {
        if kind == "exec" && self.command.is_empty() {
            return Err(invalid("PodExecOptions", "command", "Required value"));
        }
        if !(self.stdin || self.stdout || self.stderr) {
            return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(())
    }

    /// The kubelet's path: `kind` is `exec` or `attach`.
    pub fn path(&self, kind: &str, namespace: &str, pod: &str, container: &str) -> String {
        let mut query = Serializer::new(String::new());
        let wanted =
            [("input", self.stdin), ("output", self.stdout), ("error", self.stderr), ("tty", self.tty)];
        for (name, _) in wanted.iter().filter(|(_, on)| *on) {
            query.append_pair(name, "1");
        }
        for word in &self.command {
            query.append_pair("command", word);
        }
        with_query(format!("/{kind}/{namespace}/{pod}/{container}"), &query.finish())
    }
}

/// The kubelet's path for forwarding ports of a Pod.
pub fn port_forward_path(namespace: &str, pod: &str) -> String {
    format!("/portForward/{namespace}/{pod}")
}

/// The same over channels of a WebSocket, which are of the ports in `query`: `ports=80,443`.
pub fn port_channels_path(namespace: &str, pod: &str, query: &str) -> Result<String, Refusal> {
    let mut ports = Vec::new();
    for (_, list) in form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "ports") {
        for port in list.split(',') {
            match port.parse::<u16>() {
                Ok(1..) => ports.push(port.to_owned()),
                _ => return Err(Refusal::bad_request(format!("{port:?} is not a port"))),
            }
        }
    }
    if ports.is_empty() {
        return Err(Refusal::bad_request("at least one port must be asked for, as ?ports=80"));
    }
    let mut wanted = Serializer::new(String::new());
    wanted.append_pair("port", &ports.join(","));
    Ok(with_query(port_forward_path(namespace, pod), &wanted.finish()))
}

fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// As the API reads a boolean parameter: anything but `false` and `0` is true.
fn flag(value: &str) -> bool {
    !(value == "0" || value.eq_ignore_ascii_case("false"))
}

fn invalid(kind: &str, field: &str, why: &str) -> Refusal {
    let mut refusal = Refusal::new(422, "Invalid", format!("{kind} \"\" is invalid: {field}: {why}"));
    let reason = if why == "Required value" { "FieldValueRequired" } else { "FieldValueInvalid" };
    refusal.details =
        Some(json!({ "kind": kind, "causes": [{ "reason": reason, "message": why, "field": field }] }));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(query: &str) -> Result<String, u16> {
        let options = LogOptions::parse(query).map_err(|refusal| refusal.code)?;
        Ok(options.path("ns", "web", "c"))
    }

    #[test]
    fn log_parameters_reach_the_kubelet() {
        assert_eq!(log("").unwrap(), "/containerLogs/ns/web/c");
        assert_eq!(
            log("container=c&follow=true&previous=false&timestamps=1&tailLines=0&limitBytes=9&pretty=1")
                .unwrap(),
            "/containerLogs/ns/web/c?follow=true&timestamps=true&tailLines=0&limitBytes=9"
        );
        assert_eq!(
            log("sinceTime=2026-01-02T03:04:05%2B01:00").unwrap(),
            "/containerLogs/ns/web/c?sinceTime=2026-01-02T02%3A04%3A05Z"
        );
        assert_eq!(log("sinceSeconds=0"), Err(422));
        assert_eq!(log("tailLines=-1"), Err(422));
        assert_eq!(log("tailLines=x"), Err(400));
        assert_eq!(log("sinceTime=yesterday"), Err(400));
        assert_eq!(log("sinceSeconds=5&sinceTime=2026-01-02T03:04:05Z"), Err(422));
        assert_eq!(log("stream=Both"), Err(422));
    }

    #[test]
    fn ports_of_channels_reach_the_kubelet() {
        let path = |query| port_channels_path("ns", "web", query).map_err(|refusal| refusal.code);
        assert_eq!(path("ports=80").as_deref(), Ok("/portForward/ns/web?port=80"));
        assert_eq!(path("&ports=80%2C1234&ports=9").as_deref(), Ok("/portForward/ns/web?port=80%2C1234%2C9"));
        for wrong in ["", "ports=", "ports=0", "ports=65536", "ports=80,x"] {
            assert_eq!(path(wrong), Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn exec_parameters_reach_the_kubelet() {
        let options = ExecOptions::parse("command=sh&command=-c&command=echo+%26&stdin=true&container=c");
        assert!(options.check("exec").is_ok());
        assert_eq!(
            options.path("exec", "ns", "web", "c"),
            "/exec/ns/web/c?input=1&output=1&error=1&command=sh&command=-c&command=echo+%26"
        );
        let terminal = ExecOptions::parse("stdin=1&tty=1&stderr=1");
        assert_eq!(terminal.path("attach", "ns", "web", "c"), "/attach/ns/web/c?input=1&output=1&tty=1");
        assert!(terminal.check("attach").is_ok());
        assert_eq!(terminal.check("exec").unwrap_err().code, 422);
        let silent = ExecOptions::parse("stdout=false&stderr=false&command=true");
        assert_eq!(silent.check("exec").unwrap_err().code, 400);
    }
}
