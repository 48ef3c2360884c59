//! `tiphys logs delete`: takes a namespace's logs away, on all nodes and in the archive.

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
};

use tiphys_api::names::SYSTEM_NAMESPACE;
use tiphys_logging::{
    client,
    deletion::{DeleteAnswer, DeleteRequest},
};

use super::{Connect, Global, Logs, NEXT, collectors::DaemonSet};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// Delete a namespace's logs, on all nodes and in the archive.
///
/// They are in no answer from then on, and soon on no disk. A node that can't be
/// reached is told when it is back. It takes the right to deletecollection pods/log
/// in the namespace.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The namespace
    #[arg(short, long)]
    namespace: String,
    /// Only records of an earlier time: RFC 3339, or back from now such as 30d
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
    /// Of the search; told that nothing is deleted there.
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = SYSTEM_NAMESPACE
    )]
    collectors: Option<DaemonSet>,
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        if let Some(daemons) = &self.collectors {
            return Err(daemons.deletes_nothing());
        }
        if !self.yes && !self.is_sure()? {
            output::line("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
        let client = self.connect.client(global).await?;
        let request = DeleteRequest { namespace: self.namespace.clone(), before: self.before.clone() };
        let answer = client::delete(&client, &request).await.or_asked("tiphys logs delete --help")?;
        Ok(tell(&answer))
    }

    fn is_sure(&self) -> Outcome<bool> {
        let again = format!("tiphys logs delete -n {} --yes", self.namespace);
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(Failure::usage("nobody is there to be asked whether the logs may go", again));
        }
        let which = match &self.before {
            Some(before) => format!("logs of {:?} before {before}", self.namespace),
            None => format!("all logs of {:?}", self.namespace),
        };
        output::line(&format!("{which} will be gone for good; type yes to delete them"));
        let mut line = String::new();
        input.lock().read_line(&mut line)?;
        Ok(line.trim() == "yes")
    }
}

impl Logs {
    /// Behind an option `delete` is a word to search for; with an option of its own it is not meant so.
    ///
    /// # Errors
    /// What is there in the place of what was meant.
    pub(super) fn check_delete(&self) -> Outcome<()> {
        let before = self.around.other_before();
        if self.words.first().is_none_or(|word| word != "delete") || !(self.yes || before.is_some()) {
            return match self.yes {
                true => Err(Failure::usage("--yes is an option of `tiphys logs delete`", NEXT)),
                false => Ok(()),
            };
        }
        if let Some(daemons) = &self.collectors {
            return Err(daemons.deletes_nothing());
        }
        let namespace = self.namespace.as_deref().unwrap_or("NAMESPACE");
        let before = before.map(|time| format!(" --before {time}")).unwrap_or_default();
        Err(Failure::usage(
            "`delete` stands before its options; behind one it is a word to search for",
            format!("tiphys logs delete -n {namespace}{before}"),
        ))
    }
}

fn tell(answer: &DeleteAnswer) -> ExitCode {
    let (nodes, archive) = (answer.nodes.len(), if answer.archive { " and in the archive" } else { "" });
    output::line(&format!(
        "logs of {:?} before {} are deleted on {nodes} nodes{archive}",
        answer.namespace, answer.before
    ));
    for missing in &answer.partial {
        let later = if answer.archive { "; it is told when it is back" } else { "" };
        output::warning(&format!("{} still has some: {}{later}", missing.node, missing.error));
    }
    if answer.partial.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, tests::parsed};

    #[test]
    fn delete_behind_an_option_says_where_it_stands_or_that_there_is_none() {
        let table: [(&[&str], &str, &str); 6] = [
            (&["--collectors", "delete", "-n", "a", "--before", "30d"], "not deleted from here", "RETENTION"),
            (&["--collectors", "delete", "-n", "a", "--yes"], "not deleted from here", "configmap tiphys-"),
            (&["--collectors=b/c", "delete", "-y"], "collectors of b/c", "-n b create configmap c"),
            (&["-n", "a", "delete", "--before", "30d"], "before its options", "delete -n a --before 30d"),
            (&["error", "--before", "30d"], "`30d` is no number", "--until"),
            (&["error", "-y"], "an option of `tiphys logs delete`", "--help"),
        ];
        for (arguments, message, next) in table {
            let failure = parsed(arguments).check().expect_err("refused");
            assert!(failure.message().contains(message), "{arguments:?}: {}", failure.message());
            assert!(failure.next().contains(next), "{arguments:?}: {}", failure.next());
            assert_eq!(failure.exit_code(), 2, "{arguments:?}");
        }
        // A word is one as long as nothing says otherwise.
        for fine in [&["--collectors", "delete", "-n", "a"][..], &["-n", "a", "delete", "--before", "3"]] {
            assert!(parsed(fine).check().is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn delete_takes_the_option_to_say_that_there_is_none() {
        for given in ["--collectors", "--collectors=b/c"] {
            let logs = parsed(&["delete", given, "-n", "a", "--before", "30d"]);
            let Some(Command::Delete(delete)) = logs.command else { panic!("no delete: {given}") };
            assert!(delete.collectors.is_some_and(|of| of.deletes_nothing().exit_code() == 2), "{given}");
        }
    }
}
