//! Where an answer goes: stdout, or the file of `--file`, which has its name when all is in it.
//! A Parquet file has a writer of its own, [`super::file`].

use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    rc::Rc,
};

use super::file::Target;
use crate::failure::Outcome;

/// Stdout, unless a file was opened; a clone writes to the same place.
#[derive(Clone, Default)]
pub struct Out(Rc<RefCell<Option<Target>>>);

impl Out {
    /// # Errors
    /// A place that can't be written to.
    pub fn open(path: &Path) -> Outcome<Self> {
        Ok(Self(Rc::new(RefCell::new(Some(Target::open(Some(path))?)))))
    }

    pub fn is_file(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub fn is_terminal(&self) -> bool {
        !self.is_file() && io::stdout().is_terminal()
    }

    /// # Errors
    /// A closed stdout, a full disk.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.0.borrow_mut() {
            Some(target) => target.write(bytes),
            None => io::stdout().lock().write_all(bytes),
        }
    }

    /// All is written, and nothing afterwards: the file takes its name.
    ///
    /// # Errors
    /// A full disk, a name that a folder has.
    pub fn finish(&self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), Target::finish)
    }

    /// Nothing more is written: without [`Out::finish`] there is no file.
    pub fn abandon(&self) {
        drop(self.0.take());
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_file() { "Out(file)" } else { "Out(stdout)" })
    }
}

#[cfg(test)]
mod tests;
