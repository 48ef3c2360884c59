//! Where a server keeps days of series that are over, beside what it keeps of its own.

use std::time::Duration;

use anyhow::Context as _;
use tiphys_metrics::series::ArchiveConfig;

use super::log_archive::{Place, bytes, parse, span};

/// An answer does without an archive that takes longer.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, clap::Args)]
pub struct MetricsArchiveOptions {
    /// Where days of series are archived: s3://BUCKET/PREFIX, gs://..., az://... or file:///PATH, with
    /// the credentials of the environment as for --log-archive; by default, and with none, nowhere
    #[arg(long, value_name = "PLACE", value_parser = parse)]
    pub metrics_archive: Option<Place>,
    /// How long what is archived is kept in the data folder, too
    #[arg(long, value_name = "SPAN", default_value = "3d", value_parser = span)]
    pub metrics_archive_local: Duration,
    /// How long series are archived
    #[arg(long, value_name = "SPAN", default_value = "365d", value_parser = span)]
    pub metrics_archive_retention: Duration,
    /// How much is archived of all servers; the oldest goes first
    #[arg(long, value_name = "BYTES", default_value = "100Gi", value_parser = bytes)]
    pub metrics_archive_retention_bytes: u64,
    /// Memory for what was read of the archive lately
    #[arg(long, value_name = "BYTES", default_value = "64Mi", value_parser = bytes)]
    pub metrics_archive_cache: u64,
}

impl MetricsArchiveOptions {
    /// Opens the archive, if there is to be one; `cluster` tells it from others in the same place.
    pub fn open(&self, cluster: &str) -> anyhow::Result<Option<ArchiveConfig>> {
        let Some(Place::At(location)) = &self.metrics_archive else { return Ok(None) };
        let objects = location.open().context("the place of --metrics-archive can't be opened")?;
        Ok(Some(ArchiveConfig {
            objects: objects.below(cluster).below("series"),
            local: self.metrics_archive_local,
            keep: self.metrics_archive_retention,
            keep_bytes: self.metrics_archive_retention_bytes,
            deadline: DEADLINE,
            cache_bytes: usize::try_from(self.metrics_archive_cache).unwrap_or(usize::MAX),
        }))
    }
}
