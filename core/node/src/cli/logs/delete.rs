//! `tiphys logs delete`: takes a namespace's logs away, on all nodes and in the archive.

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
};

use tiphys_logging::{
    client,
    deletion::{DeleteAnswer, DeleteRequest},
};

use super::{Connect, Global};
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
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
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
