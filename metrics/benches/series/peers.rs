//! The servers that are measured, each a process on loopback that takes remote write and
//! answers PromQL.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Result,
    process::{Process, bytes_below, drop_file_cache},
    questions::Question,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Prometheus,
    VictoriaMetrics,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "tiphys",
            Self::Prometheus => "Prometheus",
            Self::VictoriaMetrics => "VictoriaMetrics",
        }
    }

    fn command(self, binary: &Path, folder: &Path, address: &str) -> Result<Command> {
        let mut command = Command::new(binary);
        match self {
            Self::Ours => {
                command.env("TIPHYS_BENCH_SERVE", folder).env("TIPHYS_BENCH_ADDRESS", address);
            }
            Self::Prometheus => {
                let config = folder.join("prometheus.yml");
                std::fs::write(&config, "global: {}\n")?;
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                    .arg(format!("--web.listen-address={address}"))
                    .args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100d"])
                    .args(["--query.max-samples=1000000000", "--log.level=error"]);
            }
            Self::VictoriaMetrics => {
                command
                    .arg(format!("-storageDataPath={}", folder.join("data").display()))
                    .arg(format!("-httpListenAddr={address}"))
                    .args([
                        "-retentionPeriod=100d",
                        "-loggerLevel=ERROR",
                        "-search.disableCache",
                        "-search.maxUniqueTimeseries=10000000",
                    ])
                    .args(["-search.latencyOffset=0s"]);
            }
        }
        Ok(command)
    }

    /// Its routes for writing and asking.
    fn paths(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("/prometheus/api/v1/write", "/prometheus/api/v1"),
            Self::Prometheus | Self::VictoriaMetrics => ("/api/v1/write", "/api/v1"),
        }
    }
}

pub struct Server {
    pub kind: Kind,
    binary: PathBuf,
    folder: PathBuf,
    process: Process,
    address: String,
    http: reqwest::blocking::Client,
    /// Seconds of a core that writing took.
    pub cpu: f64,
    peak: f64,
}

impl Server {
    pub fn start(kind: Kind, binary: PathBuf, folder: &Path) -> Result<Self> {
        let folder = folder.join(kind.name());
        std::fs::create_dir_all(&folder)?;
        let http = reqwest::blocking::Client::builder().timeout(None).build()?;
        let (process, address) = spawn(kind, &binary, &folder, &http)?;
        Ok(Self { kind, binary, folder, process, address, http, cpu: 0.0, peak: 0.0 })
    }

    pub fn write(&mut self, body: &[u8]) -> Result<()> {
        let url = format!("http://{}{}", self.address, self.kind.paths().0);
        let request = self.http.post(url).header("content-encoding", "snappy").body(body.to_vec());
        let answer = request
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .header("x-tiphys-namespace", "*")
            .send()?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("{} answered {status}: {}", self.kind.name(), answer.text()?).into()),
        }
    }

    /// Until it rests, then anew with an empty file cache; gives its bytes on disk.
    pub fn settle(&mut self) -> Result<u64> {
        let mut last = (self.process.cpu()?, Instant::now());
        while last.1.elapsed() < Duration::from_secs(8) {
            std::thread::sleep(Duration::from_millis(200));
            let (now, elapsed) = (self.process.cpu()?, last.1.elapsed().as_secs_f64());
            // A peer that has nothing to do takes 2 % of a core all the same.
            if now - last.0 > 0.05 + 0.05 * elapsed {
                last = (now, Instant::now());
            }
        }
        self.cpu = self.process.cpu()?;
        self.peak = self.process.memory("VmHWM")?;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.process.0.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        )?;
        self.process.0.wait()?;
        let bytes = bytes_below(&self.folder)?;
        drop_file_cache();
        (self.process, self.address) = spawn(self.kind, &self.binary, &self.folder, &self.http)?;
        Ok(bytes)
    }

    /// Megabytes while it wrote.
    pub fn peak(&self) -> Result<f64> {
        Ok(self.peak)
    }

    /// Milliseconds of the first answer and of the median of the next, and the answer.
    pub fn ask(&self, question: &Question) -> Result<(f64, f64, Value)> {
        timed(|| self.once(question))
    }

    /// The same of a statement in SQL, which only ours answers, and how many rows that gives.
    pub fn ask_sql(&self, statement: &str) -> Result<(f64, f64, usize)> {
        let (cold, warm, answer) = timed(|| {
            let started = Instant::now();
            let url = format!("http://{}{}", self.address, crate::ours::SQL);
            let answer = self.http.post(url).body(statement.to_owned()).send()?;
            let (status, text) = (answer.status(), answer.text()?);
            let elapsed = started.elapsed().as_secs_f64() * 1e3;
            match status.is_success() {
                true => Ok((elapsed, text)),
                false => Err(format!("{status} to {statement}: {text}").into()),
            }
        })?;
        // Below the header.
        Ok((cold, warm, answer.lines().count().saturating_sub(1)))
    }

    fn once(&self, question: &Question) -> Result<(f64, Value)> {
        let base = format!("http://{}{}", self.address, self.kind.paths().1);
        let (from, to, step) = question.range;
        let mut form = vec![("query", question.query.to_owned())];
        let path = if from == to {
            form.push(("time", to.to_string()));
            "query"
        } else {
            form.extend([("start", from.to_string()), ("end", to.to_string()), ("step", step.to_string())]);
            "query_range"
        };
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let started = Instant::now();
        let answer = self
            .http
            .post(format!("{base}/{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()?;
        let (status, text) = (answer.status(), answer.text()?);
        let elapsed = started.elapsed().as_secs_f64() * 1e3;
        if !status.is_success() {
            return Err(
                format!("{} answered {status} to {}: {text}", self.kind.name(), question.query).into()
            );
        }
        Ok((elapsed, serde_json::from_str(&text)?))
    }
}

/// Asks with an empty file cache, and then again.
fn timed<T>(ask: impl Fn() -> Result<(f64, T)>) -> Result<(f64, f64, T)> {
    drop_file_cache();
    let (cold, answer) = ask()?;
    let mut warm = Vec::new();
    for _ in 0..5 {
        warm.push(ask()?.0);
    }
    warm.sort_by(f64::total_cmp);
    Ok((cold, warm[warm.len() / 2], answer))
}

fn spawn(
    kind: Kind,
    binary: &Path,
    folder: &Path,
    http: &reqwest::blocking::Client,
) -> Result<(Process, String)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let child =
        kind.command(binary, folder, &address)?.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let process = Process(child);
    let url = format!("http://{address}{}/labels", kind.paths().1);
    let started = Instant::now();
    // Prometheus reads its whole log before it answers.
    while !http.get(&url).send().is_ok_and(|answer| answer.status().is_success()) {
        if started.elapsed() > Duration::from_secs(300) {
            return Err(format!("{} does not answer", kind.name()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((process, address))
}
