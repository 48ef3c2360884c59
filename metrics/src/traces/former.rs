//! The log as versions before had it, one file `recent.jsonl`, which becomes a file of the log.
//!
//! It was emptied when its spans had become a file of spans. A process that died in between left
//! them in both, so what a file of spans has is taken out of it first.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::{
    file::{self, HALF},
    log,
    span::{self, Span},
};

const NAME: &str = "recent.jsonl";

/// Makes it the file with this number of the folder's log, which has none so high. Nothing is lost
/// or doubled where the process dies meanwhile: the next start does the rest.
///
/// # Errors
/// The disk's.
pub fn take_over(folder: &Path, number: u64) -> io::Result<()> {
    let path = folder.join(NAME);
    if !path.try_exists()? {
        return Ok(());
    }
    let spans = log::read(&path)?;
    let written = written(folder, &spans)?;
    // On a disk that is full it can be renamed, but not written anew.
    if !written.is_empty() {
        let mut lines = Vec::new();
        for span in spans.iter().filter(|span| !written.contains(&id(span))) {
            serde_json::to_writer(&mut lines, span)?;
            lines.push(b'\n');
        }
        let half = path.with_extension(HALF);
        let rest = File::create(&half).and_then(|mut out| {
            out.write_all(&lines)?;
            out.sync_all()?;
            fs::rename(&half, &path)
        });
        rest.inspect_err(|_| {
            // It would take up what room there is.
            let _ = fs::remove_file(&half);
        })?;
    }
    fs::rename(&path, log::path_of(folder, number))?;
    File::open(folder)?.sync_all()
}

type Id = (String, String);

fn id(span: &Span) -> Id {
    (span.trace_id.clone(), span.span_id.clone())
}

/// Which of these spans a file has. A damaged file is told of when it is asked.
fn written(folder: &Path, spans: &[Span]) -> io::Result<HashSet<Id>> {
    let ids: HashSet<Id> = spans.iter().map(id).collect();
    let times = || spans.iter().map(|span| span.time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(HashSet::new()) };
    let range = first..last.saturating_add(1);
    let files = file::list(folder)?.into_iter().filter(|file| file.meets(&range));
    let rows = files.filter_map(|file| file.read().ok()).flatten();
    let found = rows.filter_map(|rows| span::spans(&rows.ok()?)).flatten();
    Ok(found.map(|span| id(&span)).filter(|id| ids.contains(id)).collect())
}
