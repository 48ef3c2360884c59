//! Options of `kubectl logs` that people and scripts write. Those that ask for what is so anyhow
//! are taken and not shown: names and times stand in every line, and all containers of all Pods are
//! searched.

/// The options.
#[derive(Debug, Clone, clap::Args)]
pub struct AsKubectl {
    /// From this time on, RFC 3339: as in kubectl
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub since_time: Option<String>,
    /// Of the Pod that is named: the instance of each container before the one that runs
    #[arg(short, long)]
    pub previous: bool,
    /// Stop before the record with which more than so many bytes would be written
    #[arg(long, value_name = "BYTES")]
    pub limit_bytes: Option<u64>,
    #[command(flatten)]
    #[allow(dead_code, reason = "they may be there, and change nothing")]
    anyhow: Anyhow,
}

/// What changes nothing here.
#[derive(Debug, Clone, clap::Args)]
#[allow(dead_code, reason = "they may be there, and change nothing")]
struct Anyhow {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    timestamps: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    all_containers: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    all_pods: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    prefix: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ignore_errors: Option<bool>,
    #[arg(long, hide = true, value_name = "N")]
    max_log_requests: Option<u32>,
    #[arg(long, hide = true, value_name = "SPAN")]
    pod_running_timeout: Option<String>,
}

/// A number of records; kubectl's -1 is all of them, as 0 is.
///
/// # Errors
/// A text that is neither.
pub fn limit(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(0),
        text => text.parse().map_err(|_| "write a number of records; 0 and -1 are all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Logs;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Box<Logs>, String> {
        let words = ["tiphys", "logs"].into_iter().chain(arguments.iter().copied());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Logs(logs) => Ok(logs),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_kubectl_takes_is_taken() {
        for same in [
            &["--timestamps"][..],
            &["--timestamps=true", "--all-containers=true", "--prefix", "--ignore-errors"],
            &["--all-pods"],
            &["--all-pods=true"],
            &["--max-log-requests=9"],
            &["--pod-running-timeout=20s"],
        ] {
            let logs = parsed(&[same, &["web-1", "error"]].concat()).expect("taken");
            assert_eq!(logs.words, ["web-1", "error"], "{same:?}");
        }
        let words = parsed(&["--timestamps", "web-1", "--all-containers", "error"]).expect("taken").words;
        assert_eq!(words, ["web-1", "error"]);
        for all in [&["--tail=-1"][..], &["--tail", "-1"], &["--limit", "0"]] {
            assert_eq!(parsed(all).expect("taken").limit, Some(0), "{all:?}");
        }
        assert!(parsed(&["--tail=-2"]).is_err());
        assert!(parsed(&["web-1", "-p"]).expect("taken").as_kubectl.previous);
        assert!(parsed(&["web-1", "-pf"]).expect("taken").follow);
        let since = parsed(&["--since-time=2026-01-31T12:00:00Z"]).expect("taken").as_kubectl.since_time;
        assert_eq!(since.as_deref(), Some("2026-01-31T12:00:00Z"));
        assert!(parsed(&["--since-time=2026-01-31T12:00:00Z", "--since", "1h"]).is_err());
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let refused = parsed(&["web-1", "-f", "--until", "10:00"]).expect_err("refused");
        assert!(refused.contains("--until") && refused.contains("--follow"), "{refused}");
        assert!(parsed(&["-f", "--strict"]).is_err());
        assert!(parsed(&["--template", "{pod}", "-o", "json"]).is_err());
        assert!(parsed(&["--template", "{nothing}"]).expect_err("refused").contains("{message}"));
    }
}
