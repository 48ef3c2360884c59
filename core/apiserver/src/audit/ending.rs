//! The end of a request that nobody waits for: its client has gone, its stream is
//! over, its upgraded connection is closed. It is recorded when this is dropped.

use std::sync::{Arc, OnceLock};

use super::{policy::Stage, recorder::Recorder};

pub struct Ending {
    recorder: Option<Recorder>,
}

impl Ending {
    pub fn of(recorder: &Recorder) -> Self {
        Self { recorder: Some(recorder.clone()) }
    }

    /// It was recorded otherwise.
    pub fn recorded(mut self) {
        self.recorder = None;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.closed_early();
            recorder.write_later(Stage::ResponseComplete);
        }
    }
}

/// Stands for an upgraded connection: in the extensions of its 101, and with the
/// task that carries its streams. The request ends with the last of them.
#[derive(Clone, Default)]
pub struct Upgraded(Arc<OnceLock<Ending>>);

impl Upgraded {
    pub(super) fn ends_with_it(self, ending: Ending) {
        if let Err(second) = self.0.set(ending) {
            // One 101 is answered once; were it not, this request would end here.
            drop(second);
        }
    }
}
