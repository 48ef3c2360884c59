//! Which blocks a query must look into, and their records.

use std::sync::Arc;

use super::{Progress, Request};
use crate::{
    block::{BlockHead, CorruptBlock, Front, Marks, SealedBlock},
    index::{Floors, IndexError, Split, Store},
    query::{
        compile::{StreamView, Verdict},
        lines, text,
    },
    record::{Labels, Record, StreamInfo},
    time,
};

/// A block that may have hits.
pub(super) struct Candidate {
    pub info: Arc<StreamInfo>,
    pub labels: Option<Labels>,
    pub head: BlockHead,
    /// Of the query's leaves.
    pub verdicts: Vec<Verdict>,
    /// Of the whole query: `Maybe` or `Yes`.
    pub verdict: Verdict,
    /// Records of an earlier time are gone.
    pub floor: i64,
    place: Place,
}

enum Place {
    Open(Vec<Record>),
    Sealed(Arc<SealedBlock>),
    Split(Arc<Split>, usize),
}

/// A stream, judged.
struct Judged {
    info: Arc<StreamInfo>,
    labels: Option<Labels>,
    verdicts: Vec<Verdict>,
    floor: i64,
}

/// All blocks that may have hits, in no order.
pub(super) fn plan(store: &Store, request: &Request, progress: &mut Progress) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut sealed = Vec::new();
    // Before the snapshot, which holds the same lock.
    let floors = (store.floors(), time::now());
    let splits = {
        // Held briefly: bodies are shared, not copied, and nothing is matched in here.
        let snapshot = store.snapshot();
        for block in snapshot.open() {
            let head = BlockHead::of(&block.records);
            if request.touches(head.min_time, head.max_time)
                && let Some(judged) = judge(store, request, &floors, &block.info, None)
            {
                let place = Place::Open(block.records.clone());
                candidates.extend(judged.candidate(request, head, place, |_| true));
            }
        }
        sealed.extend(snapshot.sealed().cloned());
        snapshot.splits().to_vec()
    };
    for block in sealed {
        if request.touches(block.head.min_time, block.head.max_time)
            && let Some(judged) = judge(store, request, &floors, &block.info, None)
        {
            let (head, place) = (block.head.clone(), Place::Sealed(block.clone()));
            candidates.extend(judged.candidate(request, head, place, |token| block.may_have(token)));
        }
    }
    if request.query.tokens().any(text::is_id) {
        splits.iter().for_each(|split| split.want_filters());
    }
    for split in splits {
        if progress.is_late(request) {
            break;
        }
        match plan_split(store, request, &floors, &split) {
            Ok(found) => candidates.extend(found),
            Err(error) => report(store, &split, &error, progress),
        }
    }
    candidates
}

/// Of each block of a split whether something is in it.
type Marked = Vec<bool>;

fn marked(split: &Split, token: &[u8]) -> Result<Marked, IndexError> {
    let mut marked = vec![false; split.blocks().len()];
    for block in split.blocks_with(token)? {
        if let Some(block) = marked.get_mut(block as usize) {
            *block = true;
        }
    }
    Ok(marked)
}

