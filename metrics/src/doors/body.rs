//! A request's body: read within bounds, of one, of one sender's and of all together, and unpacked
//! within bounds.

use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Refusal;

/// Bytes of a request as it is sent, and unpacked.
pub const MAX_PACKED: usize = 16 << 20;
pub const MAX_PLAIN: usize = 32 << 20;
/// A sender has so long for its request.
const READ_TIME: Duration = Duration::from_secs(30);

/// Bytes that bodies may have together until they are understood or passed on. Clones share it.
///
/// The bodies of one owner, mostly a namespace, have no more than they leave free: half of it where
/// nobody else sends, and each that comes has half of what is left. So nobody keeps others out. Those that
/// wait have their turns as they came: the first of an owner goes on before any later one gets more. (A
/// semaphore can't tell it: how much an owner may have changes with what others have, and a body takes
/// some, and then more.)
#[derive(Debug, Clone)]
pub struct Room {
    bytes: usize,
    /// An owner may have so many as long as there are some: one body.
    least: usize,
    /// So long a body waits where it is full.
    wait: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    /// Woken when some is given back.
    freed: Notify,
}

/// Bytes that are taken, and who waits for more.
#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Bodies that have come so far.
    came: u64,
    /// Those who have some, or wait.
    owners: HashMap<String, Owner>,
}

/// What an owner's bodies have.
#[derive(Debug, Default)]
struct Owner {
    bytes: usize,
    /// Those that wait for more, by when they came.
    waiting: BTreeSet<u64>,
}

impl Held {
    fn comes(&mut self) -> u64 {
        self.came += 1;
        self.came
    }

    /// Changes what an owner has; who has nothing and waits for nothing is forgotten.
    fn change<T>(&mut self, owner: &str, change: impl FnOnce(&mut Owner) -> T) -> T {
        let Some(own) = self.owners.get_mut(owner) else {
            let mut own = Owner::default();
            let changed = change(&mut own);
            if !own.is_empty() {
                self.owners.insert(owner.to_owned(), own);
            }
            return changed;
        };
        let changed = change(own);
        if own.is_empty() {
            self.owners.remove(owner);
        }
        changed
    }
}

impl Owner {
    fn is_empty(&self) -> bool {
        self.bytes == 0 && self.waiting.is_empty()
    }
}

/// What a body takes of it, until this is dropped.
#[derive(Debug)]
pub struct Taken {
    shared: Arc<Shared>,
    owner: String,
    bytes: usize,
    /// When it came.
    number: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = self.shared.held.lock();
        held.all = held.all.saturating_sub(self.bytes);
        held.change(&self.owner, |own| {
            own.bytes = own.bytes.saturating_sub(self.bytes);
            own.waiting.remove(&self.number);
        });
        drop(held);
        self.shared.freed.notify_waiters();
    }
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    All,
    /// The owner has its share.
    Own,
}

impl Full {
    fn message(self) -> &'static str {
        match self {
            Self::All => "too much is being sent at once: send again",
            Self::Own => {
                "your requests that are still being read fill your share of the room for them: send again, \
                 fewer at once"
            }
        }
    }
}

impl Room {
    pub fn new(bytes: usize, wait: Duration) -> Self {
        Self { bytes, least: MAX_PACKED, wait, shared: Arc::default() }
    }

    /// The same, where an owner may have so many bytes whatever is left.
    #[cfg(test)]
    pub fn with_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// All bytes of the body, still packed, on an owner's account. What has come counts, not what was
    /// announced: who sends slowly takes little.
    ///
    /// # Errors
    /// Too many, too slow, or it broke off; and there is no room for it.
    pub async fn read(&self, owner: &str, body: Body) -> Result<(Vec<u8>, Taken), Refusal> {
        let slow = || {
            let message = format!("the request was not complete within {READ_TIME:?}");
            Refusal::new(StatusCode::REQUEST_TIMEOUT, message)
        };
        tokio::time::timeout(READ_TIME, self.frames(owner, body)).await.map_err(|_| slow())?
    }

