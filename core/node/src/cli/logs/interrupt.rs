//! SIGINT and SIGTERM while an answer, of logs or of SQL, goes into a file: what came of it is taken away,
//! as after any other failure. Without a file the process ends by the signal, as it would; but where a
//! statement may have one of its own, as by `\copy`, it ends when that is gone.

use std::{io, path::Path};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::file;
use crate::failure::Failure;

/// From its making on these signals end nothing by themselves.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// # Errors
    /// The process can't be told of signals.
    pub fn watch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// What the work gives; `None` when a signal came first, and the work is gone.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
        }
    }
}

/// What the work gives; `None` when SIGTERM came first, and the work is gone, with the files that it had not
/// finished. From the first look on SIGTERM ends nothing by itself.
///
/// # Errors
/// The process can't be told of signals.
pub async fn unless_terminated<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        biased;
        done = work => Some(done),
        _ = terminate.recv() => None,
    })
}

/// What is told when all that held the file of this path was let go.
pub fn interrupted(path: &Path) -> Failure {
    let part = file::part(path);
    match part.exists() {
        true => Failure::new(
            format!("interrupted: {} has a part of the answer and can't be taken away", part.display()),
            format!("rm {}", part.display()),
        ),
        false => Failure::new("interrupted: the answer is not whole, and no part of it is kept", "ask again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answer");
        assert!(interrupted(&path).message().ends_with("no part of it is kept"));
        std::fs::write(folder.path().join("answer.part"), "x").expect("written");
        let kept = interrupted(&path);
        assert!(kept.message().contains("answer.part has a part") && kept.next().starts_with("rm "));
    }
}
