//! `kubectl proxy`: on a port of its choice, and on a socket in the file system.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    Shared,
    kubectl_every::{Session, Step, once, text},
};

const STEPS: &[Step] = &[("port 0", port_zero), ("socket", socket)];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "proxy", STEPS)
}

/// A running `kubectl proxy`, and what it said first.
struct Proxy {
    child: Child,
    said: String,
}

impl Proxy {
    fn start(session: &Session<'_>, flag: &str) -> Result<Self> {
        let mut child = session.command(&["proxy", flag]).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let out = child.stdout.take().context("piped");
        let mut proxy = Self { child, said: String::new() };
        BufReader::new(out?).read_line(&mut said)?;
        ensure!(said.starts_with("Starting to serve on "), "kubectl proxy {flag} says {said:?}");
        proxy.said = said;
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/api/` answers: the versions of the core group.
fn versions(mut stream: impl Read + Write) -> Result<()> {
    stream.write_all(b"GET /api/ HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{answer}");
    let found: Value = serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?;
    ensure!(found["kind"] == "APIVersions" && found["versions"][0] == "v1", "{found}");
    Ok(())
}

fn port_zero(session: &Session<'_>) -> Result<()> {
    let proxy = Proxy::start(session, "--port=0")?;
    let address = proxy.said.split_whitespace().last().unwrap_or_default();
    let stream = TcpStream::connect(address).with_context(|| format!("kubectl said {:?}", proxy.said))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    versions(stream)
}

fn socket(session: &Session<'_>) -> Result<()> {
    let path = session.file("proxy.sock");
    let _proxy = Proxy::start(session, &format!("--unix-socket={}", text(&path)))?;
    let stream = UnixStream::connect(&path)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    versions(stream)
}
