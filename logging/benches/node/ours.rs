//! The collector, in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tiphys_lifecycle::Tasks;
use tiphys_logging::collector::{self, Config};

use crate::{
    Result,
    process::{Process, bytes_below},
    rounds::{Round, namespace, pod},
};

const TOKEN: &str = "bench";

/// What the child process does, until it is killed.
pub fn collect(folder: &Path) -> Result<()> {
    let mut config = Config::new("bench", ([127, 0, 0, 1], 0).into(), TOKEN);
    config.pods_dir = folder.join("pods");
    config.data_dir = folder.join("data");
    config.commit_after = Duration::from_secs(5);
    config.retention.bytes = u64::MAX;
    config.retention.age = Duration::from_secs(100 * 365 * 86_400);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let tasks = Tasks::new();
        let running = collector::run(config, None, &tasks).await?;
        println!("{}", running.address);
        Err(tasks.failed().await.into())
    })
}

pub struct Ours {
    folder: PathBuf,
    process: Process,
    address: String,
    http: reqwest::blocking::Client,
    /// Seconds of processor time and of the clock that ingest took.
    pub cpu: f64,
    pub wall: f64,
    /// Megabytes resident before there is a stream.
    pub empty: f64,
    peak: f64,
}

impl Ours {
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("pods"))?;
        let (process, address) = spawn(folder)?;
        let http = reqwest::blocking::Client::builder().timeout(Duration::from_secs(120)).build()?;
        let mut ours = Self {
            folder: folder.to_owned(),
            process,
            address,
            http,
            cpu: 0.0,
            wall: 0.0,
            empty: 0.0,
            peak: 0.0,
        };
        ours.stored()?;
        ours.empty = ours.process.memory("VmRSS")?;
        Ok(ours)
    }

    /// A new process on the same data.
    pub fn restart(&mut self) -> Result<()> {
        self.peak = self.peak.max(self.process.memory("VmHWM")?);
        self.process.0.kill()?;
        self.process.0.wait()?;
        crate::process::drop_file_cache();
        (self.process, self.address) = spawn(&self.folder)?;
        self.stored().map(drop)
    }

    /// Moves the round's files where the kubelet would have them, and waits until all are durable.
    pub fn ingest(&mut self, round: &Round) -> Result<()> {
        let (cpu, started) = (self.process.cpu()?, Instant::now());
        for (stream, file) in files(round)? {
            let name = format!("{}_{}_uid-{stream}", namespace(stream), pod(stream));
            let folder = self.folder.join("pods").join(name).join("app");
            fs::create_dir_all(&folder)?;
            let current = folder.join("0.log");
            if current.exists() {
                fs::rename(&current, folder.join(format!("0.log.{:012}", round.records)))?;
            }
            fs::rename(file, current)?;
        }
        while self.stored()? < round.records as u64 {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.cpu += self.process.cpu()? - cpu;
        self.wall += started.elapsed().as_secs_f64();
        // What is acknowledged may go, as the kubelet would remove it.
        for pod in fs::read_dir(self.folder.join("pods"))? {
            for file in fs::read_dir(pod?.path().join("app"))?.flatten() {
                if file.file_name().to_string_lossy().starts_with("0.log.") {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }

    /// Records that are durable.
    fn stored(&self) -> Result<u64> {
        let text = self.request("GET", "/metrics", String::new())?;
        let line = text.lines().find_map(|line| line.strip_prefix("tiphys_logs_stored_records "));
        Ok(line.ok_or("the metric is missing")?.parse()?)
    }

    /// Until merges are through.
    pub fn settle(&mut self) -> Result<()> {
        let cpu = self.process.cpu()?;
        let mut last = (cpu, Instant::now());
        while last.1.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.process.cpu()?;
            if now - last.0 > 0.05 {
                last = (now, Instant::now());
            }
        }
        self.cpu += self.process.cpu()? - cpu;
        Ok(())
    }

    /// Megabytes resident with all streams and nothing to do: of the process that took them in, and
    /// of a new one. To be called when all is settled.
    pub fn at_rest(&mut self) -> Result<[f64; 2]> {
        let after_ingest = self.process.memory("VmRSS")?;
        self.restart()?;
        self.settle()?;
        Ok([after_ingest, self.process.memory("VmRSS")?])
    }

    pub fn peak(&self) -> Result<f64> {
        Ok(self.peak.max(self.process.memory("VmHWM")?))
    }

    pub fn disk(&self) -> Result<u64> {
        bytes_below(&self.folder.join("data"))
    }

    pub fn post(&self, path: &str, body: serde_json::Value) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.request("POST", path, body.to_string())?)?)
    }

    pub fn log_file(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("pods").join(format!("team-0_{name}_uid-{name}")).join("app");
        fs::create_dir_all(&folder)?;
        Ok(folder.join("0.log"))
    }

    fn request(&self, method: &str, path: &str, body: String) -> Result<String> {
        let url = format!("http://{}{path}", self.address);
        let request = self.http.request(method.parse()?, url).bearer_auth(TOKEN);
        let response = request.header("content-type", "application/json").body(body).send()?;
        let status = response.status();
        let text = response.text()?;
        if status.is_success() { Ok(text) } else { Err(format!("{path}: {status}: {text}").into()) }
    }
}

fn spawn(folder: &Path) -> Result<(Process, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env("TIPHYS_BENCH_COLLECT", folder).stdout(Stdio::piped());
    let mut process = Process(command.spawn()?);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().ok_or("stdout was piped")?).read_line(&mut line)?;
    Ok((process, line.trim().to_owned()))
}

/// The round's files by stream.
fn files(round: &Round) -> Result<Vec<(usize, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(&round.cri)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a name")?;
        files.push((stem.parse()?, path.clone()));
    }
    Ok(files)
}
