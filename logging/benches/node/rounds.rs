//! The lines, made in rounds so that any number fits on a disk: each round is a
//! file a stream, in both forms, and goes away when it was taken in.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
};

use tiphys_logging::time;

use crate::{Options, Result, mix};

const ROUND: usize = 10_000_000;
/// A word that one line in each round has.
pub const RARE: &str = "cormorant";

/// Where the files of one round are.
pub struct Round {
    /// `<stream>.log` in CRI form.
    pub cri: PathBuf,
    /// All as JSON lines, in order of time, as a shipper that follows all files of a node sends them.
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
            self.stream(&round, stream, each, apart)?;
        }
        self.in_order_of_time(&round)?;
        self.json_bytes += fs::metadata(&round.json)?.len();
        self.left = self.left.saturating_sub(each * self.streams);
        self.written = round.records;
        self.round += 1;
        Ok(Some(round))
    }

    /// Makes the JSON lines out of the files.
    fn in_order_of_time(&self, round: &Round) -> Result<()> {
        let mut files = Vec::new();
        for stream in 0..self.streams {
            files.push(BufReader::new(File::open(round.cri.join(format!("{stream}.log")))?).lines());
        }
        // A line begins with its time, which sorts as a text.
        let mut next = BinaryHeap::new();
        for (stream, lines) in files.iter_mut().enumerate() {
            next.extend(lines.next().transpose()?.map(|line| Reverse((line, stream))));
        }
        let mut json = BufWriter::with_capacity(1 << 20, File::create(&round.json)?);
        while let Some(Reverse((line, stream))) = next.pop() {
            let (time, body) = line.split_once(" stdout F ").ok_or("a line in CRI form")?;
            let (namespace, pod) = (namespace(stream), pod(stream));
            let line = serde_json::json!({ "_time": time, "namespace": namespace, "pod": pod, "_msg": body });
            writeln!(json, "{line}")?;
            next.extend(files[stream].next().transpose()?.map(|line| Reverse((line, stream))));
        }
        Ok(json.flush()?)
    }

    fn stream(&mut self, round: &Round, stream: usize, each: usize, apart: u64) -> Result<()> {
        let program = mix::Program::ALL[stream % mix::Program::ALL.len()];
        let path = round.cri.join(format!("{stream}.log"));
        let mut cri = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let seed = 1 + stream as u64 + self.round * self.streams as u64;
        for (at, record) in mix::stream(program, seed, each, apart).into_iter().enumerate() {
            let mut body = String::from_utf8_lossy(&record.body).replace('\n', "\\n");
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
            let time = time::format(record.time);
            writeln!(cri, "{time} stdout F {body}")?;
        }
        cri.flush()?;
        self.cri_bytes += fs::metadata(&path)?.len();
        Ok(())
    }
}
