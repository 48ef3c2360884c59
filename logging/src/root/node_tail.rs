//! Live records of one node: a connection to its collector, made again with back-off for
//! as long as somebody reads.
//!
//! ```text
//! connected -> live lines
//! broken    -> named once -> connected again -> said -> what was written meanwhile -> live lines
//! ```
//!
//! A node that says nothing is broken off too: collectors send an empty line where they have
//! no other. Connected first and searched afterwards, so that nothing falls between; what
//! comes twice is shown once ([`Shown`]). What the node passed over, since it has a backlog to read or
//! the reader was slow, is searched for too. A gap that is too large is told, see [`Gap`].
//!
//! From where on is searched, the node says itself: between its lines stands up to when all that was
//! written on it has come by them (a watermark, [`TailLine::Watermark`]). It counts from the moment it
//! is handed on, so what waits in a queue or a socket when something breaks is searched for again.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, future::BoxFuture, stream};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use parking_lot::Mutex;
use tiphys_lifecycle::Backoff;

use super::{Collector, LogRoot, fanout, http::BEAT, source};
use crate::{
    follow::{After, BACK, Gap, Shown},
    time,
    wire::{HistogramAnswer, NodeRequest, SearchAnswer, TailLine},
};

/// What is said of a node begins so when it can't be followed for now; clients know it by that.
const LOST: &str = "can't be followed";
/// And so when it is followed again.
const FOUND: &str = "is back";
/// A line longer than this breaks the connection: no record is that long.
const MAX_LINE: usize = 8 << 20;
/// A node that says nothing for so long is gone, though its connection is there.
const SILENCE: Duration = Duration::from_secs(4 * BEAT.as_secs());
/// How often it is counted what is passed over, while that grows.
const COUNTS: u32 = 3;

/// How far a node's records were shown. It outlives the connection, and the node's place in the list.
pub(super) struct Progress {
    /// What is older was there before.
    began: i64,
    /// All that the node wrote before has been handed on, nanoseconds.
    reached: i64,
    /// Of records up to here it is known which namespaces they are of, nanoseconds.
    known: i64,
    /// How far it was when it was asked for them: of what it read later it had not known.
    asked: i64,
    /// The same, once all is shown that is searched for.
    said: Option<i64>,
    /// The reader was told that the node is missing.
    lost: bool,
    shown: Shown,
}

impl Progress {
    /// All from a time on is to be shown, nanoseconds.
    pub fn from(began: i64) -> Arc<Mutex<Self>> {
        Self::new(began, i64::MAX)
    }

    /// The same of some namespaces; the node [says](Self::says) which it has.
    pub fn among(began: i64) -> Arc<Mutex<Self>> {
        Self::new(began, began)
    }

    fn new(began: i64, known: i64) -> Arc<Mutex<Self>> {
        let shown = Shown::default();
        Arc::new(Mutex::new(Self {
            began,
            reached: began,
            known,
            asked: began,
            said: None,
            lost: false,
            shown,
        }))
    }

    /// The node is asked now which namespaces it has.
    pub fn asks(&mut self) {
        self.asked = self.reached;
    }

    /// All namespaces that the node had at this time are followed, as far as they may be read;
    /// `i64::MAX`: it doesn't matter which it has.
    pub fn says(&mut self, time: i64) {
        // One that is in its backlog alone it had not read of.
        self.said = Some(if time == i64::MAX { time } else { time.min(self.asked) });
    }

    /// The last time before which nothing is missing, nanoseconds.
    pub fn whole(&self) -> i64 {
        self.reached.min(self.known)
    }

    /// From where on records may be missing.
    fn gap(&self) -> i64 {
        self.began.max(self.whole().saturating_sub(BACK))
    }

    /// All that was written before this time has come. What was said of namespaces holds when nothing is
    /// searched for any more.
    fn reach(&mut self, time: i64, is_searching: bool) {
        self.reached = self.reached.max(time);
        if let Some(said) = self.said.take_if(|_| !is_searching) {
            self.known = said;
        }
        self.shown.forget(self.gap());
    }
}

/// What was asked of the node beside its live records.
enum Asked {
    Page(Result<SearchAnswer, String>),
    Over(Over),
}

/// How many records are passed over between two times.
struct Over {
    counts: Result<HistogramAnswer, String>,
    from: i64,
    to: i64,
    /// How often it was asked.
    times: u32,
}

pub(super) struct NodeTail {
    root: LogRoot,
    collector: Collector,
    request: NodeRequest,
    progress: Arc<Mutex<Progress>>,
    connection: Option<Incoming>,
    /// When it was made; what is older than that doesn't come by it.
    connected: i64,
    /// It has said something.
    opened: bool,
    buffer: BytesMut,
    lines: VecDeque<TailLine>,
    backoff: Backoff,
    /// To be waited for before the next try.
    pause: Option<Duration>,
    /// Something was written that did not come by a connection.
    behind: bool,
    gap: Option<Gap>,
    asked: Option<BoxFuture<'static, Asked>>,
    silence: Duration,
    most: usize,
}