    async fn frames(&self, owner: &str, mut body: Body) -> Result<(Vec<u8>, Taken), Refusal> {
        let number = self.shared.held.lock().comes();
        let mut taken = Taken { shared: self.shared.clone(), owner: owner.to_owned(), bytes: 0, number };
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::malformed(format!("the request broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > MAX_PACKED {
                return Err(too_large());
            }
            self.take(data.len(), &mut taken).await?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, taken))
    }

    /// Not 429: a Prometheus that isn't told to takes that for a reason to drop what it sends.
    async fn take(&self, count: usize, taken: &mut Taken) -> Result<(), Refusal> {
        let mut why = Full::All;
        let taking = async {
            loop {
                // It hears of what is given back from here on.
                let freed = self.shared.freed.notified();
                match self.try_take(count, taken) {
                    Ok(()) => return,
                    Err(full) => why = full,
                }
                freed.await;
            }
        };
        let done = tokio::time::timeout(self.wait, taking).await;
        done.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why.message()))
    }

    /// Takes some, or waits for it in its place from here on.
    fn try_take(&self, count: usize, taken: &mut Taken) -> Result<(), Full> {
        let mut held = self.shared.held.lock();
        let all = held.all;
        let (done, goes_on) = held.change(&taken.owner, |own| {
            let is_next = own.waiting.first().is_none_or(|first| *first >= taken.number);
            let may = match is_next {
                true => self.check(all, own.bytes, count),
                false => Err(Full::Own),
            };
            match may {
                Ok(()) => {
                    own.bytes += count;
                    (Ok(()), own.waiting.remove(&taken.number) && !own.waiting.is_empty())
                }
                Err(full) => {
                    if !self.wait.is_zero() {
                        own.waiting.insert(taken.number);
                    }
                    (Err(full), false)
                }
            }
        });
        if done.is_ok() {
            held.all += count;
            taken.bytes += count;
        }
        drop(held);
        if goes_on {
            // There may be room for the one behind it, too.
            self.shared.freed.notify_waiters();
        }
        done
    }

    /// Whether there is room for more, where so much of all is taken, and so much of that is the owner's.
    fn check(&self, all: usize, own: usize, more: usize) -> Result<(), Full> {
        let left = self.bytes.checked_sub(all.saturating_add(more)).ok_or(Full::All)?;
        match own.saturating_add(more) <= left.max(self.least) {
            true => Ok(()),
            false => Err(Full::Own),
        }
    }
}

/// What `Content-Encoding` says.
pub fn packing(headers: &HeaderMap) -> String {
    let named = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    named.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Unpacks. What is longer than [`MAX_PLAIN`] is refused before it is in memory.
///
/// # Errors
/// Broken, too large, or packed in a way that isn't known.
pub fn unpack(bytes: Vec<u8>, packing: &str) -> Result<Vec<u8>, Refusal> {
    let broken =
        |error: &dyn std::fmt::Display| Refusal::malformed(format!("the request can't be unpacked: {error}"));
    let reader: Box<dyn Read> = match packing {
        "" | "identity" => return Ok(bytes),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        "zstd" => {
            let mut decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|error| broken(&error))?;
            // A frame may not ask for more memory than a whole body may have.
            decoder.window_log_max(MAX_PLAIN.ilog2()).map_err(|error| broken(&error))?;
            Box::new(decoder)
        }
        "snappy" => {
            let length = snap::raw::decompress_len(&bytes).map_err(|error| broken(&error))?;
            if length > MAX_PLAIN {
                return Err(too_large());
            }
            return snap::raw::Decoder::new().decompress_vec(&bytes).map_err(|error| broken(&error));
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            let message = format!("encoding `{}` is not known", shown.escape_debug());
            return Err(Refusal::unsupported(message));
        }
    };
    let mut plain = Vec::new();
    reader.take(MAX_PLAIN as u64 + 1).read_to_end(&mut plain).map_err(|error| broken(&error))?;
    match plain.len() > MAX_PLAIN {
        true => Err(too_large()),
        false => Ok(plain),
    }
}

