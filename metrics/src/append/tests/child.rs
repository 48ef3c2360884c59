//! The test's own binary once more, as a process that is killed.
//!
//! A test that kills one asks for [`folder`] first. If there is one, it is the child: it works
//! in that folder until it is killed, and says how far it is.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const FOLDER: &str = "TIPHYS_TEST_KILLED";

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

/// What a child said, when that was heard, and when it was killed.
pub struct Said {
    numbers: Vec<(Instant, i64)>,
    killed: Instant,
}

impl Said {
    /// The last that it said.
    pub fn last(&self) -> i64 {
        self.numbers.last().expect("it said something").1
    }

    /// The last that it said more than a second before its death.
    pub fn a_second_before(&self) -> i64 {
        let is_old = |(at, _): &&(Instant, i64)| self.killed - *at > Duration::from_secs(1);
        self.numbers.iter().rev().find(is_old).expect("it lived on").1
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

/// Starts the child of a test, and kills it when what was heard of it is enough.
pub fn killed(test: &str, folder: &Path, enough: impl Fn(&[(Instant, i64)]) -> bool) -> Said {
    let child = command(test, folder).stdout(Stdio::piped()).spawn();
    let mut child = Killed(child.expect("it runs"));
    let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut heard = lines.map_while(Result::ok).filter_map(|line| {
        // Where tests run one by one, the test's name stands before the first.
        line.rsplit_once("at ")?.1.parse::<i64>().ok()
    });
    let mut numbers: Vec<(Instant, i64)> = Vec::new();
    while !enough(&numbers) {
        numbers.push((Instant::now(), heard.next().expect("the child ended by itself")));
    }
    let killed = Instant::now();
    drop(child);
    // What it had said by then.
    numbers.extend(heard.map(|number| (killed, number)));
    Said { numbers, killed }
}
