//! An S3 server for one test: versitygw, a gateway that speaks S3 over a folder, on a
//! free port of loopback. It checks signatures as S3 does.
//!
//! It hangs on a pipe of this process, so that it doesn't outlive it, however it ends.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{clients, eventually};

const ACCESS_KEY: &str = "archivist";
const SECRET_KEY: &str = "not-much-of-a-secret";
/// Runs a program until the standard input ends.
const LEASH: &str = r#""$@" & read -r _; kill -9 $!; wait $!"#;
/// Other tests look for free ports too: one may be taken between the search and its use.
const ATTEMPTS: usize = 5;

pub struct S3Server {
    folder: tempfile::TempDir,
    port: u16,
    leash: Child,
}

impl S3Server {
    /// With one empty bucket; answers when this returns.
    pub fn start(bucket: &str) -> Result<Self> {
        let program = clients::versitygw()?;
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir()?;
            let buckets = folder.path().join("buckets");
            fs::create_dir_all(buckets.join(bucket))?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            drop(listener);
            let log = File::create(folder.path().join("log"))?;
            let mut command = Command::new("sh");
            command.args(["-c", LEASH, "sh"]).arg(&program);
            command.args(["--quiet", "--access", ACCESS_KEY, "--secret", SECRET_KEY]);
            command.arg("--port").arg(format!("127.0.0.1:{port}")).arg("posix").arg(&buckets);
            command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
            let leash = command.spawn().context("a shell")?;
            let server = Self { folder, port, leash };
            let answers = eventually(Duration::from_secs(30), || {
                ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(), "no connection");
                Ok(())
            });
            if answers.is_ok() {
                return Ok(server);
            }
            eprintln!("{}", fs::read_to_string(server.folder.path().join("log")).unwrap_or_default());
        }
        bail!("the S3 server does not start")
    }

    /// What its clients find in their environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let pairs = [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Where a bucket's objects are files.
    pub fn bucket(&self, bucket: &str) -> PathBuf {
        self.folder.path().join("buckets").join(bucket)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        // It ends with its leash.
        let _ = self.leash.wait();
    }
}
