//! The files of all streams as one of JSON lines, in order of time: what a shipper that follows
//! all files of a node sends. A record of several lines is one JSON line.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Lines, Write},
    path::Path,
};

use serde::Serialize;

use crate::{
    Result, interrupt,
    rounds::{Round, namespace, pod},
    traces,
};

/// Between the time and the text of a line.
pub const MARK: &str = " stdout F ";
const NO_CRI: &str = "a line is not in CRI form";

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_time")]
    time: &'a str,
    namespace: &'a str,
    pod: &'a str,
    #[serde(rename = "_msg")]
    body: &'a str,
}

/// Makes the round's JSON lines out of its files.
pub fn merge(round: &Round, streams: usize) -> Result<()> {
    let names: Vec<_> = (0..streams).map(|stream| (namespace(stream), pod(stream))).collect();
    let mut files = Vec::with_capacity(streams);
    // A record begins with its time, which sorts as a text.
    let mut next = BinaryHeap::with_capacity(streams);
    for stream in 0..streams {
        let mut records = Records::open(&round.cri.join(format!("{stream}.log")))?;
        next.extend(records.take()?.map(|record| Reverse((record, stream))));
        files.push(records);
    }
    let mut json = BufWriter::with_capacity(1 << 20, File::create(&round.json)?);
    while let Some(Reverse((record, stream))) = next.pop() {
        interrupt::check()?;
        let (time, body) = record.split_once(MARK).ok_or(NO_CRI)?;
        let (namespace, pod) = &names[stream];
        serde_json::to_writer(&mut json, &Line { time, namespace, pod, body })?;
        json.write_all(b"\n")?;
        next.extend(files[stream].take()?.map(|record| Reverse((record, stream))));
    }
    Ok(json.flush()?)
}

/// The records of one file in CRI form.
struct Records {
    lines: Lines<BufReader<File>>,
    /// The line that begins the next one.
    ahead: Option<String>,
}

impl Records {
    fn open(path: &Path) -> Result<Self> {
        let mut lines = BufReader::new(File::open(path)?).lines();
        let ahead = lines.next().transpose()?;
        Ok(Self { lines, ahead })
    }

    /// The next record: its first line, and below it the texts of the others.
    fn take(&mut self) -> Result<Option<String>> {
        let Some(mut record) = self.ahead.take() else { return Ok(None) };
        while let Some(line) = self.lines.next().transpose()? {
            let (_, text) = line.split_once(MARK).ok_or(NO_CRI)?;
            if !traces::goes_on(text) {
                self.ahead = Some(line);
                break;
            }
            record.push('\n');
            record.push_str(text);
        }
        Ok(Some(record))
    }
}