impl NodeTail {
    /// Of a node that is `behind` what was written since then is shown first.
    pub fn new(
        root: LogRoot,
        collector: Collector,
        request: NodeRequest,
        progress: Arc<Mutex<Progress>>,
        behind: bool,
    ) -> Self {
        let most = root.most;
        Self {
            root,
            collector,
            request,
            progress,
            connection: None,
            connected: i64::MIN,
            opened: false,
            buffer: BytesMut::new(),
            lines: VecDeque::new(),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
            pause: None,
            behind,
            gap: None,
            asked: None,
            silence: SILENCE,
            most,
        }
    }

    pub fn lines(self) -> impl Stream<Item = TailLine> + Send {
        stream::unfold(self, |mut node| async move {
            let line = node.next().await;
            Some((line, node))
        })
    }

    /// Breaks the connection off, and tells the reader once that the node is missing.
    pub fn report(&mut self, error: &str) {
        self.connection = None;
        self.opened = false;
        self.buffer.clear();
        (self.gap, self.asked) = (None, None);
        self.behind = true;
        self.pause = Some(self.backoff.next_pause());
        let was_lost = std::mem::replace(&mut self.progress.lock().lost, true);
        if !was_lost {
            self.say(format!("{LOST}: {error}; its lines follow when it is back"));
        }
    }

    /// A sentence about the node.
    fn say(&mut self, what: String) {
        let partial = fanout::node_error(&self.collector.node, what);
        self.lines.push_back(TailLine::Partial { partial });
    }

