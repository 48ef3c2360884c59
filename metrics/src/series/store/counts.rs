//! What the store of series tells of itself on the component's `/metrics`.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Clones share them. Gauges are brought up to date by `Store::measure`.
#[derive(Debug, Clone, Default)]
pub struct StoreCounts {
    pub series: Gauge,
    pub block_bytes: Gauge,
    pub log_bytes: Gauge,
    pub damaged_blocks: Counter,
    pub damaged_segments: Counter,
    pub damaged_frames: Counter,
    pub undefined: Counter,
    pub unreadable: Counter,
    pub unlogged: Counter,
    pub words_refused: Counter,
}

impl StoreCounts {
    pub fn register(&self, registry: &mut Registry) {
        let name = |what| format!("tiphys_metrics_store_{what}");
        registry.register(
            name("series"),
            "Series that have samples in memory, which limits count",
            self.series.clone(),
        );
        registry.register(
            name("block_bytes"),
            "Bytes of the files of series on disk",
            self.block_bytes.clone(),
        );
        registry.register(name("log_bytes"), "Bytes of the log of what is in memory", self.log_bytes.clone());
        registry.register(
            name("damaged_blocks"),
            "Files of series set aside as .damaged",
            self.damaged_blocks.clone(),
        );
        registry.register(
            name("damaged_segments"),
            "Files of the log that ended early when they were read again; what stood behind is lost",
            self.damaged_segments.clone(),
        );
        registry.register(
            name("damaged_frames"),
            "Pieces of the log lost, as their checksums were wrong when it was read again; the rest is there",
            self.damaged_frames.clone(),
        );
        registry.register(
            name("undefined_samples"),
            "Samples in the log lost when it was read again, as the definitions of their series were",
            self.undefined.clone(),
        );
        registry.register(
            name("unreadable"),
            "Appends in the log and rows of files left out, as they can't be read though they are whole",
            self.unreadable.clone(),
        );
        registry.register(
            name("unlogged_samples"),
            "Samples that the log had no room for: lost if the server ends before they are in a file",
            self.unlogged.clone(),
        );
        registry.register(
            name("descriptions_refused"),
            "Words about metrics not kept, as their namespace has said too much already",
            self.words_refused.clone(),
        );
    }
}
