//! Labels for walks over several blocks at once: a series that stands in several of them has
//! its labels once in memory, so that they are made once, and mostly the same place says
//! that they are equal.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::series::Labels;

/// Labels that are remembered: more than the rows by which one block is read ahead of another.
const MOST: usize = 1024;

/// Clones share what they know.
#[derive(Clone, Default)]
pub struct SharedLabels(Arc<Mutex<Known>>);

impl SharedLabels {
    /// For some rows of one block.
    pub fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

/// By their hash; the last that came has the place.
#[derive(Default)]
pub struct Known(Vec<Option<Labels>>);

impl Known {
    /// See [`Labels::from_bytes`].
    ///
    /// # Errors
    /// The bytes are no labels.
    pub fn labels(&mut self, bytes: &[u8]) -> Result<Labels, String> {
        self.0.resize(MOST, None);
        let place = &mut self.0[crc32fast::hash(bytes) as usize % MOST];
        if let Some(known) = place.as_ref().filter(|known| known.as_bytes() == bytes) {
            return Ok(known.clone());
        }
        let labels = Labels::from_bytes(bytes)?;
        *place = Some(labels.clone());
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::NAME;

    #[test]
    fn labels_are_made_once_and_are_their_own() {
        let shared = SharedLabels::default();
        let all: Vec<_> = (0..5 * MOST).map(|n| Labels::new([(NAME, format!("metric_{n}"))])).collect();
        for labels in &all {
            let mut known = shared.lock();
            let found = known.labels(labels.as_bytes()).expect("labels");
            let again = known.labels(labels.as_bytes()).expect("labels");
            assert_eq!((&found, found.as_bytes().as_ptr()), (labels, again.as_bytes().as_ptr()));
        }
        assert!(shared.lock().labels(&[9]).is_err());
    }
}
