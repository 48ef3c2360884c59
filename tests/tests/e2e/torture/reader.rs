//! Who reads with `tiphys logs -f` while parts are killed: each line of some Pods, once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::Child,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tiphys_tests::Cluster;

use super::number;

/// A reader; it ends when dropped.
pub struct Reader {
    process: Child,
    folder: TempDir,
}

impl Reader {
    /// Follows what matches, from the first record on.
    pub fn start(cluster: &Cluster, query: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = cluster.tiphys_command(&["logs", query, "-f", "-o", "jsonl", "--limit", "0"]);
        command.stdout(File::create(folder.path().join("lines"))?);
        command.stderr(File::create(folder.path().join("said"))?);
        Ok(Self { process: command.spawn()?, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it was told of nodes and of the stream.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    /// It got of each of these Pods every number from 1 on, once.
    ///
    /// # Errors
    /// A line is missing so far, or is there twice; or the reader has ended.
    pub fn counted(&mut self, expected: &BTreeMap<&str, usize>) -> Result<()> {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let text = fs::read_to_string(self.path("lines"))?;
        // The last line may be half written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let record: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let pod = record["pod"].as_str().context("a Pod")?;
            found.entry(pod.to_owned()).or_default().push(number(&record)?);
        }
        if let Some(status) = self.process.try_wait()? {
            bail!("the reader has ended, {status}: {}", self.said());
        }
        for (pod, lines) in expected {
            let mut numbers = found.remove(*pod).unwrap_or_default();
            numbers.sort_unstable();
            let odd = numbers.iter().zip(1..).find(|(number, place)| *number != place);
            ensure!(
                numbers.len() == *lines && odd.is_none(),
                "{pod}: {} of {lines} lines were followed; first wrong one and its place: {odd:?}\n{}",
                numbers.len(),
                self.said()
            );
        }
        ensure!(found.is_empty(), "nobody waits for lines of {:?}", found.keys());
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
