//! What an answer lacks: said once on stderr, kept for a file's metadata, and with `--strict` the
//! command's exit code.

use std::{cell::RefCell, process::ExitCode};

use tiphys_logging::wire::NodeError;

use crate::output;

/// The exit code of a partial answer with `--strict`; 1 is a failure, 2 wrong usage.
const PARTIAL: u8 = 3;

/// What was missing so far.
#[derive(Debug, Default)]
pub struct Missing(RefCell<Vec<NodeError>>);

impl Missing {
    /// Says what is new of it.
    pub fn tell(&self, partial: &[NodeError]) {
        for missing in partial {
            if self.add(missing) {
                output::warning(&note(missing));
            }
        }
    }

    fn add(&self, missing: &NodeError) -> bool {
        let mut told = self.0.borrow_mut();
        let is_new = !told.contains(missing);
        if is_new {
            told.push(missing.clone());
        }
        is_new
    }

    /// A sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.0.borrow().iter().map(note).collect()
    }

    /// The code of a command whose answer was this.
    pub fn exit_code(&self, strict: bool) -> ExitCode {
        if self.fails(strict) { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS }
    }

    fn fails(&self, strict: bool) -> bool {
        strict && !self.0.borrow().is_empty()
    }
}

fn note(missing: &NodeError) -> String {
    format!("{} is missing from this answer: {}", missing.node, missing.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_answer_is_told_once_and_fails_where_that_is_wanted() {
        let missing = Missing::default();
        assert!(!missing.fails(true));
        let node = |error: &str| NodeError { node: "n1".into(), error: error.into() };
        missing.tell(&[node("down")]);
        missing.tell(&[node("down"), node("late")]);
        assert_eq!(
            missing.notes(),
            ["n1 is missing from this answer: down", "n1 is missing from this answer: late"]
        );
        assert!(missing.fails(true) && !missing.fails(false));
    }
}
