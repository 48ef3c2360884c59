//! The same questions to both, cold (a new process, no file cache) and warm.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    Result,
    ours::Ours,
    peer::Peer,
    rounds::{RARE, Rounds, pod},
};

/// Nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// Warm rounds; the best counts.
const WARM: usize = 7;

struct Question {
    what: &'static str,
    path: &'static str,
    ours: Value,
    peer_path: &'static str,
    peer: Vec<(&'static str, String)>,
}

/// Asks, prints a row a question.
pub fn ask(ours: &mut Ours, mut peer: Option<&mut Peer>, rounds: &Rounds) -> Result<()> {
    println!(
        "\n| search | tiphys cold, ms | warm | VictoriaLogs cold | warm | found |\n|---|---|---|---|---|---|"
    );
    for question in questions(rounds) {
        ours.restart()?;
        let (cold, found) = timed(|| question.of_ours(ours))?;
        let warm = best(|| question.of_ours(ours))?;
        let (mut peer_times, mut same) = ("- | -".to_owned(), String::new());
        if let Some(peer) = peer.as_deref_mut() {
            peer.restart()?;
            let (cold, found_there) = timed(|| question.of_peer(peer))?;
            let warm = best(|| question.of_peer(peer))?;
            peer_times = format!("{cold:.1} | {warm:.1}");
            if found_there != found {
                same = format!(" (VictoriaLogs: {found_there})");
            }
        }
        println!("| {} | {cold:.1} | {warm:.1} | {peer_times} | {found}{same} |", question.what);
    }
    Ok(())
}

fn questions(rounds: &Rounds) -> Vec<Question> {
    let (since, until) = (rounds.oldest, rounds.newest + 1);
    let range = || vec![("start", nanos(since)), ("end", nanos(until))];
    // Whole minutes, as the peer has them by itself.
    let since_minute = since - since % MINUTE;
    let minutes = (until - since) / 60 / MINUTE + 1;
    let step = format!("{minutes}m");
    let records = |what, query: &str, limit: usize, theirs: &str| Question {
        what,
        path: "/v1/search",
        ours: json!({ "query": query, "limit": limit }),
        peer_path: "/select/logsql/query",
        peer: [range(), vec![("query", theirs.to_owned()), ("limit", limit.to_string())]].concat(),
    };
    let bars = |what, query: &str, theirs: &str| Question {
        what,
        path: "/v1/histogram",
        ours: json!({ "query": query, "buckets": 60, "since": since, "until": until }),
        peer_path: "/select/logsql/hits",
        peer: [range(), vec![("query", theirs.to_owned()), ("step", step.clone())]].concat(),
    };
    let mut by_namespace = bars("a word by minute and namespace", "expired", "expired");
    by_namespace.path = "/v1/stats";
    let stats = json!({ "by": ["ns"], "step_ns": minutes * MINUTE, "origin": since_minute });
    by_namespace.ours = json!({ "query": "expired", "since": since, "until": until, "stats": stats });
    by_namespace.peer.push(("field", "namespace".into()));
    let stream = format!("{{namespace=\"team-0\",pod=\"{}\"}}", pod(2));
    vec![
        records("rare word", RARE, 100, RARE),
        records("trace id", &rounds.trace, 100, &rounds.trace),
        records("last 100 of a common word", "expired", 100, "expired"),
        records("last 100 of a stream", &format!("ns:team-0 pod:{}", pod(2)), 100, &stream),
        bars("count of a phrase", "\"carts expired\"", "\"carts expired\""),
        bars("histogram over all", "", "*"),
        bars("histogram of a word", "expired", "expired"),
        by_namespace,
        bars("count of a regular expression", "/took 8[0-9]ms/", "~\"took 8[0-9]ms\""),
        bars("count of a field's value", "status:503", "\"status\\\":503\""),
    ]
}

fn nanos(time: i64) -> String {
    time.to_string()
}

impl Question {
    fn of_ours(&self, ours: &Ours) -> Result<u64> {
        let answer = ours.post(self.path, self.ours.clone())?;
        if let Some(records) = answer["records"].as_array() {
            return Ok(records.len() as u64);
        }
        let count = |counted: &Value| counted["count"].as_u64().unwrap_or(0);
        if let Some(series) = answer["series"].as_array() {
            let cells =
                series.iter().filter_map(|series| series["cells"].as_object()).flat_map(|all| all.values());
            return Ok(cells.map(count).sum());
        }
        Ok(sum(&answer["buckets"], &count))
    }

    fn of_peer(&self, peer: &Peer) -> Result<u64> {
        let query: Vec<(&str, &str)> =
            self.peer.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = peer.get(self.peer_path, &query)?;
        if self.peer_path.ends_with("query") {
            return Ok(text.lines().count() as u64);
        }
        let answer: Value = serde_json::from_str(&text)?;
        Ok(sum(&answer["hits"], &|group| group["total"].as_u64().unwrap_or(0)))
    }
}

fn sum(list: &Value, of: &dyn Fn(&Value) -> u64) -> u64 {
    list.as_array().into_iter().flatten().map(of).sum()
}

/// Milliseconds, and what was found.
fn timed(question: impl Fn() -> Result<u64>) -> Result<(f64, u64)> {
    let started = Instant::now();
    let found = question()?;
    Ok((started.elapsed().as_secs_f64() * 1000.0, found))
}

fn best(question: impl Fn() -> Result<u64>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..WARM {
        best = best.min(timed(&question)?.0);
    }
    Ok(best)
}
