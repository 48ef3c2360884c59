//! One priority level: its seats, its queues, and whose turn it is.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::shard;

/// Who has waited so long is told to come back later.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a level is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Exempt,
    /// `queues` 0: whoever finds no seat is turned away.
    Limited {
        seats: usize,
        queues: usize,
        hand: usize,
        queue_limit: usize,
    },
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("there is no free seat and no queue")]
    NoSeat,
    #[error("the queues of its flow are full")]
    Queues,
    #[error("it has waited too long")]
    Time,
}

pub struct Level {
    state: Mutex<State>,
}

struct State {
    shape: Shape,
    executing: usize,
    queues: Vec<VecDeque<oneshot::Sender<Seat>>>,
    waiting: usize,
    /// The queue whose turn is next.
    turn: usize,
}

/// The right to be worked on; given back when it is dropped.
pub struct Seat(Option<Arc<Level>>);

impl Level {
    pub fn new(shape: Shape) -> Arc<Self> {
        let level = Self {
            state: Mutex::new(State {
                shape: Shape::Exempt,
                executing: 0,
                queues: Vec::new(),
                waiting: 0,
                turn: 0,
            }),
        };
        let level = Arc::new(level);
        level.reshape(shape);
        level
    }

    /// Takes another shape; who waits goes on waiting, or goes if there is room now.
    pub fn reshape(self: &Arc<Self>, shape: Shape) {
        let mut state = self.state.lock();
        state.shape = shape;
        let wanted = match shape {
            Shape::Limited { queues, .. } => queues,
            Shape::Exempt => 0,
        };
        // Queues that are too many are used up before they go.
        let used = state.queues.iter().rposition(|queue| !queue.is_empty()).map_or(0, |last| last + 1);
        state.queues.resize_with(wanted.max(used), VecDeque::new);
        self.dispatch(&mut state);
    }

    /// A seat: at once, or in turn.
    pub async fn enter(self: &Arc<Self>, flow: u64) -> Result<Seat, Full> {
        let turn = match self.ask(flow)? {
            Asked::Seat(seat) => return Ok(seat),
            Asked::Wait(turn) => turn,
        };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(seat)) => Ok(seat),
            _ => Err(Full::Time),
        }
    }

    fn ask(self: &Arc<Self>, flow: u64) -> Result<Asked, Full> {
        let mut state = self.state.lock();
        let Shape::Limited { seats, queues, hand, queue_limit } = state.shape else {
            return Ok(Asked::Seat(Seat(None)));
        };
        if state.executing < seats && state.waiting == 0 {
            state.executing += 1;
            return Ok(Asked::Seat(Seat(Some(self.clone()))));
        }
        let mine = shard::hand(flow, queues, hand);
        for queue in &mine {
            state.forget_the_gone(*queue);
        }
        let shortest = mine.into_iter().min_by_key(|queue| state.queues[*queue].len()).ok_or(Full::NoSeat)?;
        if state.queues[shortest].len() >= queue_limit {
            return Err(Full::Queues);
        }
        let (sender, turn) = oneshot::channel();
        state.queues[shortest].push_back(sender);
        state.waiting += 1;
        // Those who were in front may all have gone.
        self.dispatch(&mut state);
        Ok(Asked::Wait(turn))
    }

    /// Gives free seats to who waits, a queue after the other.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        while state.waiting > 0 && state.has_room() {
            let count = state.queues.len();
            let next = (0..count).map(|step| (state.turn + step) % count);
            let Some(queue) = next.into_iter().find(|queue| !state.queues[*queue].is_empty()) else { return };
            state.turn = (queue + 1) % count;
            let Some(waiting) = state.queues[queue].pop_front() else { return };
            state.waiting -= 1;
            state.executing += 1;
            if let Err(mut seat) = waiting.send(Seat(Some(self.clone()))) {
                // Who asked has gone. The seat is given back here: to drop it would lock again.
                seat.0 = None;
                state.executing -= 1;
            }
        }
    }

    fn release(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.executing -= 1;
        self.dispatch(&mut state);
    }

    #[cfg(test)]
    pub fn figures(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.executing, state.waiting)
    }
}