fn plan_split(
    store: &Store,
    request: &Request,
    floors: &(Arc<Floors>, i64),
    split: &Arc<Split>,
) -> Result<Vec<Candidate>, IndexError> {
    let judge_entry =
        |entry: &crate::index::StreamEntry| judge(store, request, floors, &entry.info, entry.labels.clone());
    let streams: Vec<Option<Judged>> = split.streams().iter().map(judge_entry).collect();
    let mut words: Vec<(&[u8], Marked)> = Vec::new();
    for token in request.query.tokens().filter(|token| !text::is_id(token)) {
        if !words.iter().any(|(word, _)| *word == token) {
            words.push((token, marked(split, token)?));
        }
    }
    // Blocks of old versions don't have the names of all fields among their words.
    let asks_names = request.query.tokens().any(lines::is_name);
    let names = |mark: &[u8]| if asks_names { marked(split, mark) } else { Ok(Vec::new()) };
    let (named, named_but_syslog) = (names(lines::NAMED)?, names(lines::NAMED_BUT_SYSLOG)?);
    let mut candidates = Vec::new();
    for (at, entry) in split.blocks().iter().enumerate() {
        let Some(judged) = &streams[entry.stream as usize] else { continue };
        if !request.touches(entry.head.min_time, entry.head.max_time) {
            continue;
        }
        let mut failed = None;
        let may_have = |token: &[u8]| {
            if asks_names && lines::is_name(token) {
                let is_named = named[at] || (named_but_syslog[at] && !lines::is_name_of_syslog(token));
                if !is_named {
                    return true;
                }
            }
            if let Some((_, blocks)) = words.iter().find(|(word, _)| *word == token) {
                return blocks[at];
            }
            split.may_have_id(at, token).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        };
        let place = Place::Split(split.clone(), at);
        candidates.extend(judged.candidate(request, entry.head.clone(), place, may_have));
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(candidates)
}

/// What the stream's names and labels say; `None` when no record of it can match.
fn judge(
    store: &Store,
    request: &Request,
    floors: &(Arc<Floors>, i64),
    info: &Arc<StreamInfo>,
    written: Option<Labels>,
) -> Option<Judged> {
    if !request.allows(info) {
        return None;
    }
    let labels = store.pods().get(&info.uid).map(|meta| meta.labels.clone()).or(written);
    let verdicts = request.query.on_stream(StreamView { info, labels: labels.as_deref() });
    let possible = request.query.verdict(&verdicts) != Verdict::No;
    let floor = floors.0.of(&info.namespace, floors.1);
    possible.then(|| Judged { info: info.clone(), labels, verdicts, floor })
}

impl Judged {
    fn candidate(
        &self,
        request: &Request,
        head: BlockHead,
        place: Place,
        may_have: impl FnMut(&[u8]) -> bool,
    ) -> Option<Candidate> {
        if head.max_time < self.floor {
            return None;
        }
        let mut verdicts = self.verdicts.clone();
        request.query.on_times(&mut verdicts, head.min_time, head.max_time);
        if request.query.verdict(&verdicts) == Verdict::No {
            return None;
        }
        request.query.on_block(&mut verdicts, head.level_mask(), may_have);
        let mut verdict = request.query.verdict(&verdicts);
        if verdict == Verdict::Yes && head.min_time < self.floor {
            // Not as a whole.
            verdict = Verdict::Maybe;
        }
        (verdict != Verdict::No).then(|| Candidate {
            info: self.info.clone(),
            labels: self.labels.clone(),
            head,
            verdicts,
            verdict,
            floor: self.floor,
            place,
        })
    }
}

impl Candidate {
    /// The records of a block that is not sealed yet.
    pub fn open(&self) -> Option<&[Record]> {
        match &self.place {
            Place::Open(records) => Some(records),
            _ => None,
        }
    }

    /// Decodes a sealed block's bytes.
    pub fn with_data<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, CorruptBlock>,
    ) -> Result<T, IndexError> {
        match &self.place {
            Place::Split(split, at) => decode(&split.read_block(*at)?).map_err(|error| split.damaged(error)),
            Place::Sealed(block) => decode(&block.data).map_err(in_memory),
            Place::Open(_) => decode(&[]).map_err(in_memory),
        }
    }

    /// The block's counts by interval, where it has them.
    pub fn marks(&self) -> Option<&Marks> {
        match &self.place {
            Place::Open(_) => None,
            Place::Sealed(block) => Some(&block.marks),
            Place::Split(split, at) => Some(&split.blocks()[*at].marks),
        }
    }

    /// Decodes the front of a sealed block, with all that stands behind it if that is wanted;
    /// `None` where it doesn't tell.
    pub fn with_front<T>(
        &self,
        whole: bool,
        decode: impl FnOnce(&Front<'_>) -> Result<Option<T>, CorruptBlock>,
    ) -> Result<Option<T>, IndexError> {
        let count = self.head.count as usize;
        let decode = |bytes: &[u8]| Front::open(bytes, count)?.map_or(Ok(None), |front| decode(&front));
        match &self.place {
            Place::Split(split, at) => {
                let bytes = if whole { split.read_block(*at) } else { split.read_front(*at) };
                decode(&bytes?).map_err(|error| split.damaged(error))
            }
            Place::Sealed(block) => decode(&block.data).map_err(in_memory),
            Place::Open(_) => Ok(None),
        }
    }

    /// The decoded; nothing when the block's split is damaged, which is then reported.
    pub fn sound<T: Default>(
        &self,
        decoded: Result<T, IndexError>,
        store: &Store,
        progress: &mut Progress,
    ) -> T {
        decoded.unwrap_or_else(|error| {
            match &self.place {
                Place::Split(split, _) => report(store, split, &error, progress),
                _ => progress.failed.push((u64::MAX, error.to_string())),
            }
            T::default()
        })
    }
}

/// Never was on a disk: this can't come but by a fault of memory.
fn in_memory(error: CorruptBlock) -> IndexError {
    IndexError::Damaged { split: u64::MAX, what: error.to_string() }
}

/// Names the split in the answer. One that is damaged goes for good, any other is read again by the
/// next question.
fn report(store: &Store, split: &Arc<Split>, error: &IndexError, progress: &mut Progress) {
    progress.failed.push((split.id, error.to_string()));
    if !matches!(error, IndexError::Damaged { .. }) {
        if store.is_unread_now(split.id) {
            tracing::warn!(split = split.id, %error, "split could not be read, answers name it and try again");
        }
    } else if let Err(error) = store.set_aside(split.id, error) {
        tracing::error!(split = split.id, %error, "damaged split can't be set aside");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        block::Words,
        index::{Retention, SplitWriter, tests::info},
        record::{Level, Source},
        wire::NodeRequest,
    };

    #[test]
    fn blocks_of_before_names_were_among_their_words_are_looked_into() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let record = |body: &'static str| Record {
            time: 5,
            seq: 0,
            level: Level::Info,
            source: Source::Stdout,
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        let old = record("web-1 - - [02/Jan/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 503 5");
        let mut old = SealedBlock::seal(info("old"), &[old]).expect("sealed");
        old.words = Words::default();
        let mut former = SealedBlock::seal(info("former"), &[record("nothing of it")]).expect("sealed");
        former.words = Words::new(vec![lines::NAMED_BUT_SYSLOG]);
        let new = SealedBlock::seal(info("new"), &[record("nothing of this kind")]).expect("sealed");
        let path = folder.path().join("split");
        let mut writer = SplitWriter::create(&path).expect("a split");
        for block in [&old, &former, &new] {
            writer.add(block, None).expect("written");
        }
        writer.finish().expect("written");
        let split = Arc::new(Split::open(7, &path).expect("a split"));
        let pods = |query: &str| -> Vec<String> {
            let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
            let request = Request::new(&request, Duration::from_secs(60)).expect(query);
            let floors = (store.floors(), time::now());
            let found = plan_split(&store, &request, &floors, &split).expect("sound");
            found.iter().map(|candidate| candidate.info.pod.clone()).collect()
        };
        assert_eq!(pods("status:>=500"), ["old"]);
        assert_eq!(pods("appname:*"), ["old", "former"], "more lines of syslog have names since");
        assert_eq!(pods("took:>5ms"), Vec::<String>::new());
        assert_eq!(pods("nothing"), ["new"]);
        assert_eq!(pods("NOT status:*"), ["old", "former", "new"]);
    }
}
