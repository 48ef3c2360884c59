//! `tiphys doctor`: what this machine lacks and how to get it.

use std::process::ExitCode;

use super::Global;
use crate::{doctor, failure::Outcome, output};

#[derive(Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    /// Exit code 1 when something is missing.
    pub fn run(self, _global: &Global) -> Outcome<ExitCode> {
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
            output::line("this machine can run a cluster; next: tiphys up");
            return Ok(ExitCode::SUCCESS);
        }
        match findings.iter().all(|finding| finding.is_ok() || finding.what == "root") {
            true => output::line("all but the rights are there; next: sudo tiphys up"),
            false => output::line(&format!(
                "{missing} missing; get each as said, or all of it with `make setup` in the source tree"
            )),
        }
        Ok(ExitCode::from(1))
    }
}
