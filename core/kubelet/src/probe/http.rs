//! An HTTP probe: any status from 200 to 399 is well. A server's certificate is
//! not looked at, as the API has it: the probe asks whether somebody answers.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// So much of what a container says goes into an event.
pub(super) const MAX_SAID: usize = 1024;

pub(super) struct Get {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

pub(super) async fn get(stream: TcpStream, get: Get) -> Result<(), String> {
    if !get.tls {
        return exchange(stream, get).await;
    }
    let name = ServerName::try_from(get.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(TLS.clone());
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    exchange(stream, get).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    get: Get,
) -> Result<(), String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let path = if get.path.starts_with('/') { get.path } else { format!("/{}", get.path) };
    let mut request = http::Request::get(&path);
    let given = |name: &str| get.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if !given("host") {
        request = request.header("host", format!("{}:{}", get.host, get.port));
    }
    if !given("user-agent") {
        request = request.header("user-agent", concat!("kube-probe/tiphys-", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in &get.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status();
        if (200..400).contains(&status.as_u16()) {
            return Ok(());
        }
        let _said = answer.into_body().frame().await;
        Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => return result,
        ended = connection => ended.map_err(text)?,
    }
    // The other side closed; its answer may have come before.
    exchange.await
}

static TLS: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| Arc::new(tiphys_tls::any_server().with_no_client_auth()));

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn asked(answer: &'static str) -> (Result<(), String>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("sent");
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let client = async {
            let stream = TcpStream::connect(address).await.expect("a server");
            let headers = vec![("X-Probe".to_owned(), "yes".to_owned())];
            let host = address.ip().to_string();
            get(stream, Get { tls: false, host, port: address.port(), path: "healthz?full".into(), headers })
                .await
        };
        let (request, result) = tokio::join!(server, client);
        (result, request)
    }

    #[tokio::test]
    async fn statuses_decide() {
        let (result, request) = asked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(result.is_ok());
        assert!(request.starts_with("GET /healthz?full HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("x-probe: yes"), "{request}");
        assert!(asked("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n").await.0.is_ok());
        let (result, _) = asked("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno").await;
        assert_eq!(result, Err("HTTP probe failed with statuscode: 503".into()));
    }
}
