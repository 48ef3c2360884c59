//! A container's log as a stream of bytes, to its end or for as long as it runs.
//!
//! Files are read in order of age: what was rotated away first. While following,
//! inotify tells of new lines and of a rotation; the end comes when the container
//! has ended and its file is read to the end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use tokio::sync::{mpsc, watch};

use super::{Options, line, open, rotate, tail::start_of_last};

/// Bytes are handed on in pieces of about this size.
const PIECE: usize = 32 << 10;
const QUEUE: usize = 4;

/// What to read.
pub(crate) struct Request {
    /// The folder of all logs: what lies outside is none.
    pub root: PathBuf,
    /// The file that the runtime writes, or wrote.
    pub path: PathBuf,
    pub options: Options,
    /// Becomes true when the container has ended.
    pub ended: watch::Receiver<bool>,
}

/// The log, piece by piece. It ends when the receiver is dropped, too.
pub(crate) fn stream(request: Request, tasks: &tiphys_lifecycle::Tasks) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tasks.spawn("kubelet log stream", tiphys_lifecycle::OnError::Log, async move {
        let failed = sender.clone();
        let reader =
            Reader { left: request.options.limit_bytes, request, out: Vec::new(), sender, whole: true };
        if let Err(error) = reader.run().await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = failed.send(Err(error)).await;
        }
        Ok::<(), io::Error>(())
    });
    receiver
}

struct Reader {
    request: Request,
    /// Bytes that may still be sent.
    left: Option<u64>,
    out: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// The next piece begins a line.
    whole: bool,
}

impl Reader {
    async fn run(mut self) -> io::Result<()> {
        let path = self.request.path.clone();
        // The watch comes first: nothing written from here on is missed.
        let mut changes = match self.request.options.follow {
            true => Some(changes_of(path.parent().unwrap_or(Path::new("/")))?),
            false => None,
        };
        let files = self.files_to_read()?;
        for (file, start) in files {
            let mut reader = BufReader::new(file);
            reader.seek(SeekFrom::Start(start))?;
            let last = self.read_on(&mut reader).await?;
            if self.left == Some(0) {
                break;
            }
            if let Some(changes) = changes.as_mut().filter(|_| is_same_file(reader.get_ref(), &path)) {
                return self.follow(reader, last, changes).await;
            }
        }
        self.flush().await
    }

    /// Rotated files and the current one, with where to begin in each.
    fn files_to_read(&self) -> io::Result<Vec<(File, u64)>> {
        let mut files = Vec::new();
        let mut wanted = self.request.options.tail_lines;
        let mut paths = rotate::rotated(&self.request.path);
        paths.push(self.request.path.clone());
        for path in paths.into_iter().rev() {
            let file = match open(&self.request.root, &path) {
                Ok(file) => file,
                // Between a rotation's rename and the new file there is none for a moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Some(lines) = wanted else {
                files.push((file, 0));
                continue;
            };
            let start = start_of_last(&file, lines)?;
            files.push((file.try_clone()?, start));
            if start > 0 {
                break;
            }
            // All of this file is not enough: the older one has the rest.
            let here = whole_lines(file)?;
            wanted = Some(lines.saturating_sub(here));
            if wanted == Some(0) {
                break;
            }
        }
        files.reverse();
        Ok(files)
    }

    /// Reads whole lines to the end of the file; gives what is left of a line.
    async fn read_on(&mut self, reader: &mut BufReader<File>) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            if reader.read_until(b'\n', &mut raw)? == 0 || raw.last() != Some(&b'\n') {
                return Ok(raw);
            }
            self.take(&raw);
            raw.clear();
            if self.out.len() >= PIECE {
                self.flush().await?;
            }
            if self.left == Some(0) {
                return Ok(raw);
            }
        }
    }

    async fn follow(
        mut self,
        mut reader: BufReader<File>,
        mut part: Vec<u8>,
        changes: &mut (impl futures::Stream<Item = io::Result<()>> + Unpin),
    ) -> io::Result<()> {
        let mut ended = self.request.ended.clone();
        loop {
            self.flush().await?;
            if self.left == Some(0) {
                return Ok(());
            }
            // First whether it has ended, then what there is: no line comes after.
            let over = *ended.borrow_and_update();
            part = self.read_rest(&mut reader, part).await?;
            if let Some(next) = successor(reader.get_ref(), &self.request) {
                part = self.read_rest(&mut reader, part).await?;
                debug_assert!(part.is_empty(), "the runtime rotates between lines");
                reader = BufReader::new(next);
                continue;
            }
            if over {
                return self.flush().await;
            }
            self.flush().await?;
            tokio::select! {
                change = changes.next() => { change.transpose()?; }
                changed = ended.changed() => if changed.is_err() { return self.flush().await },
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// Goes on behind an unfinished line.
    async fn read_rest(&mut self, reader: &mut BufReader<File>, mut part: Vec<u8>) -> io::Result<Vec<u8>> {
        if !part.is_empty() {
            reader.read_until(b'\n', &mut part)?;
            if part.last() != Some(&b'\n') {
                return Ok(part);
            }
            self.take(&part);
        }
        self.read_on(reader).await
    }

    /// One raw line: whether it is wanted, and in what form.
    fn take(&mut self, raw: &[u8]) {
        let Some(line) = line::parse(raw) else { return };
        let options = &self.request.options;
        if options.since.is_some_and(|since| line.timestamp().is_none_or(|time| time < since)) {
            return;
        }
        if options.stream.as_ref().is_some_and(|stream| stream.as_bytes() != line.stream) {
            return;
        }
        let begin = self.out.len();
        if options.timestamps && self.whole {
            self.out.extend_from_slice(line.time);
            self.out.push(b' ');
        }
        self.out.extend_from_slice(line.text);
        if line.ends {
            self.out.push(b'\n');
        }
        self.whole = line.ends;
        if let Some(left) = &mut self.left {
            let added = (self.out.len() - begin) as u64;
            let kept = added.min(*left);
            self.out.truncate(begin + usize::try_from(kept).unwrap_or(0));
            *left -= kept;
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.out));
        self.sender.send(Ok(piece)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn whole_lines(file: File) -> io::Result<u64> {
    let mut count = 0;
    for raw in BufReader::new(file).split(b'\n') {
        count += u64::from(line::parse(&raw?).is_some_and(|line| line.ends));
    }
    Ok(count)
}

/// Something was written, made or renamed in this folder.
fn changes_of(folder: &Path) -> io::Result<impl futures::Stream<Item = io::Result<()>> + Unpin + use<>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(folder, WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_TO)?;
    Ok(inotify.into_event_stream(vec![0; 4096])?.map(|event| event.map(drop)))
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let key = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => key(open) == key(named),
        _ => false,
    }
}

/// The file that took the name after a rotation.
fn successor(file: &File, request: &Request) -> Option<File> {
    let path = &request.path;
    (!is_same_file(file, path)).then(|| open(&request.root, path).ok()).flatten()
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
