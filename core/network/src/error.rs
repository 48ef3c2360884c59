//! What can go wrong at this crate's edges: netlink, nft, files, processes.
//!
//! An error says which act failed and on what; the cause is its source.

use std::io;

/// An act on the machine's network that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, process or namespace operation.
    #[error("cannot {action}")]
    Io { action: String, source: io::Error },
    /// A request that the kernel refused over netlink.
    #[error("cannot {action}")]
    Netlink { action: String, source: rtnetlink::Error },
    /// A transaction that nft refused; `message` is its first lines.
    #[error("nft refused the transaction: {message}")]
    Nft { message: String },
    /// A program that must be installed is not.
    #[error("{program} is not installed (Debian: apt-get install {package})")]
    Missing { program: &'static str, package: &'static str },
    /// Every subnet this machine could give a cluster is in use.
    #[error("no free node subnet: all of 172.30.0.0/24 to 172.30.127.0/24 meet networks of this machine")]
    NoFreeSubnet,
    /// A node number outside of what a /24 holds.
    #[error("node number {0} does not fit the node subnet: use 0 to 99")]
    NodeNumber(u8),
    /// The holder of a node could not set itself up.
    #[error("the namespace holder of node {node} failed: {message}")]
    Holder { node: String, message: String },
    /// A link that must be there is not.
    #[error("there is no link {0}")]
    NoLink(String),
}

impl Error {
    /// For `map_err`: an I/O error with the act that met it.
    pub(crate) fn io<S: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(S) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source: source.into() }
    }

    /// For `map_err`: a netlink error with the act that met it.
    pub(crate) fn netlink(action: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> Self {
        let action = action.into();
        move |source| Self::Netlink { action, source }
    }

    /// The kernel's errno, when it was the kernel that refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Netlink { source: rtnetlink::Error::NetlinkError(message), .. } => {
                message.to_io().raw_os_error()
            }
            _ => None,
        }
    }
}

/// Makes a repeated act harmless: `errno` counts as done.
pub(crate) fn accept(result: Result<(), Error>, errno: &[i32]) -> Result<(), Error> {
    match result {
        Err(error) if error.errno().is_some_and(|code| errno.contains(&code)) => Ok(()),
        other => other,
    }
}
