//! The questions, each in the words of either of the two.
//!
//! Where the peer has no field (it gets all bodies as texts), it takes the value out of the
//! body by `extract`, which its manual names as the fastest way. Its facets are of every field
//! that it has, those of the collector of the names of streams and the level: either is what
//! the page of a search asks for.

use serde_json::{Value, json};
use tiphys_logging::record::Position;

use crate::{
    Result,
    answers::{self, TOP},
    ours::Ours,
    rounds::{RARE, Rounds, pod},
};

/// Nanoseconds.
const MINUTE: i64 = 60_000_000_000;
/// Records on either side of a hit.
const AROUND: usize = 20;
/// A word that the lines of the JSON service have, and no others.
const JSON: &str = "duration_ms";
/// Doors of the peer.
const QUERY: &str = "/select/logsql/query";
const HITS: &str = "/select/logsql/hits";
const FACETS: &str = "/select/logsql/facets";

pub struct Question {
    pub what: &'static str,
    /// Doors of the collector and what they are asked, one after the other.
    pub ours: Vec<(&'static str, Value)>,
    /// How much each of its answers has found.
    pub found: fn(&Value) -> u64,
    /// `None`: it can't be asked that.
    pub theirs: Option<Theirs>,
}

pub struct Theirs {
    pub door: &'static str,
    pub parameters: Vec<(&'static str, String)>,
    pub found: fn(&str) -> Result<u64>,
}

/// A record with the rare word, as a search finds it.
pub struct Hit {
    position: Position,
    namespace: String,
    pod: String,
}

impl Hit {
    pub fn find(ours: &Ours) -> Result<Self> {
        let answer = ours.post("/v1/search", json!({ "query": RARE, "limit": 1 }))?;
        let record = &answer["records"][0];
        let text = |name: &str| record[name].as_str().map(str::to_owned).ok_or("no record has the rare word");
        Ok(Self { position: text("id")?.parse()?, namespace: text("namespace")?, pod: text("pod")? })
    }
}

pub fn questions(rounds: &Rounds, hit: &Hit) -> Vec<Question> {
    let range = Range { since: rounds.oldest, until: rounds.newest + 1 };
    let stream = format!("{{namespace=\"team-0\",pod=\"{}\"}}", pod(2));
    vec![
        range.records("rare word", RARE, 100, RARE),
        range.records("trace id", &rounds.trace, 100, &rounds.trace),
        range.records("last 100 of a common word", "expired", 100, "expired"),
        range.records("last 100 of a stream", &format!("ns:team-0 pod:{}", pod(2)), 100, &stream),
        context(hit),
        range.bars("count of a phrase", "\"carts expired\"", "\"carts expired\""),
        range.bars("histogram over all", "", "*"),
        range.bars("histogram of a word", "expired", "expired"),
        range.by_namespace(),
        range.bars("count of a regular expression", "/took 8[0-9]ms/", "~\"took 8[0-9]ms\""),
        range.bars("count of a field's value", "status:503", "\"status\\\":503\""),
        range.top("top 10 of a field with four values", "status", r#"'"status":<status>}'"#, |answer| {
            answers::top(answer, "status")
        }),
        range.top("top 10 of a field with 5,000 values", "user", r#"'"user":"<user>"'"#, |answer| {
            answers::top(answer, "user")
        }),
        range.quantile(),
        range.facets(),
        range.patterns(),
    ]
}

/// The time that questions are about, nanoseconds.
struct Range {
    since: i64,
    until: i64,
}

impl Range {
    fn records(&self, what: &'static str, query: &str, limit: usize, theirs: &str) -> Question {
        let limited = [("limit", limit.to_string())];
        Question {
            what,
            ours: vec![("/v1/search", json!({ "query": query, "limit": limit }))],
            found: answers::records,
            theirs: Some(self.theirs(QUERY, theirs, limited, answers::peer_lines)),
        }
    }

    fn bars(&self, what: &'static str, query: &str, theirs: &str) -> Question {
        let step = [("step", format!("{}m", self.minutes()))];
        Question {
            what,
            ours: vec![("/v1/histogram", self.of(query, "buckets", json!(60)))],
            found: answers::bars,
            theirs: Some(self.theirs(HITS, theirs, step, answers::peer_bars)),
        }
    }