    async fn next(&mut self) -> TailLine {
        loop {
            while let Some(line) = self.lines.pop_front() {
                if self.is_handed_on(&line) {
                    return line;
                }
            }
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
                self.find_again().await;
            }
            if let Err(error) = self.advance().await {
                self.report(&error);
            }
        }
    }

    /// Whether the next line that waited is to be handed on; if so it is from now on.
    fn is_handed_on(&mut self, line: &TailLine) -> bool {
        match line {
            TailLine::Record(record) => {
                let is_new = self.progress.lock().shown.is_new(&record.id);
                self.gap.iter_mut().filter(|_| is_new).for_each(Gap::count);
                is_new
            }
            TailLine::Watermark { watermark, .. } => {
                let is_searching = self.gap.is_some();
                time::parse(watermark).is_some_and(|time| {
                    self.progress.lock().reach(time, is_searching);
                    true
                })
            }
            _ => true,
        }
    }

    /// Connects, or reads one piece, live or found.
    pub async fn advance(&mut self) -> Result<(), String> {
        if self.asked.is_none()
            && let Some(gap) = &self.gap
        {
            self.asked = Some(self.page(gap));
        }
        let Some(connection) = &mut self.connection else { return self.connect().await };
        let asked = &mut self.asked;
        let answer = async {
            match asked {
                Some(asked) => asked.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            frame = tokio::time::timeout(self.silence, connection.frame()) => {
                let frame = frame.map_err(|_| self.silent())?;
                self.take_frame(frame)
            }
            answer = answer => {
                self.asked = None;
                self.take_answer(answer);
                Ok(())
            }
        }
    }

    async fn connect(&mut self) -> Result<(), String> {
        let sent = source::send(&self.root.http, &self.collector, "/v1/tail", Some(&self.request));
        let response = tokio::time::timeout(self.silence, sent).await;
        let response = response.map_err(|_| self.silent())??;
        if !response.status().is_success() {
            return Err(format!("collector answered {}", response.status()));
        }
        self.connection = Some(response.into_body());
        self.connected = time::now();
        Ok(())
    }

    fn silent(&self) -> String {
        format!("the collector has said nothing for {:?}", self.silence)
    }

    fn take_frame(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Result<(), String> {
        let frame = match frame {
            None => return Err("the collector ended the stream".into()),
            Some(frame) => frame.map_err(|error| format!("the stream broke off: {error}"))?,
        };
        self.backoff.reset();
        if !std::mem::replace(&mut self.opened, true) {
            self.open();
        }
        match frame.into_data() {
            Ok(data) => self.take_in(&data),
            Err(_) => Ok(()),
        }
    }

    /// The node has said the first word.
    fn open(&mut self) {
        let was_lost = std::mem::take(&mut self.progress.lock().lost);
        if was_lost {
            self.say(format!("{FOUND}; its lines since it was lost follow"));
        }
        if std::mem::take(&mut self.behind) {
            let from = self.progress.lock().gap();
            self.search(from, Some(self.connected));
        }
    }

    /// All from a time on is searched for. Live lines are those since `until`, or those that come from
    /// now on.
    fn search(&mut self, from: i64, until: Option<i64>) {
        let floor = self.progress.lock().gap();
        self.gap = Some(Gap::new(from, floor, until, time::now(), self.most));
    }

    /// So many records were passed over, of which none is older than `since`. They are searched for;
    /// gives back what is to be told instead.
    fn take_dropped(&mut self, line: TailLine, since: Option<i64>) -> Option<TailLine> {
        let floor = self.progress.lock().gap();
        self.search(since.unwrap_or(floor).max(floor), None);
        // Older ones have a time of their own.
        since.is_some_and(|since| since < floor).then_some(line)
    }

    fn take_in(&mut self, data: &Bytes) -> Result<(), String> {
        self.buffer.extend_from_slice(data);
        while let Some(end) = memchr::memchr(b'\n', &self.buffer) {
            let line = self.buffer.split_to(end + 1);
            if line.len() > 1 {
                let line: TailLine =
                    serde_json::from_slice(&line).map_err(|error| format!("bad line: {error}"))?;
                let line = match (&mut self.gap, &line) {
                    (Some(gap), _) => gap.hold(line),
                    (None, TailLine::Dropped { since, .. }) => {
                        let since = *since;
                        self.take_dropped(line, since)
                    }
                    (None, _) => Some(line),
                };
                self.lines.extend(line);
            }
        }
        if self.buffer.len() > MAX_LINE { Err("a line without end".into()) } else { Ok(()) }
    }

    /// Asks for the next page of the gap.
    fn page(&self, gap: &Gap) -> BoxFuture<'static, Asked> {
        let (root, collector) = (self.root.clone(), self.collector.clone());
        let (request, pause) = (gap.request(&self.request), gap.pause());
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Asked::Page(source::answer(&root, &collector, "/v1/search", &request).await)
        }
        .boxed()
    }

    /// Asks how many records lie between two times.
    fn over(&self, from: i64, to: i64, times: u32) -> BoxFuture<'static, Asked> {
        let (root, collector) = (self.root.clone(), self.collector.clone());
        let request =
            NodeRequest { since: Some(from), until: Some(to), buckets: Some(1), ..self.request.clone() };
        async move {
            let counts = source::answer(&root, &collector, "/v1/histogram", &request).await;
            Asked::Over(Over { counts, from, to, times })
        }
        .boxed()
    }

    fn take_answer(&mut self, answer: Asked) {
        match answer {
            Asked::Page(Ok(page)) => self.take_page(page),
            Asked::Page(Err(error)) => {
                let Some(gap) = &mut self.gap else { return };
                if !gap.failed() {
                    let from = time::format(gap.begin());
                    self.say(format!("lines since {from} may be missing: {error}; search for that time"));
                    self.go_live();
                }
            }
            Asked::Over(over) => self.take_over(over),
        }
    }

    /// Tells what is passed over. Live lines that were let go while it was counted belong to it.
    fn take_over(&mut self, over: Over) {
        let Over { counts, from, to, times } = over;
        let end = self.gap.as_ref().map_or(to, Gap::end).max(to);
        if end > to && times < COUNTS {
            self.asked = Some(self.over(from, end, times + 1));
            return;
        }
        // Without a count the range is told alone.
        let bars = counts.map_or_else(|_| Vec::new(), |answer| answer.buckets);
        let dropped = bars.iter().map(|bar| bar.count).sum::<u64>();
        if dropped > 0 {
            let node = self.collector.node.clone();
            self.lines.push_back(TailLine::Dropped { dropped, node, since: None });
        }
        // Late lines are older than what was shown, so they are not among those that were counted.
        let late = self.gap.as_ref().and_then(Gap::let_go_since).filter(|since| *since < from);
        let lines = match (end > to || late.is_some()) && dropped > 0 {
            true => format!("at least {dropped} lines"),
            false => "lines".to_owned(),
        };
        let from = late.unwrap_or(from);
        let (from, end) = (time::format(from), time::format(end));
        self.say(format!("{lines} from {from} to {end} were too many to show: search for that time"));
        self.go_live();
    }

    fn take_page(&mut self, page: SearchAnswer) {
        let Some(gap) = &mut self.gap else { return };
        let (lacks, from) = (gap.lacks(&page), gap.begin());
        let after = gap.after(&page, time::now());
        let (to, too_old) = (gap.end(), gap.too_old());
        let node = self.collector.node.clone();
        let whole = gap.whole().map(|time| TailLine::Watermark { watermark: time::format(time), node });
        let records = page.records.into_iter().map(|record| TailLine::Record(Box::new(record)));
        self.lines.extend(records);
        for error in lacks {
            self.say(format!("lines since {} may be missing: {error}", time::format(from)));
        }
        if let Some((from, to)) = too_old {
            let (from, to) = (time::format(from), time::format(to));
            self.say(format!("late lines from {from} to {to} may be missing: search for that time"));
        }
        match after {
            After::Page => self.lines.extend(whole),
            After::Live => self.go_live(),
            After::Over(from) => self.asked = Some(self.over(from, to.max(from), 1)),
        }
    }

    /// The search is through, or given up and said so.
    fn go_live(&mut self) {
        let held = self.gap.take().into_iter().flat_map(Gap::into_held);
        self.lines.extend(held);
    }

    /// The node's collector may have come back at another address.
    async fn find_again(&mut self) {
        let node = &self.collector.node;
        if let Some(found) = self.root.collectors.list().await.into_iter().find(|c| c.node == *node) {
            self.collector = found;
        }
    }
}

#[cfg(test)]
mod tests;
