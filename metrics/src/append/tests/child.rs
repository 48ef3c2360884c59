//! The test's own binary once more, as a process that is killed.
//!
//! A test that kills one asks for [`folder`] first. If there is one, it is the child: it works
//! in that folder until it is killed, and says how far it is. What is enough of it is said by what
//! was heard and by what is on the disk, and never by a time: how much is done in one, and when what
//! was done is on the disk, depends on how busy the machine is.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const FOLDER: &str = "TIPHYS_TEST_KILLED";
/// A child of which there is not enough by then hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// What is heard between two looks at the disk.
const BETWEEN: usize = 100;

/// Where the child works; absent in the test itself.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// The child says how far it is.
pub fn say(number: i64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "at {number}").and_then(|()| out.flush()).expect("the test listens");
}

/// The child of the test of this name.
pub fn command(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder);
    command
}

/// What a child said until it was killed.
pub struct Said(Vec<i64>);

impl Said {
    /// The last that it said.
    pub fn last(&self) -> i64 {
        *self.0.last().expect("it said something")
    }
}

/// Kills the child where the test fails meanwhile, too.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A child that works, and what was heard of it so far.
struct Working {
    child: Killed,
    heard: Box<dyn Iterator<Item = i64>>,
    numbers: Vec<i64>,
    ends: Instant,
}

impl Working {
    fn start(test: &str, folder: &Path) -> Self {
        let child = command(test, folder).stdout(Stdio::piped()).spawn();
        let mut child = Killed(child.expect("it runs"));
        let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
        let heard = lines.map_while(Result::ok).filter_map(|line| {
            // Where tests run one by one, the test's name stands before the first.
            line.rsplit_once("at ")?.1.parse::<i64>().ok()
        });
        Self { child, heard: Box::new(heard), numbers: Vec::new(), ends: Instant::now() + LIMIT }
    }

    fn hear(&mut self) {
        assert!(Instant::now() < self.ends, "not enough within {LIMIT:?}: {:?}", self.numbers.last());
        self.numbers.push(self.heard.next().expect("the child ended by itself"));
    }

    fn kill(self) -> Said {
        let Self { child, heard, mut numbers, .. } = self;
        drop(child);
        // What it had said by then.
        numbers.extend(heard);
        Said(numbers)
    }
}

/// Starts the child of a test, and kills it when what was heard of it is enough.
pub fn killed(test: &str, folder: &Path, enough: impl Fn(&[i64]) -> bool) -> Said {
    let mut child = Working::start(test, folder);
    while !enough(&child.numbers) {
        child.hear();
    }
    child.kill()
}

/// The same of a child that says more than is on the disk: it goes on until what was heard when that
/// was enough is written, as `is_written` says. Gives the last of that.
pub fn killed_once_written(
    test: &str,
    folder: &Path,
    enough: impl Fn(&[i64]) -> bool,
    is_written: impl Fn(i64) -> bool,
) -> i64 {
    let mut child = Working::start(test, folder);
    while !enough(&child.numbers) {
        child.hear();
    }
    let due = *child.numbers.last().expect("it said something");
    while !is_written(due) {
        (0..BETWEEN).for_each(|_| child.hear());
    }
    child.kill();
    due
}

/// What a child that was killed at this moment would leave. What goes while it is copied is left out.
pub fn left(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    copy_all(folder, copy.path()).expect("copied");
    copy
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        let copied = match is_folder {
            true => fs::create_dir(&target).and_then(|()| copy_all(&entry.path(), &target)),
            false => fs::copy(entry.path(), &target).map(drop),
        };
        match copied {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => copied?,
        }
    }
    Ok(())
}
