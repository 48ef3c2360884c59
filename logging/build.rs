//! Makes the types and the service of `proto/logs.proto`. The messages are read and
//! written by serde too: they have the fields of the JSON API, which is how the one
//! becomes the other.

/// Messages that have the names of the JSON API.
const ALIKE: [&str; 17] = [
    "SearchRequest",
    "LogRecord",
    "NodeError",
    "SearchAnswer",
    "HistogramRequest",
    "Bucket",
    "HistogramAnswer",
    "FacetsRequest",
    "FacetValue",
    "FacetsAnswer",
    "StatsRequest",
    "StatsPoint",
    "StatsSeries",
    "StatsAnswer",
    "ContextRequest",
    "ContextAnswer",
    "Dropped",
];

fn main() -> std::io::Result<()> {
    const SERDE: &str = "#[derive(serde::Serialize, serde::Deserialize)]";
    let mut prost = tonic_prost_build::configure().btree_map(".");
    for message in ALIKE {
        let path = format!("tiphys.logs.v1.{message}");
        prost = prost.type_attribute(&path, SERDE).type_attribute(&path, "#[serde(default)]");
    }
    // A list, as the JSON API has it.
    prost = prost
        .type_attribute("tiphys.logs.v1.FacetValues", SERDE)
        .type_attribute("tiphys.logs.v1.FacetValues", "#[serde(transparent)]");
    prost.compile_protos(&["proto/logs.proto"], &["proto"])
}
