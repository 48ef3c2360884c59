//! The autoscaler's decisions: kept in memory for queries, and in a file of JSON
//! lines that outlives the process.
//!
//! A line is appended for each decision; when the file has grown to twice what
//! is kept, it is written anew.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use parking_lot::RwLock;
use tiphys_api::decisions::Decision;
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt,
    sync::mpsc,
};

/// Decisions kept: about a week of one every 15 s for two autoscalers.
const KEPT: usize = 50_000;

pub struct Decisions {
    rows: RwLock<VecDeque<Decision>>,
    writer: mpsc::UnboundedSender<Decision>,
}

impl Decisions {
    /// Reads what is there and keeps the file from now on.
    ///
    /// # Errors
    /// The file can't be read or made. Lines that are no decision are passed over and counted.
    pub fn open(path: PathBuf, tasks: &Tasks) -> io::Result<std::sync::Arc<Self>> {
        let (rows, damaged) = read(&path)?;
        if damaged > 0 {
            tracing::warn!(path = %path.display(), damaged, "lines of the decisions' file can't be read");
        }
        let (writer, queue) = mpsc::unbounded_channel();
        let lines = rows.len() + damaged;
        let decisions = std::sync::Arc::new(Self { rows: RwLock::new(rows), writer });
        let keeper = Keeper { path, lines, decisions: decisions.clone() };
        tasks.spawn_draining("decisions", OnError::Log, move |stop| keeper.run(queue, stop));
        Ok(decisions)
    }

    /// Keeps a decision.
    pub fn record(&self, decision: Decision) {
        let mut rows = self.rows.write();
        if rows.len() == KEPT {
            rows.pop_front();
        }
        rows.push_back(decision.clone());
        drop(rows);
        if self.writer.send(decision).is_err() {
            tracing::debug!("the process ends; a decision is not written");
        }
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<Decision> {
        self.rows.read().iter().cloned().collect()
    }
}

fn read(path: &Path) -> io::Result<(VecDeque<Decision>, usize)> {
    let text = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut rows = VecDeque::new();
    let mut damaged = 0;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(decision) => rows.push_back(decision),
            Err(_) => damaged += 1,
        }
    }
    while rows.len() > KEPT {
        rows.pop_front();
    }
    Ok((rows, damaged))
}

struct Keeper {
    path: PathBuf,
    lines: usize,
    decisions: std::sync::Arc<Decisions>,
}

impl Keeper {
    async fn run(
        mut self,
        mut queue: mpsc::UnboundedReceiver<Decision>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let mut file = append_to(&self.path).await?;
        loop {
            let decision = tokio::select! {
                biased;
                decision = queue.recv() => decision,
                () = stop.cancelled() => None,
            };
            let Some(decision) = decision else { return file.sync_all().await };
            let mut line = serde_json::to_vec(&decision)?;
            line.push(b'\n');
            file.write_all(&line).await?;
            file.flush().await?;
            self.lines += 1;
            if self.lines > 2 * KEPT {
                file = self.write_anew().await?;
            }
        }
    }

    async fn write_anew(&mut self) -> io::Result<File> {
        let rows = self.decisions.all();
        let mut text = Vec::new();
        for row in &rows {
            serde_json::to_writer(&mut text, row)?;
            text.push(b'\n');
        }
        let temporary = self.path.with_extension("new");
        tokio::fs::write(&temporary, text).await?;
        tokio::fs::rename(&temporary, &self.path).await?;
        self.lines = rows.len();
        append_to(&self.path).await
    }
}

async fn append_to(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    OpenOptions::new().create(true).append(true).open(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn decisions_outlive_the_process_and_a_torn_line_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions.jsonl");
        let tasks = Tasks::new();
        let decisions = Decisions::open(path.clone(), &tasks).expect("opened");
        decisions.record(Decision { autoscaler: "web".into(), ..Decision::default() });
        tasks.shutdown(std::time::Duration::from_secs(5)).await;
        let mut text = std::fs::read(&path).expect("written");
        text.extend(b"{\"autoscaler\":\"to");
        std::fs::write(&path, text).expect("torn");
        let again = Decisions::open(path, &Tasks::new()).expect("opened again");
        assert_eq!(again.all().iter().map(|row| row.autoscaler.as_str()).collect::<Vec<_>>(), ["web"]);
    }
}
