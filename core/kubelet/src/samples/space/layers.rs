//! Containers' own layers, which the runtime measures: it is asked as often as its answer's cost
//! allows, and what it tells has an age.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Instant};

use tiphys_lifecycle::OnError;
use tiphys_runtime::cri::v1::ContainerStats;
use tokio::sync::watch;

use super::{OLD, Taken, pause};
use crate::workers::Context;

/// What the runtime told last.
#[derive(Debug, Default, Clone)]
pub(super) struct Layers {
    /// Absent: never.
    told: Option<Instant>,
    of: Arc<HashMap<String, Taken>>,
}

impl Layers {
    /// By the container's id; nothing where the runtime has been silent for too long.
    pub fn current(&self, now: Instant) -> Arc<HashMap<String, Taken>> {
        let is_new = self.told.is_some_and(|told| now.saturating_duration_since(told) < OLD);
        if is_new { self.of.clone() } else { Arc::default() }
    }
}

/// Asks until the kubelet stops.
pub(super) fn start(context: &Arc<Context>) -> watch::Receiver<Layers> {
    let (sender, receiver) = watch::channel(Layers::default());
    context.tasks.spawn("kubelet space", OnError::Log, keep_asking(context.clone(), sender));
    receiver
}

async fn keep_asking(context: Arc<Context>, sender: watch::Sender<Layers>) -> Result<(), Infallible> {
    loop {
        let begun = Instant::now();
        match context.cri.container_stats().await {
            Ok(stats) => {
                let of = Arc::new(layers(stats, jiff::Timestamp::now().as_nanosecond()));
                sender.send_replace(Layers { told: Some(Instant::now()), of });
            }
            Err(error) => {
                tracing::debug!(%error, "the runtime doesn't tell what containers' layers take");
            }
        }
        tokio::time::sleep(pause(begun.elapsed(), 1)).await;
    }
}

/// Layers by the container's id; `now` in nanoseconds since the Unix epoch, as the runtime's times
/// are. Those that the runtime itself measured long ago are left out.
fn layers(stats: Vec<ContainerStats>, now: i128) -> HashMap<String, Taken> {
    let taken = |stats: ContainerStats| {
        let layer = stats.writable_layer?;
        // Some runtimes give no time.
        let is_old = layer.timestamp != 0 && now - i128::from(layer.timestamp) > OLD.as_nanos().cast_signed();
        let (bytes, inodes) = (layer.used_bytes?.value, layer.inodes_used?.value);
        (!is_old).then_some((stats.attributes?.id, Taken { bytes, inodes }))
    };
    stats.into_iter().filter_map(taken).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tiphys_runtime::cri::v1::{ContainerAttributes, FilesystemUsage, UInt64Value};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_layer_that_was_measured_long_ago_is_not_told() {
        let stats = |id: &str, timestamp: i64| {
            let number = |value| Some(UInt64Value { value });
            let layer = FilesystemUsage {
                timestamp,
                used_bytes: number(8192),
                inodes_used: number(2),
                ..FilesystemUsage::default()
            };
            ContainerStats {
                attributes: Some(ContainerAttributes { id: id.into(), ..ContainerAttributes::default() }),
                writable_layer: Some(layer),
                ..ContainerStats::default()
            }
        };
        let now = 1_700_000_000 * SECOND;
        let all = vec![
            stats("new", now - 10 * SECOND),
            stats("old", now - 181 * SECOND),
            stats("timeless", 0),
            ContainerStats::default(),
        ];
        let found = layers(all, now.into());
        let mut ids: Vec<_> = found.keys().map(String::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["new", "timeless"]);
        assert_eq!(found["new"], Taken { bytes: 8192, inodes: 2 });
    }

    #[test]
    fn a_runtime_that_is_silent_is_not_repeated_for_ever() {
        let now = Instant::now();
        let of = Arc::new(HashMap::from([("c".to_owned(), Taken { bytes: 1, inodes: 1 })]));
        let layers = Layers { told: Some(now), of };
        assert_eq!(layers.current(now + Duration::from_secs(179)).len(), 1);
        assert!(layers.current(now + OLD).is_empty());
        assert!(Layers::default().current(now).is_empty());
    }
}
