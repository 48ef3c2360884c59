//! `tiphys doctor`: what this machine lacks and how to get it.

use std::process::ExitCode;

use super::Global;
use crate::{doctor, failure::Outcome, output};

#[derive(Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    /// Exit code 1 when something is missing.
    pub fn run(self, global: &Global) -> Outcome<ExitCode> {
        let findings = doctor::examine();
        let mut text = String::new();
        for finding in &findings {
            let (mark, rest) = match &finding.remedy {
                None => ("ok", format!("({})", finding.why)),
                Some(remedy) => ("missing", format!("{}: {remedy}", finding.why)),
            };
            text.push_str(&format!("{mark:<8} {:<14} {rest}\n", finding.what));
        }
        output::data(&text)?;
        let missing = findings.iter().filter(|finding| !finding.is_ok()).count();
        if missing == 0 {
            output::line(&format!("this machine can run a cluster; next: {}", global.typed("up")));
            return Ok(ExitCode::SUCCESS);
        }
        let all_but_root = findings.iter().all(|finding| finding.is_ok() || finding.what == doctor::ROOT);
        output::line(&match all_but_root {
            true => format!("all is there but root's rights; next: sudo {}", global.typed("up")),
            false => format!(
                "{missing} missing; get each as said (packages are Debian's), or on Debian all of it with \
                 `make setup` in the source tree; then tiphys doctor again"
            ),
        });
        Ok(ExitCode::from(1))
    }
}