enum Asked {
    Seat(Seat),
    Wait(oneshot::Receiver<Seat>),
}

impl State {
    fn has_room(&self) -> bool {
        match self.shape {
            Shape::Exempt => true,
            Shape::Limited { seats, .. } => self.executing < seats,
        }
    }

    fn forget_the_gone(&mut self, queue: usize) {
        let before = self.queues[queue].len();
        self.queues[queue].retain(|waiting| !waiting.is_closed());
        self.waiting -= before - self.queues[queue].len();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(level) = self.0.take() {
            level.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SMALL: Shape = Shape::Limited { seats: 2, queues: 32, hand: 4, queue_limit: 3 };

    fn go(level: &Arc<Level>, flow: u64) -> Seat {
        level.enter(flow).now_or_never().expect("a free seat").expect("a seat")
    }

    #[tokio::test]
    async fn seats_are_given_back_and_passed_on() {
        let level = Level::new(SMALL);
        let (one, two) = (go(&level, 1), go(&level, 1));
        let third = level.enter(1);
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(level.figures(), (2, 1));
        drop(one);
        let third = third.await.expect("a seat");
        assert_eq!(level.figures(), (2, 0));
        drop((two, third));
        assert_eq!(level.figures(), (0, 0));
    }

    #[tokio::test]
    async fn a_flood_fills_its_own_queues_and_another_flow_is_served_in_its_turn() {
        let level = Level::new(SMALL);
        let held = [go(&level, 1), go(&level, 1)];
        let (flood, other) = (shard::flow("s", "flood"), shard::flow("s", "other"));
        let mut waiting = Vec::new();
        let mut refused = 0;
        for _ in 0..1000 {
            let mut entering = Box::pin(level.enter(flood));
            match entering.as_mut().now_or_never() {
                None => waiting.push(entering),
                Some(result) => refused += usize::from(result.is_err()),
            }
        }
        // Four queues of three, whatever comes.
        assert_eq!((waiting.len(), refused), (12, 988));
        let mut quiet = Box::pin(level.enter(other));
        assert!(quiet.as_mut().now_or_never().is_none());
        // One turn of each queue that is not empty, and it has been its turn.
        let mut served = 0;
        drop(held);
        loop {
            if quiet.as_mut().now_or_never().is_some_and(|seat| seat.is_ok()) {
                break;
            }
            served += 1;
            assert!(served <= 5, "the other flow is starved");
            let position = waiting.iter_mut().position(|entering| entering.now_or_never().is_some());
            drop(waiting.remove(position.expect("somebody has a seat")));
        }
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_hole() {
        let level = Level::new(Shape::Limited { seats: 1, queues: 1, hand: 1, queue_limit: 2 });
        let seat = go(&level, 1);
        let mut gone = Box::pin(level.enter(1));
        let mut stays = Box::pin(level.enter(1));
        assert!(gone.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        assert_eq!(level.enter(1).await.err(), Some(Full::Queues));
        drop(gone);
        let mut next = Box::pin(level.enter(1));
        assert!(next.as_mut().now_or_never().is_none());
        drop(seat);
        let stays = stays.await.expect("a seat");
        assert_eq!(level.figures(), (1, 1));
        // A seat that is on its way to somebody who has gone comes back.
        drop(stays);
        drop(next);
        assert_eq!(level.figures(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_an_end() {
        let level = Level::new(Shape::Limited { seats: 1, queues: 1, hand: 1, queue_limit: 2 });
        let _seat = go(&level, 1);
        assert_eq!(level.enter(1).await.err(), Some(Full::Time));
        level.reshape(Shape::Limited { seats: 1, queues: 0, hand: 0, queue_limit: 0 });
        assert_eq!(level.enter(1).await.err(), Some(Full::NoSeat));
        level.reshape(Shape::Exempt);
        assert!(level.enter(1).await.is_ok());
    }
}
