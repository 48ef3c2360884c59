//! The doors: records that others send.
//!
//! ```text
//! headers -> gate (who) -> body (read, unpack, within the budget) -> a door's decoder -> draft
//!         -> gate (may it write there) -> streams -> inlet -> write-ahead log -> store -> the sender is told
//! ```
//!
//! A door is a protocol: it understands requests and answers in its own words.
//! Everything else is done once, here. What is acknowledged survives kill -9; what
//! can't be taken is said to the sender, never dropped without a word.
//!
//! | door | where | file |
//! |---|---|---|
//! | OTLP | gRPC, `POST /v1/logs` | `otlp` |
//! | Loki | `POST /loki/api/v1/push` | `loki` |
//! | Elasticsearch | `POST /_bulk` | `elastic` |
//! | syslog | TCP, UDP and TLS, where configured | `syslog` |

mod body;
mod budget;
mod connections;
mod deliver;
mod draft;
mod elastic;
mod fields;
mod gate;
mod inlet;
mod listen;
mod loki;
mod otlp;
mod refusal;
mod sequence;
mod streams;
mod syslog;
mod tls;
mod walk;

pub use budget::{Budget, Hold, TOTAL};
pub use deliver::{Doors, Outcome};
pub(crate) use draft::Capped;
pub(crate) use fields::Fields;
pub use gate::{GROUP, Gate, Reviews, Sender};
pub use inlet::{Inlet, Parcel};
pub use listen::{DoorConfig, Open, open};
pub use refusal::{Kind, Refusal};
pub use syslog::SyslogConfig;
pub use tls::TlsFiles;

/// A protocol by which records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    Otlp,
    Loki,
    Elasticsearch,
    Syslog,
}

impl Door {
    /// The resource of the right to use it, and its word in metrics.
    pub fn resource(self) -> &'static str {
        match self {
            Door::Otlp => "otlp",
            Door::Loki => "loki",
            Door::Elasticsearch => "elasticsearch",
            Door::Syslog => "syslog",
        }
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod full_tests;
#[cfg(test)]
pub(crate) mod fuzzed;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod times_tests;
#[cfg(test)]
mod tls_tests;
