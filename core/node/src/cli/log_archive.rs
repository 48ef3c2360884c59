//! Where a server keeps the logs of all nodes, beside what each node keeps of its own.

use std::{fmt, path::Path, time::Duration};

use anyhow::Context as _;
use tiphys_logging::index::Retention;
use tiphys_objects::{Location, Objects};

#[derive(Debug, Clone, clap::Args)]
pub struct LogArchiveOptions {
    /// Where logs of all nodes are archived: s3://BUCKET/PREFIX, gs://..., az://..., file:///PATH, or
    /// none; by default archive/logs in the data folder. Credentials come from the environment, such
    /// as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT. Several servers of a
    /// cluster need a place that all of them reach
    #[arg(long, value_name = "PLACE", value_parser = parse)]
    pub log_archive: Option<Place>,
    /// Disk space for archived logs that are being searched
    #[arg(long, value_name = "BYTES", default_value = "4Gi", value_parser = bytes)]
    pub log_archive_cache: u64,
    /// How long logs are archived, unless their namespace says otherwise (logs.tiphys.io/retention)
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = span)]
    pub log_archive_retention: Duration,
    /// How much is archived of all nodes; the oldest goes first
    #[arg(long, value_name = "BYTES", default_value = "100Gi", value_parser = bytes)]
    pub log_archive_retention_bytes: u64,
}

/// A place, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    At(Location),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("none"),
            Self::At(location) => location.fmt(f),
        }
    }
}

impl LogArchiveOptions {
    pub fn retention(&self) -> Retention {
        Retention { age: self.log_archive_retention, bytes: self.log_archive_retention_bytes }
    }

    /// Opens the archive, if there is to be one.
    pub fn open(&self, data_dir: &Path) -> anyhow::Result<Option<Objects>> {
        let objects = match &self.log_archive {
            Some(Place::Nowhere) => return Ok(None),
            Some(Place::At(location)) => location.open(),
            None => Objects::in_folder(data_dir.join("archive/logs")),
        };
        objects.map(Some).context("the place of --log-archive can't be opened")
    }
}

pub fn span(text: &str) -> Result<Duration, String> {
    let nanos = tiphys_logging::time::span(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| format!("`{text}` is no span of time, such as 30d or 12h"))
}

/// The most time that a search may ask for.
pub fn query_timeout(text: &str) -> Result<Duration, String> {
    let timeout = span(text)?;
    match timeout.is_zero() {
        true => Err("nothing is found in no time; a span such as 60s is wanted".to_owned()),
        false => Ok(timeout),
    }
}

pub fn parse(text: &str) -> Result<Place, String> {
    match text {
        "none" => Ok(Place::Nowhere),
        text => text.parse().map(Place::At).map_err(|error: tiphys_objects::BadLocation| error.to_string()),
    }
}

pub fn bytes(text: &str) -> Result<u64, String> {
    let quantity: tiphys_api::quantity::Quantity =
        text.parse().map_err(|_| format!("`{text}` is no number of bytes, such as 10Gi"))?;
    u64::try_from(quantity.units()).map_err(|_| format!("`{text}` is negative"))
}
