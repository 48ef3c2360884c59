//! The audit log: who asked for what, when, and how it ended, one line of JSON
//! a stage (`audit.k8s.io/v1`).
//!
//! ```text
//! request ──> policy (which rule, which level) ──> Recorder ──> RequestReceived ──┐
//!                                                     │                           │
//!    authorization, body, admission note into it ─────┤                  queue (4,096 lines) ──> writer ──> file,
//!                                                     └─> ResponseStarted,        │                        rotated
//!                                                         ResponseComplete, Panic ┘
//! ```
//!
//! A full queue holds requests back, and a log that is closed turns them away: what
//! was answered is in the log, or will be. What ends where nobody can wait (a watch,
//! an exec, a request whose client has gone) waits beside the queue. Lost is what
//! can't be written up to the server's end (a full disk), and whatever a process
//! that is killed still had in its queue.
//!
//! Whatever the policy says, values of Secrets and tokens are not written where
//! they are known as such ([`redact`]): a log is read by more people than they are
//! meant for. That is stricter than kube-apiserver, where a policy can ask for them.

mod around;
mod body;
mod ending;
mod event;
mod file;
mod matching;
mod policy;
mod recorder;
mod redact;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::PathBuf, sync::Arc};

use tiphys_lifecycle::Tasks;

pub use around::{around, refused};
pub use ending::Upgraded;
pub use policy::{Policy, PolicyError};
pub use recorder::Recorder;

use writer::Queue;

/// Where the log goes, and how long it is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// `-` is the standard output, which is not rotated.
    pub path: PathBuf,
    pub policy: Policy,
    pub rotation: Rotation,
}

/// When a file is set aside, and how many of those are kept. A zero is no limit;
/// for the size it is upstream's 100 MB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation {
    pub max_megabytes: u64,
    pub max_backups: usize,
    pub max_age_days: u32,
}

/// Who asked, when the request is made as somebody else (in the request's extensions).
#[derive(Debug, Clone)]
pub struct AskedBy(pub tiphys_api::auth::UserInfo);

/// What authentication has to say of the request (in its extensions).
#[derive(Debug, Clone)]
pub struct Said(pub Vec<(&'static str, String)>);

/// Where a request came from (in the request's extensions); absent in memory.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub std::net::IpAddr);

/// The answer is an extension server's (in its extensions): it may have no end, and the log has
/// its code only.
#[derive(Debug, Clone, Copy)]
pub struct PassedOn;

/// The log, open for writing.
pub struct Audit {
    policy: Policy,
    queue: Queue,
}

impl Audit {
    /// Opens the file and starts its writer.
    ///
    /// # Errors
    /// The file can't be opened for writing.
    pub fn start(config: Config, tasks: &Tasks) -> std::io::Result<Arc<Self>> {
        let queue = Queue::start(&config.path, config.rotation, tasks)?;
        Ok(Arc::new(Self { policy: config.policy, queue }))
    }
}
