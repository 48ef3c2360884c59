//! One probe or hook, carried out.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tiphys_runtime::cri::Cri;
use tokio::net::TcpStream;

use super::{grpc, http};

/// How a container instance is reached.
#[derive(Clone)]
pub(crate) struct Target {
    pub cri: Cri,
    pub container_id: String,
    /// The Pod's address, or the node's for a Pod in its network.
    pub ip: String,
}

/// `Err` says what was wrong, for an event. The caller sets the limit of time;
/// the one given here ends a command in the container.
pub(super) async fn run_probe(
    target: &Target,
    container: &Container,
    probe: &Probe,
    limit: Duration,
) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        return command(target, exec.command.clone().unwrap_or_default(), limit).await;
    }
    if let Some(get) = &probe.http_get {
        return http_get(target, container, get).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.ip);
        return connect(host, port(container, &tcp.port)?).await.map(drop);
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).map_err(|_| format!("port {} is none", grpc.port))?;
        let stream = connect(&target.ip, port).await?;
        return grpc::check(stream, grpc.service.as_deref().unwrap_or_default()).await;
    }
    Err("the probe has no action".into())
}

/// A postStart or preStop hook.
pub(crate) async fn run_handler(
    target: &Target,
    container: &Container,
    handler: &LifecycleHandler,
    limit: Duration,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        return command(target, exec.command.clone().unwrap_or_default(), limit).await;
    }
    if let Some(get) = &handler.http_get {
        return http_get(target, container, get).await;
    }
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(sleep.seconds.unsigned_abs()).min(limit)).await;
        return Ok(());
    }
    Ok(())
}

async fn command(target: &Target, command: Vec<String>, limit: Duration) -> Result<(), String> {
    let answer = target.cri.exec_sync(&target.container_id, command, limit).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.exit_code == 0 {
        return Ok(());
    }
    let mut said = answer.stdout;
    said.extend(answer.stderr);
    said.truncate(http::MAX_SAID);
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(if said.is_empty() { format!("exit code {}", answer.exit_code) } else { said })
}

async fn http_get(target: &Target, container: &Container, get: &HTTPGetAction) -> Result<(), String> {
    let host = get.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.ip);
    let port = port(container, &get.port)?;
    let headers = get.http_headers.iter().flatten();
    let headers = headers.map(|header| (header.name.clone(), header.value.clone())).collect();
    let request = http::Get {
        tls: get.scheme.as_deref() == Some("HTTPS"),
        host: host.to_owned(),
        port,
        path: get.path.clone().unwrap_or_else(|| "/".into()),
        headers,
    };
    http::get(connect(host, port).await?, request).await
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))
}

/// A number, or the name of one of the container's ports.
fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports
                .filter(|port| port.name.as_deref() == Some(name))
                .map(|port| port.container_port)
                .next();
            match named.or_else(|| name.parse().ok()) {
                Some(number) => number,
                None => return Err(format!("the container has no port named {name:?}")),
            }
        }
    };
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("{number} is no port"))
}
