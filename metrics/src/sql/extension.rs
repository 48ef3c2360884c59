//! What other parts bring into SQL: tables, functions and rules of the optimizer.
//!
//! The metrics server knows nothing of logs or of the API's objects; who knows
//! both hands it an [`Extension`], which is asked anew for every statement, so
//! that what it registers is bound to that statement's user and gone with it.

use std::{future::Future, sync::Arc};

use datafusion::{common::DataFusionError, prelude::SessionContext};
use parking_lot::Mutex;
use tiphys_api::auth::{SharedAuthorizer, UserInfo};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// Notes that an answer has at most; more would only be more of the same.
const MOST_NOTES: usize = 20;

/// Tables and functions that another part adds to the session of a statement.
pub trait Extension: Send + Sync {
    /// Registers them. The tables must show `asker.user` what that user may see, no more.
    ///
    /// # Errors
    /// The session refuses a name.
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError>;
}

/// Whose statement it is, and where to say what its answer lacks.
#[derive(Clone)]
pub struct Asker {
    pub user: UserInfo,
    pub authorizer: SharedAuthorizer,
    pub notes: Notes,
    server: Handle,
}

impl Asker {
    /// Must be called on the server's runtime, which is where [`Self::outside`] goes.
    pub fn new(user: UserInfo, authorizer: SharedAuthorizer) -> Self {
        Self { user, authorizer, notes: Notes::default(), server: Handle::current() }
    }

    /// Runs on the server's runtime what a table asks of others. A statement's thread ends
    /// with it, and would take along connections that others share. Dropped, it is aborted.
    ///
    /// # Errors
    /// The server is going down.
    pub async fn outside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, DataFusionError> {
        let task = AbortOnDropHandle::new(self.server.spawn(work));
        task.await.map_err(|error| DataFusionError::External(error.into()))
    }
}

/// What whoever reads the answer must know: a node that is missing, rows left out.
/// Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Debug, Clone)]
struct Note {
    text: String,
    /// Something is missing from the answer; else it is only told how it came about.
    lacks: bool,
}

impl Notes {
    /// Adds a sentence about what is missing, once.
    pub fn add(&self, note: String) {
        self.put(note, true);
    }

    /// Adds a sentence about an answer that is whole, once.
    pub fn remark(&self, note: String) {
        self.put(note, false);
    }

    fn put(&self, text: String, lacks: bool) {
        let mut notes = self.0.lock();
        if notes.len() < MOST_NOTES && !notes.iter().any(|note| note.text == text) {
            notes.push(Note { text, lacks });
        }
    }

    /// Those so far, which are forgotten: the next statement has its own.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock()).into_iter().map(|note| note.text).collect()
    }

    /// All so far.
    pub fn list(&self) -> Vec<String> {
        self.0.lock().iter().map(|note| note.text.clone()).collect()
    }

    /// What is missing so far.
    pub fn lacking(&self) -> Vec<String> {
        self.0.lock().iter().filter(|note| note.lacks).map(|note| note.text.clone()).collect()
    }
}
