//! One step of a scenario.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A request with what must come back, a watch that is opened, or events that it must bring.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Step {
    /// `GET /path`. A path that doesn't begin with a slash is below the namespace.
    #[serde(rename = "do")]
    pub request: String,
    /// What is sent, as JSON.
    pub body: Option<Value>,
    /// What is sent, as it stands.
    pub text: Option<String>,
    /// The body's media type; of patches `json`, `merge`, `strategic` or `apply`.
    #[serde(rename = "type")]
    pub media: Option<String>,
    pub accept: Option<String>,
    /// The answer's code; 200 if nothing is said.
    pub status: Option<u16>,
    /// A refusal's reason.
    pub reason: Option<String>,
    /// What a refusal's message must hold, as a pattern.
    pub message: Option<String>,
    /// What the answer must have: of objects these fields, of lists these items and no more, of
    /// texts between slashes the pattern.
    pub has: Option<Value>,
    /// Pointers that must lead nowhere in the answer.
    pub lacks: Vec<String>,
    /// Names for parts of the answer, by pointer.
    pub keep: BTreeMap<String, String>,
    /// Patterns of the warnings, in their order.
    pub warnings: Option<Vec<String>>,
    /// Patterns of headers of the answer.
    pub headers: BTreeMap<String, String>,
    /// Patterns that the answer's text must hold.
    pub shows: Vec<String>,
    /// The step is tried again until it holds: what brings it about happens beside.
    pub eventually: bool,

    /// The path of a watch, and the name it gets in this scenario.
    pub watch: String,
    #[serde(rename = "as")]
    pub name: String,
    /// The watch whose next events are these.
    pub from: String,
    pub events: Vec<Value>,
    /// What the watch brings sooner or later; what comes before it is passed over.
    pub until: Option<Value>,
    /// Nothing more comes from the watch: it ends.
    pub ends: bool,
}
