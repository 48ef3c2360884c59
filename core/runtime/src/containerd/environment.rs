//! What containerd is told by variables, and what it isn't.
//!
//! It outlives the session of who started the node, and hands its environment on to its shims, to runc and to
//! network plug-ins. A login session's variables name what is another's: with XDG_RUNTIME_DIR runc's calls
//! look for a folder in /run, of which a node has its own, and every exec fails; TMPDIR, the sockets of D-Bus
//! and of systemd (NOTIFY_SOCKET, LISTEN_FDS) are of the same sort.
//!
//! So it gets the known ones and no others. To take away those that are known to do harm is less safe: which
//! ones a session has is for PAM, the shell and the desktop to say, and one that was forgotten shows only as
//! a failing exec on somebody's machine.

use std::ffi::{OsStr, OsString};

const NAMES: &[&str] = &[
    // Where programs and their libraries are.
    "PATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "TZ",
    // How registries are reached.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // Go's runtime.
    "GODEBUG",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOTRACEBACK",
    // With it containerd knows that the machine is a container itself, where it leaves AppArmor alone.
    "container",
    // By it `tiphys down` finds what a dead cluster left.
    "TIPHYS_CLUSTER_FOLDER",
];

/// containerd's own: of its decompression, its gRPC, its traces.
const PREFIXES: &[&str] = &["CONTAINERD_", "GRPC_", "OTEL_"];

/// Of this process's variables those that containerd gets.
pub(super) fn of_containerd() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| goes_along(name))
}

fn goes_along(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_variables_stay_behind() {
        let check = |names: &[&str], expected: bool| {
            for name in names {
                assert_eq!(goes_along(OsStr::new(name)), expected, "{name}");
            }
        };
        check(&["XDG_RUNTIME_DIR", "XDG_SESSION_ID", "SSH_AUTH_SOCK", "SSH_CONNECTION"], false);
        check(&["DBUS_SESSION_BUS_ADDRESS", "TMPDIR", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"], false);
        check(&["PATHS", "MY_CONTAINERD_X", "LD_PRELOAD", ""], false);
        check(&["PATH", "HOME", "container", "TIPHYS_CLUSTER_FOLDER", "SSL_CERT_FILE"], true);
        check(&["HTTP_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "GOMEMLIMIT"], true);
        check(&["CONTAINERD_DISABLE_PIGZ", "GRPC_GO_LOG_SEVERITY_LEVEL", "OTEL_SDK_DISABLED"], true);
    }
}
