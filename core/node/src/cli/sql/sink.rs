//! Where answers go: the terminal, a file that grows with each answer, or one that takes its name
//! when all are in it.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

use crate::{
    cli::logs::file::Target,
    failure::{Failure, OrNext, Outcome},
};

pub struct Sink {
    out: Out,
    /// Whether the answer that goes in now is a Parquet file.
    parquet: bool,
    /// Whether a Parquet file is in it, or a part of one, behind which nothing can stand.
    closed: bool,
    empty: bool,
}

enum Out {
    Stdout,
    Growing(File),
    Whole(Target),
}

impl Sink {
    pub fn stdout() -> Self {
        Self::of(Out::Stdout)
    }

    /// A new file; what one of this name had before is gone.
    ///
    /// # Errors
    /// A place that can't be written to.
    pub fn create(path: &str) -> Outcome<Self> {
        let file = File::create(path).or_next(format!("name another file than {path}"))?;
        Ok(Self::of(Out::Growing(file)))
    }

    /// A file that has its name at [`Sink::finish`]; without one there is none.
    ///
    /// # Errors
    /// A place that can't be written to.
    pub fn whole(path: &Path) -> Outcome<Self> {
        Ok(Self::of(Out::Whole(Target::open(Some(path))?)))
    }

    fn of(out: Out) -> Self {
        Self { out, parquet: false, closed: false, empty: true }
    }

    pub fn is_stdout(&self) -> bool {
        matches!(self.out, Out::Stdout)
    }

    /// Takes an answer; of Parquet's, a file has one and no other. One that fails before anything
    /// of it was written leaves the place to the next.
    ///
    /// # Errors
    /// A Parquet file for a terminal, or with another answer.
    pub fn begin(&mut self, parquet: bool) -> Outcome<()> {
        if parquet && self.is_stdout() && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "a Parquet file is nothing for a terminal",
                "name a file with --file w.parquet, or at the prompt with \\o w.parquet",
            ));
        }
        if self.closed || (parquet && !self.empty) {
            return Err(Failure::new(
                "a Parquet file is one answer, and another one would go into the same file",
                "name a file for each: \\g w.parquet",
            ));
        }
        self.parquet = parquet;
        Ok(())
    }

    /// Something of the answer is in its place; what is not written by [`Sink::write`] is told here.
    pub fn takes_room(&mut self) {
        (self.closed, self.empty) = (self.parquet, false);
    }

    /// # Errors
    /// A full disk, or a reader that left.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.takes_room();
        }
        match &mut self.out {
            Out::Stdout => io::stdout().write_all(bytes),
            Out::Growing(file) => file.write_all(bytes),
            Out::Whole(target) => target.write(bytes),
        }
    }

    /// # Errors
    /// A full disk.
    pub fn finish(self) -> io::Result<()> {
        match self.out {
            Out::Stdout => io::stdout().flush(),
            Out::Growing(mut file) => file.flush(),
            Out::Whole(target) => target.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_takes_the_place_of_an_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "what was there before").expect("written");
        let mut sink = Sink::create(&path.to_string_lossy()).expect("created");
        for answer in ["one\n", "two\n"] {
            sink.begin(false).expect("begun");
            sink.write(answer.as_bytes()).expect("written");
        }
        sink.finish().expect("finished");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one\ntwo\n");
        let missing = Sink::create(&folder.path().join("none/a.txt").to_string_lossy());
        assert!(missing.err().expect("no folder").next().contains("another file"));
    }

    #[test]
    fn a_parquet_file_is_one_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        for (first, second, expected) in
            [(true, true, false), (true, false, false), (false, true, false), (false, false, true)]
        {
            let mut sink = Sink::whole(&folder.path().join("w")).expect("opened");
            sink.begin(first).expect("begun");
            sink.write(b"").expect("written");
            sink.begin(first).expect("nothing of the failed one is in it");
            sink.write(b"a part").expect("written");
            assert_eq!(sink.begin(second).is_ok(), expected, "{first} {second}");
        }
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
    }
}
