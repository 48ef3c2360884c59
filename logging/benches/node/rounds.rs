//! The lines, made in rounds so that any number fits on a disk: each round is a
//! file a stream, in both forms, and goes away when it was taken in.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::PathBuf,
};

use tiphys_logging::time;

use crate::{
    Options, Result, interrupt,
    merge::{self, MARK},
    mix, traces,
};

/// Records of a round.
const ROUND: usize = 10_000_000;
/// A word that one line in each round has.
pub const RARE: &str = "cormorant";

/// Where the files of one round are.
pub struct Round {
    /// `<stream>.log` in CRI form; a record with a trace is several lines.
    pub cri: PathBuf,
    /// All as JSON lines, one a record, in order of time.
    pub json: PathBuf,
    /// Of all rounds so far.
    pub records: usize,
}

pub struct Rounds {
    folder: PathBuf,
    streams: usize,
    left: usize,
    written: usize,
    round: u64,
    pub cri_bytes: u64,
    pub json_bytes: u64,
    /// Of all lines, nanoseconds.
    pub oldest: i64,
    pub newest: i64,
    /// A trace id of a line in the middle.
    pub trace: String,
}

/// The Pod of a stream.
pub fn pod(stream: usize) -> String {
    let program = mix::Program::ALL[stream % mix::Program::ALL.len()];
    format!("{program:?}-{stream}").to_lowercase()
}

/// There are ten.
pub fn namespace(stream: usize) -> String {
    format!("team-{}", stream / 4 % 10)
}

impl Rounds {
    pub fn new(options: &Options) -> Result<Self> {
        let folder = options.folder.join("rounds");
        fs::create_dir_all(&folder)?;
        let (streams, left) = (options.streams, options.records);
        Ok(Self {
            folder,
            streams,
            left,
            written: 0,
            round: 0,
            cri_bytes: 0,
            json_bytes: 0,
            oldest: i64::MAX,
            newest: i64::MIN,
            trace: String::new(),
        })
    }

    pub fn written(&self) -> usize {
        self.written
    }

    /// Makes the next round; `None` when all was made.
    pub fn next(&mut self) -> Result<Option<Round>> {
        if self.left == 0 {
            return Ok(None);
        }
        let each = self.left.min(ROUND).div_ceil(self.streams);
        let round = Round {
            cri: self.folder.join("cri"),
            json: self.folder.join("lines.json"),
            records: self.written + each * self.streams,
        };
        fs::create_dir_all(&round.cri)?;
        // A tenth of a second between lines of a stream: a round is some hours.
        let apart = 6 * 3600 * 1_000_000_000 / each as u64 / 2;
        for stream in 0..self.streams {
            interrupt::check()?;
            self.stream(&round, stream, each, apart)?;
        }
        merge::merge(&round, self.streams)?;
        self.json_bytes += fs::metadata(&round.json)?.len();
        self.left = self.left.saturating_sub(each * self.streams);
        self.written = round.records;
        self.round += 1;
        Ok(Some(round))
    }

    fn stream(&mut self, round: &Round, stream: usize, each: usize, apart: u64) -> Result<()> {
        let program = mix::Program::ALL[stream % mix::Program::ALL.len()];
        let path = round.cri.join(format!("{stream}.log"));
        let mut cri = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let seed = 1 + stream as u64 + self.round * self.streams as u64;
        for (at, record) in mix::stream(program, seed, each, apart).into_iter().enumerate() {
            let mut body = String::from_utf8_lossy(&record.body).into_owned();
            traces::deepen(&mut body, seed << 32 | at as u64);
            if stream == 0 && at == each / 2 {
                body.push(' ');
                body.push_str(RARE);
            }
            if self.trace.is_empty()
                && at == each / 2
                && let Some((_, rest)) = body.split_once("trace_id\":\"")
            {
                self.trace = rest[..32].to_owned();
            }
            self.oldest = self.oldest.min(record.time);
            self.newest = self.newest.max(record.time);
            for (nth, line) in body.split('\n').enumerate() {
                // Each is written a microsecond after the one above it.
                let time = time::format(record.time + 1_000 * nth as i64);
                writeln!(cri, "{time}{MARK}{line}")?;
            }
        }
        cri.flush()?;
        self.cri_bytes += fs::metadata(&path)?.len();
        Ok(())
    }
}
