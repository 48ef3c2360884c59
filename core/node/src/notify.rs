//! Readiness told to whoever started us: systemd's notification protocol, one
//! datagram `READY=1` to the socket that `NOTIFY_SOCKET` names. The supervisor
//! of `tiphys up` listens the same way as systemd does.
//! Source: sd_notify(3).

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

const VARIABLE: &str = "NOTIFY_SOCKET";
const READY: &[u8] = b"READY=1";

/// Tells that this process does its work. Without a listener nothing happens.
pub fn ready() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(READY, Path::new(&path)));
    if let Err(error) = sent {
        tracing::warn!(%error, "readiness could not be told");
    }
}

/// Where one started process tells its readiness.
pub struct Listener {
    socket: tokio::net::UnixDatagram,
    path: PathBuf,
}

impl Listener {
    /// A socket at `path`; an old one is replaced.
    ///
    /// # Errors
    /// The file system's, or a path of more than 107 bytes.
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { socket: tokio::net::UnixDatagram::bind(&path)?, path })
    }

    /// What the started process finds in its environment.
    pub fn variable(&self) -> (&'static str, &Path) {
        (VARIABLE, &self.path)
    }

    /// Resolves when the process is ready.
    ///
    /// # Errors
    /// It was not within `limit`.
    pub async fn wait(&self, limit: Duration) -> io::Result<()> {
        let told = async {
            let mut message = [0; 512];
            loop {
                let length = self.socket.recv(&mut message).await?;
                if message[..length].split(|byte| *byte == b'\n').any(|line| line == READY) {
                    return Ok(());
                }
            }
        };
        let late =
            |_| io::Error::new(io::ErrorKind::TimedOut, format!("not ready within {} s", limit.as_secs()));
        tokio::time::timeout(limit, told).await.map_err(late)?
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Left behind, it would only be replaced by the next one.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_is_heard_among_other_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = Listener::bind(folder.path().join("notify")).expect("bound");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.send_to(b"STATUS=starting", folder.path().join("notify")).expect("sent");
        socket.send_to(b"STATUS=up\nREADY=1", folder.path().join("notify")).expect("sent");
        listener.wait(Duration::from_secs(120)).await.expect("ready");
    }
}
