//! Options of `kubectl logs` and stern that people and scripts write. Those that ask for what is so
//! anyhow are taken and not shown: names and times stand in every line, all containers of all Pods are
//! searched, and nothing is followed unless it is said.

use super::tails::Tail;

/// The options.
#[derive(Debug, Clone, clap::Args)]
pub struct AsKubectl {
    /// From this time on, RFC 3339: as in kubectl
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub since_time: Option<String>,
    /// Of the Pod that is named: the instance of each container before the one that runs
    #[arg(
        short,
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
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
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_tls_verify_backend: Option<bool>,
    /// Of stern.
    #[arg(long, hide = true, conflicts_with = "follow")]
    no_follow: bool,
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

/// How much of each container; kubectl's 0 is nothing but what is followed.
///
/// # Errors
/// A text that is no number of records.
pub fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "-1" => Ok(Tail::All),
        text => text.parse().map(Tail::Last).map_err(|_| "write a number of records; -1 is all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Logs, tails::Tail};
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
            &["--insecure-skip-tls-verify-backend"],
            &["--insecure-skip-tls-verify-backend=true", "--no-follow"],
        ] {
            let logs = parsed(&[same, &["web-1", "error"]].concat()).expect("taken");
            assert_eq!(logs.words, ["web-1", "error"], "{same:?}");
        }
        let words = parsed(&["--timestamps", "web-1", "--all-containers", "error"]).expect("taken").words;
        assert_eq!(words, ["web-1", "error"]);
        for all in [&["--limit=-1"][..], &["--limit", "-1"], &["--limit", "0"]] {
            assert_eq!(parsed(all).expect("taken").limit, Some(0), "{all:?}");
        }
        let since = parsed(&["--since-time=2026-01-31T12:00:00Z"]).expect("taken").as_kubectl.since_time;
        assert_eq!(since.as_deref(), Some("2026-01-31T12:00:00Z"));
        assert!(parsed(&["--since-time=2026-01-31T12:00:00Z", "--since", "1h"]).is_err());
    }

    #[test]
    fn a_tail_is_of_each_container_and_a_limit_of_all() {
        for (given, tail) in [("-1", Tail::All), ("0", Tail::Last(0)), ("20", Tail::Last(20))] {
            let joined = format!("--tail={given}");
            for arguments in [&["web-1", "--tail", given][..], &[joined.as_str(), "web-1"]] {
                let logs = parsed(arguments).expect("taken");
                assert_eq!((logs.tail, logs.limit), (Some(tail), None), "{arguments:?}");
            }
        }
        assert_eq!(parsed(&["--limit", "5"]).expect("taken").tail, None);
        for wrong in
            [&["--tail=-2"][..], &["--tail=x"], &["--tail=5", "--limit=5"], &["--tail=5", "--facets"]]
        {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn flags_may_have_a_value_behind_the_sign_only() {
        let of = |arguments: &[&str]| {
            let logs = parsed(arguments).expect("taken");
            (logs.follow, logs.as_kubectl.previous, logs.words.join(" "))
        };
        let check = |arguments: &[&str], follow: bool, previous: bool| {
            let expected = (follow, previous, "web-1".to_owned());
            assert_eq!(of(&[arguments, &["web-1"]].concat()), expected, "{arguments:?}");
        };
        check(&[], false, false);
        for follow in ["-f", "-f=true", "--follow", "--follow=true"] {
            check(&[follow], true, false);
        }
        for previous in ["-p", "-p=true", "--previous", "--previous=true"] {
            check(&[previous], false, true);
        }
        check(&["-pf"], true, true);
        check(&["-f=false", "--previous=false"], false, false);
        assert!(parsed(&["--follow=maybe"]).is_err());
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let refused = parsed(&["web-1", "-f", "--until", "10:00"]).expect_err("refused");
        assert!(refused.contains("--until") && refused.contains("--follow"), "{refused}");
        assert!(parsed(&["-f", "--strict"]).is_err());
        assert!(parsed(&["-f", "--no-follow"]).is_err());
        assert!(parsed(&["--template", "{pod}", "-o", "json"]).is_err());
        assert!(parsed(&["--template", "{nothing}"]).expect_err("refused").contains("{message}"));
    }
}
