//! `tiphys completions SHELL`: the completion script of a shell, on stdout.

use std::{io::Write, process::ExitCode};

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
        // Into memory first: written directly, it would panic when the reader goes away.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown(), "tiphys", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The commands without those that only Tiphys itself starts.
fn shown() -> clap::Command {
    let full = Cli::command();
    let commands: Vec<_> = full.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut shown = clap::Command::new("tiphys");
    for argument in full.get_arguments() {
        shown = shown.arg(argument.clone());
    }
    shown.subcommands(commands)
}

#[cfg(test)]
mod tests {
    #[test]
    fn completions_offer_what_a_user_may_want() {
        let commands = super::shown();
        let names: Vec<_> = commands.get_subcommands().map(clap::Command::get_name).collect();
        assert!(names.contains(&"logs") && !names.contains(&"holder"), "{names:?}");
        assert!(commands.get_arguments().any(|argument| argument.get_id() == "cluster"));
    }
}