    fn by_namespace(&self) -> Question {
        let bars = self.minutes();
        let stats = json!({
            "by": ["ns"],
            "step_ns": bars * MINUTE,
            "origin": self.since - self.since % MINUTE,
        });
        let told_apart = [("step", format!("{bars}m")), ("field", "namespace".to_owned())];
        Question {
            what: "a word by minute and namespace",
            ours: vec![("/v1/stats", self.of("expired", "stats", stats))],
            found: answers::groups,
            theirs: Some(self.theirs(HITS, "expired", told_apart, answers::peer_bars)),
        }
    }

    /// The most frequent values of a field of the JSON service.
    fn top(
        &self,
        what: &'static str,
        field: &'static str,
        pattern: &str,
        found: fn(&Value) -> u64,
    ) -> Question {
        let theirs = format!("\"{JSON}\" | extract {pattern} | top {TOP} by ({field})");
        Question {
            what,
            ours: vec![("/v1/facets", self.of(JSON, "fields", json!([field])))],
            found,
            theirs: Some(self.theirs(QUERY, &theirs, [], |text| answers::peer_column(text, "hits"))),
        }
    }

    fn quantile(&self) -> Question {
        let stats = json!({ "field": JSON, "step_ns": self.until - self.since, "sketch": true });
        let theirs = format!(
            "\"{JSON}\" | extract '\"{JSON}\":<took>,' \
             | stats quantile(0.99, took) as p99, count(took) as numbers"
        );
        Question {
            what: "quantile of a field's numbers",
            ours: vec![("/v1/stats", self.of(JSON, "stats", stats))],
            found: answers::numbers,
            theirs: Some(self.theirs(QUERY, &theirs, [], |text| answers::peer_column(text, "numbers"))),
        }
    }

    fn facets(&self) -> Question {
        let limited = [("limit", TOP.to_string())];
        let theirs = self.theirs(FACETS, "*", limited, |text| answers::peer_facet(text, "namespace"));
        Question {
            what: "facets over all",
            ours: vec![("/v1/facets", self.of("", "patterns", json!(false)))],
            found: |answer| answers::top(answer, "namespace"),
            theirs: Some(theirs),
        }
    }

    fn patterns(&self) -> Question {
        Question {
            what: "patterns of all",
            ours: vec![("/v1/facets", self.of("", "patterns", json!(true)))],
            found: answers::patterns,
            theirs: None,
        }
    }

    /// What the collector is asked about the range, with one field more.
    fn of(&self, query: &str, name: &str, value: Value) -> Value {
        json!({ "query": query, "since": self.since, "until": self.until, name: value })
    }

    /// What the peer is asked about the range, with what comes beside it.
    fn theirs<const MORE: usize>(
        &self,
        door: &'static str,
        query: &str,
        more: [(&'static str, String); MORE],
        found: fn(&str) -> Result<u64>,
    ) -> Theirs {
        let mut parameters = vec![("query", query.to_owned())];
        parameters.extend([("start", self.since.to_string()), ("end", self.until.to_string())]);
        parameters.extend(more);
        Theirs { door, parameters, found }
    }

    /// The width of a bar: whole minutes, as the peer has them by itself.
    fn minutes(&self) -> i64 {
        (self.until - self.since) / 60 / MINUTE + 1
    }
}

/// A record by its id and what stands around it in its stream, as the server asks for that, but
/// for the two sides, for which it asks at once. The peer is told the record's time and stream.
fn context(hit: &Hit) -> Question {
    let Hit { position, namespace, pod } = hit;
    let (time, only) = (position.time, json!({ "stream": position.stream }));
    // The one before it in its stream leads to it.
    let before = Position { seq: position.seq.saturating_sub(1), ..position.clone() };
    let record = json!({
        "since": time,
        "until": time + 1,
        "cursor": before.to_string(),
        "order": "first",
        "limit": 1,
        "only": only,
    });
    let side = |order: &str| {
        json!({
            "cursor": position.to_string(),
            "order": order,
            "limit": AROUND,
            "only": only,
            "namespaces": [namespace],
        })
    };
    let theirs = format!(
        "{{namespace=\"{namespace}\",pod=\"{pod}\"}} {RARE} | stream_context before {AROUND} after {AROUND}"
    );
    let at = Range { since: time, until: time + 1 };
    Question {
        what: "a record with 20 before and 20 after it",
        ours: vec![("/v1/search", record), ("/v1/search", side("last")), ("/v1/search", side("first"))],
        found: answers::records,
        theirs: Some(at.theirs(QUERY, &theirs, [], answers::peer_lines)),
    }
}