fn too_large() -> Refusal {
    let (packed, plain) = (MAX_PACKED >> 20, MAX_PLAIN >> 20);
    Refusal::too_large(format!(
        "the request is larger than {packed} MiB as it is or {plain} MiB unpacked: send less at once"
    ))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn abuse_33_bodies_have_so_many_bytes_together_and_slow_ones_few() {
        let room = Room::new(10, Duration::ZERO);
        let begun = |bytes: &'static [u8]| {
            let some = stream::iter([Ok::<_, axum::Error>(bytes)]);
            Body::from_stream(some.chain(stream::pending()))
        };
        let mut slow = Box::pin(room.read("shop", begun(b"12345678")));
        assert!(slow.as_mut().now_or_never().is_none(), "it is not complete");
        let refused = room.read("bank", Body::from("123")).await.expect_err("there is no room");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let (bytes, taken) = room.read("bank", Body::from("12")).await.expect("there is room");
        assert_eq!(bytes, b"12");
        assert!(room.read("shop", Body::from("1")).await.is_err(), "what is being passed on counts");
        drop((slow, taken));
        assert!(room.read("shop", Body::from("1234567890")).await.is_ok());
    }

    #[tokio::test]
    async fn abuse_33_bodies_of_one_owner_leave_room_for_those_of_others() {
        let room = Room::new(16, Duration::ZERO).with_least(2);
        let read = async |owner: &str, count: usize| {
            let body = room.read(owner, Body::from("x".repeat(count))).await;
            body.map(|(_, taken)| taken).map_err(|refused| (refused.status, refused.message))
        };
        let full = |full: Full| (StatusCode::SERVICE_UNAVAILABLE, full.message().to_owned());
        let greedy = read("shop", 8).await.expect("half of it");
        assert_eq!(read("shop", 1).await.err(), Some(full(Full::Own)));
        // Each that comes has half of what is left, and where that is little, one body.
        let bank = read("bank", 4).await.expect("another has room");
        assert_eq!(read("bank", 1).await.err(), Some(full(Full::Own)));
        let others = [read("ops", 2).await.expect("room"), read("late", 2).await.expect("room")];
        assert_eq!(read("last", 1).await.err(), Some(full(Full::All)));
        drop((greedy, others));
        assert!(read("bank", 2).await.is_ok(), "there is more again for who has some");
        drop(bank);
        assert!(read("shop", 8).await.is_ok());
        let held = room.shared.held.lock();
        assert_eq!((held.all, held.owners.len()), (0, 0), "who has none is forgotten");
    }

    /// Reads a body as far as it gets now: its bytes, if that is all of them.
    fn looked(
        body: &mut std::pin::Pin<Box<impl Future<Output = Result<(Vec<u8>, Taken), Refusal>>>>,
    ) -> Option<usize> {
        body.as_mut().now_or_never().map(|read| read.expect("room").0.len())
    }

    #[tokio::test]
    async fn abuse_33_bodies_of_an_owner_that_wait_are_served_as_they_came() {
        let room = Room::new(10, Duration::from_secs(5));
        let read = |owner: &'static str, body: &'static str| Box::pin(room.read(owner, Body::from(body)));
        let (_, taken) = read("bank", "12345678").await.expect("there is room");
        let (mut first, mut second) = (read("shop", "12345"), read("shop", "12"));
        assert_eq!(looked(&mut first), None, "there is no room for it");
        assert_eq!(looked(&mut second), None, "the first waits, though there is room for this one");
        assert_eq!(looked(&mut read("ops", "12")), Some(2), "another owner's waits for neither");
        drop(taken);
        // There is room for both; who looks first is not who came first.
        assert_eq!((looked(&mut second), looked(&mut first), looked(&mut second)), (None, Some(5), Some(2)));
        drop((first, second));
        let held = room.shared.held.lock();
        assert_eq!((held.all, held.owners.len()), (0, 0), "who has none and waits not is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_keeps_no_other_back() {
        let room = Room::new(10, Duration::from_secs(5));
        let (_, _taken) = room.read("bank", Body::from("12345678")).await.expect("there is room");
        let mut first = Box::pin(room.read("shop", Body::from("12345")));
        assert!(first.as_mut().now_or_never().is_none(), "there is no room for it");
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = room.read("shop", Body::from("12"));
        let (first, second) = tokio::join!(first, second);
        let refused = first.expect_err("there was never room");
        assert_eq!((refused.message.as_str(), second.expect("its turn").0.len()), (Full::All.message(), 2));
    }

    #[tokio::test]
    async fn a_body_that_was_begun_goes_before_those_that_came_later() {
        let room = Room::new(10, Duration::from_secs(5));
        let (_, taken) = room.read("bank", Body::from("1234")).await.expect("there is room");
        let frames = stream::iter(["1234", "5678"].map(Ok::<_, axum::Error>));
        let mut begun = Box::pin(room.read("shop", Body::from_stream(frames)));
        let mut later = Box::pin(room.read("shop", Body::from("12")));
        assert_eq!(looked(&mut begun), None, "there is room for the first half");
        assert_eq!(looked(&mut later), None, "it would take what the other one needs");
        drop(taken);
        assert_eq!((looked(&mut later), looked(&mut begun), looked(&mut later)), (None, Some(8), Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_a_body_waits_for_a_while() {
        let room = Room::new(10, Duration::from_secs(5));
        let (_, taken) = room.read("shop", Body::from("12345678")).await.expect("there is room");
        let begun = tokio::time::Instant::now();
        let refused = room.read("shop", Body::from("123")).await.expect_err("there is no room");
        assert_eq!((refused.status, begun.elapsed().as_secs()), (StatusCode::SERVICE_UNAVAILABLE, 5));
        let mut waiting = Box::pin(room.read("shop", Body::from("123")));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is no room yet");
        drop(taken);
        assert_eq!(waiting.await.expect("there is room now").0, b"123");
    }
}
