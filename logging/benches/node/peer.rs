//! VictoriaLogs, from the binary that `VICTORIA_LOGS` names.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Result,
    process::{Process, bytes_below},
    rounds::Round,
};

pub struct Peer {
    binary: PathBuf,
    folder: PathBuf,
    process: Process,
    address: String,
    http: reqwest::blocking::Client,
    pub cpu: f64,
    pub wall: f64,
    peak: f64,
}

impl Peer {
    pub fn start(binary: PathBuf, folder: &Path) -> Result<Self> {
        let http = reqwest::blocking::Client::builder().timeout(None).build()?;
        let (process, address) = spawn(&binary, folder, &http)?;
        Ok(Self { binary, folder: folder.to_owned(), process, address, http, cpu: 0.0, wall: 0.0, peak: 0.0 })
    }

    pub fn restart(&mut self) -> Result<()> {
        self.peak = self.peak.max(self.process.memory("VmHWM")?);
        // It writes what it has in memory at SIGTERM only.
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.process.0.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        )?;
        self.process.0.wait()?;
        crate::process::drop_file_cache();
        (self.process, self.address) = spawn(&self.binary, &self.folder, &self.http)?;
        Ok(())
    }

    /// Sends the round in one request, as its own importers do.
    pub fn ingest(&mut self, round: &Round) -> Result<()> {
        let (cpu, started) = (self.process.cpu()?, Instant::now());
        let url = format!("http://{}/insert/jsonline?_stream_fields=namespace,pod", self.address);
        let response = self.http.post(url).body(File::open(&round.json)?).send()?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("VictoriaLogs answered {status}: {}", response.text()?).into());
        }
        self.http.get(format!("http://{}/internal/force_flush", self.address)).send()?.error_for_status()?;
        self.cpu += self.process.cpu()? - cpu;
        self.wall += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Until it has merged; gives its bytes on disk.
    pub fn settle(&mut self) -> Result<u64> {
        let cpu = self.process.cpu()?;
        let mut last = (cpu, Instant::now());
        while last.1.elapsed() < Duration::from_secs(8) {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.process.cpu()?;
            if now - last.0 > 0.05 {
                last = (now, Instant::now());
            }
        }
        self.cpu += self.process.cpu()? - cpu;
        bytes_below(&self.folder)
    }

    pub fn peak(&self) -> Result<f64> {
        Ok(self.peak.max(self.process.memory("VmHWM")?))
    }

    /// The answer's text.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String> {
        let response = self.http.get(format!("http://{}{path}", self.address)).query(query).send()?;
        let status = response.status();
        let text = response.text()?;
        if status.is_success() { Ok(text) } else { Err(format!("{path}: {status}: {text}").into()) }
    }
}

fn spawn(binary: &Path, folder: &Path, http: &reqwest::blocking::Client) -> Result<(Process, String)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new(binary);
    command
        .arg(format!("-storageDataPath={}", folder.display()))
        .arg(format!("-httpListenAddr={address}"))
        .args(["-retentionPeriod=100y", "-loggerLevel=ERROR", "-search.maxQueryDuration=10m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = Process(command.spawn()?);
    let deadline = Instant::now() + Duration::from_secs(60);
    while http.get(format!("http://{address}/health")).send().is_err() {
        if Instant::now() > deadline {
            return Err("VictoriaLogs does not start".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((process, address))
}
