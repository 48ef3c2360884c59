//! An S3 server for one test: versitygw, a gateway that speaks S3 over a folder, on a
//! free port of loopback. It checks signatures as S3 does.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Command,
};

use anyhow::{Result, bail};

use crate::{clients, leash::Leashed};

const ACCESS_KEY: &str = "archivist";
const SECRET_KEY: &str = "not-much-of-a-secret";
/// Other tests look for free ports too: one may be taken between the search and its use.
const ATTEMPTS: usize = 5;

pub struct S3Server {
    // It ends before its folder goes.
    _program: Leashed,
    folder: tempfile::TempDir,
    port: u16,
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
            let mut command = Command::new(&program);
            command.args(["--quiet", "--access", ACCESS_KEY, "--secret", SECRET_KEY]);
            command.arg("--port").arg(format!("127.0.0.1:{port}")).arg("posix").arg(&buckets);
            let started = Leashed::start(&command, log)?;
            if started.comes_to_listen(port) {
                return Ok(Self { _program: started, folder, port });
            }
            eprintln!("{}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
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
