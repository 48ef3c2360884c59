//! `tiphys completions SHELL`: the completion script of a shell, on stdout.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::failure::Outcome;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell to write for
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Outcome<ExitCode> {
        clap_complete::generate(self.shell, &mut Cli::command(), "tiphys", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
