//! The same questions to both, cold (a new process, no file cache) and warm.

use std::time::Instant;

use crate::{
    Result, answers,
    catalog::{self, Hit, Question, Theirs},
    interrupt,
    ours::Ours,
    peer::Peer,
    rounds::Rounds,
};

/// Warm rounds; the best counts.
const WARM: usize = 7;

/// Asks, prints a row a question.
pub fn ask(ours: &mut Ours, mut peer: Option<&mut Peer>, rounds: &Rounds) -> Result<()> {
    println!(
        "\n| search | tiphys cold, ms | warm | VictoriaLogs cold | warm | found |\n|---|---|---|---|---|---|"
    );
    let hit = Hit::find(ours)?;
    for question in catalog::questions(rounds, &hit) {
        interrupt::check()?;
        ours.restart()?;
        let own = Measured::of(|| question.of_ours(ours))?;
        let (mut peer_times, mut notes) = ("- | -".to_owned(), String::new());
        if own.found.in_part {
            notes.push_str(" (in part)");
        }
        if let (Some(peer), Some(theirs)) = (peer.as_deref_mut(), &question.theirs) {
            peer.restart()?;
            match Measured::of(|| theirs.of_peer(peer)) {
                Ok(other) => {
                    peer_times = format!("{:.1} | {:.1}", other.cold, other.warm);
                    if other.found.count != own.found.count {
                        notes.push_str(&format!(" (VictoriaLogs: {})", other.found.count));
                    }
                }
                // The rest of a long run is worth having.
                Err(error) => {
                    eprintln!("{}: {error}", question.what);
                    notes.push_str(" (VictoriaLogs failed)");
                }
            }
        }
        let Measured { cold, warm, found } = own;
        println!("| {} | {cold:.1} | {warm:.1} | {peer_times} | {}{notes} |", question.what, found.count);
    }
    Ok(())
}

/// What an answer has, and whether it says that it lacks something.
struct Found {
    count: u64,
    in_part: bool,
}

impl Question {
    fn of_ours(&self, ours: &Ours) -> Result<Found> {
        let mut found = Found { count: 0, in_part: false };
        for (door, body) in &self.ours {
            let answer = ours.post(door, body.clone())?;
            found.count += (self.found)(&answer);
            found.in_part |= answers::is_partial(&answer);
        }
        Ok(found)
    }
}

impl Theirs {
    fn of_peer(&self, peer: &Peer) -> Result<Found> {
        let parameters: Vec<(&str, &str)> =
            self.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = peer.get(self.door, &parameters)?;
        Ok(Found { count: (self.found)(&text)?, in_part: false })
    }
}

/// Milliseconds of the first and of the best later answer, and what the last one had.
struct Measured {
    cold: f64,
    warm: f64,
    found: Found,
}

impl Measured {
    fn of(question: impl Fn() -> Result<Found>) -> Result<Self> {
        let (cold, found) = timed(&question)?;
        let mut measured = Self { cold, warm: f64::INFINITY, found };
        for _ in 0..WARM {
            let (took, again) = timed(&question)?;
            measured.warm = measured.warm.min(took);
            measured.found = Found { in_part: measured.found.in_part || again.in_part, ..again };
        }
        Ok(measured)
    }
}

fn timed(question: impl Fn() -> Result<Found>) -> Result<(f64, Found)> {
    let started = Instant::now();
    let found = question()?;
    Ok((started.elapsed().as_secs_f64() * 1000.0, found))
}
