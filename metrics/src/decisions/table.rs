//! The table `decisions`: a piece at a time, of which is taken what a statement wants and a user sees.
//!
//! What is taken is counted against the statement's memory before it is, and nothing more is read
//! once the statement has its rows or was given up.

use std::{collections::HashMap, sync::Arc};

use datafusion::{arrow::array::RecordBatch, catalog::TableProvider, common::Result};

use super::{
    Decisions,
    pieces::{Choice, Head, Pieces},
};
use crate::{
    scope::Scope,
    sql::{Asker, Batches, Notes, Share, Wanted, counted},
    tables::{decision_rows, decisions_schema},
};

/// Lines after which it is looked whether anybody asks still.
const LOOK: usize = 256;
/// What a row takes while it is made, for each byte that is told of it: itself and its columns.
const TIMES: usize = 2;

/// The table, for one user.
pub fn table(decisions: Arc<Decisions>, asker: Asker) -> Arc<dyn TableProvider> {
    let rows = move |wanted: Wanted, share: Share| -> Result<Batches> {
        Ok(Box::new(Rows {
            pieces: decisions.pieces(&wanted.micros()),
            // Rights may change while a connection lasts: they are asked for at each scan.
            sight: Sight { scope: Scope::of_asker(&asker), wanted, seen: HashMap::new() },
            notes: asker.notes.clone(),
            share,
            is_done: false,
        }))
    };
    counted(decisions_schema(), rows)
}

/// Which rows are wanted, and seen.
struct Sight {
    scope: Scope,
    wanted: Wanted,
    /// Whether a namespace is.
    seen: HashMap<String, bool>,
}

impl Sight {
    fn takes(&mut self, head: &Head<'_>) -> bool {
        let Self { scope, wanted, seen } = self;
        let is_wanted = wanted.takes_time(head.time)
            && wanted.takes("namespace", &head.namespace)
            && wanted.takes("autoscaler", &head.autoscaler);
        is_wanted
            && seen.get(&*head.namespace).copied().unwrap_or_else(|| {
                let sees = scope.sees_namespace(&head.namespace);
                seen.insert(head.namespace.clone().into_owned(), sees);
                sees
            })
    }
}

struct Rows {
    pieces: Pieces,
    sight: Sight,
    notes: Notes,
    share: Share,
    is_done: bool,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { pieces, sight, notes, share, is_done } = self;
        // The batch before is the plan's by now.
        share.give_back();
        if *is_done {
            return None;
        }
        let (mut looked, mut refused) = (0_usize, None);
        let taken = pieces.next(&mut |head, bytes| {
            looked += 1;
            if looked.is_multiple_of(LOOK) && share.is_over() {
                return Choice::Stop;
            }
            if !sight.takes(head) {
                return Choice::Pass;
            }
            match share.take(bytes * TIMES) {
                Ok(()) => Choice::Take,
                Err(error) => {
                    refused = Some(error);
                    Choice::Stop
                }
            }
        })?;
        pieces.missing().into_iter().for_each(|what| notes.add(what));
        if let Some(error) = refused {
            *is_done = true;
            return Some(Err(error));
        }
        Some(decision_rows(&taken))
    }
}
