//! How long a server keeps series in its data folder, from when on coarser, and how many; what of
//! labels and annotations it tells as series; and what a statement of SQL may take.

use std::time::Duration;

use tiphys_metrics::{
    Allowed, Words,
    series::{Downsampling, Limits},
};

use super::log_archive::{bytes, span};

#[derive(Debug, Clone, clap::Args)]
pub struct MetricsRetentionOptions {
    /// How long series are kept
    #[arg(
        long,
        env = "TIPHYS_METRICS_RETENTION",
        value_name = "SPAN",
        default_value = "15d",
        value_parser = age
    )]
    pub metrics_retention: Duration,
    /// How much of them is kept on disk; the oldest go first
    #[arg(
        long,
        env = "TIPHYS_METRICS_RETENTION_BYTES",
        value_name = "BYTES",
        default_value = "20Gi",
        value_parser = size
    )]
    pub metrics_retention_bytes: u64,
    /// From which age on one sample in a step is kept of each series, as AGE:STEP with a step of five
    /// minutes at most, or `off`
    #[arg(
        long,
        env = "TIPHYS_METRICS_DOWNSAMPLING",
        value_name = "AGE:STEP|off",
        default_value = "off",
        value_parser = coarser
    )]
    pub metrics_downsampling: Coarser,
    /// How many series are taken at once, of all namespaces
    #[arg(
        long,
        env = "TIPHYS_METRICS_SERIES",
        value_name = "COUNT",
        default_value = "2000000",
        value_parser = several
    )]
    pub metrics_series: usize,
    /// How many series a namespace has that doesn't say it with the annotation
    /// metrics.tiphys.io/series-limit
    #[arg(
        long,
        env = "TIPHYS_METRICS_SERIES_PER_NAMESPACE",
        value_name = "COUNT",
        default_value = "200000",
        value_parser = several
    )]
    pub metrics_series_per_namespace: usize,
    /// Which labels of the API's objects are told as kube_*_labels, such as pods=[app,team],namespaces=[*]
    #[arg(
        long,
        alias = "metric-labels-allowlist",
        env = "TIPHYS_METRICS_LABELS_ALLOWLIST",
        value_name = "LIST"
    )]
    pub metrics_labels_allowlist: Option<Allowed>,
    /// Which annotations of them are told as kube_*_annotations, in the same way
    #[arg(
        long,
        alias = "metric-annotations-allowlist",
        env = "TIPHYS_METRICS_ANNOTATIONS_ALLOWLIST",
        value_name = "LIST"
    )]
    pub metrics_annotations_allowlist: Option<Allowed>,
    /// The memory that a statement of SQL may hold
    #[arg(
        long,
        env = "TIPHYS_SQL_MEMORY",
        value_name = "BYTES",
        default_value = "256Mi",
        value_parser = room
    )]
    pub sql_memory: usize,
    /// How long a statement of SQL may take that is answered as a whole
    #[arg(
        long,
        env = "TIPHYS_SQL_TIMEOUT",
        value_name = "SPAN",
        default_value = "30s",
        value_parser = timeout
    )]
    pub sql_timeout: Duration,
}

/// When series are made coarser, or that they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coarser {
    Never,
    By(Downsampling),
}

/// The least memory with which a statement can do anything.
const LEAST_ROOM: usize = 16 << 20;

impl MetricsRetentionOptions {
    /// How much is taken in.
    pub fn limits(&self) -> Limits {
        Limits {
            series: self.metrics_series,
            series_of_namespace: self.metrics_series_per_namespace,
            ..Limits::default()
        }
    }

    /// What is told of the words of the API's objects.
    pub fn words(&self) -> Words {
        Words {
            labels: self.metrics_labels_allowlist.clone().unwrap_or_default(),
            annotations: self.metrics_annotations_allowlist.clone().unwrap_or_default(),
        }
    }

    pub fn downsampling(&self) -> Option<Downsampling> {
        match self.metrics_downsampling {
            Coarser::Never => None,
            Coarser::By(downsampling) => Some(downsampling),
        }
    }
}

/// More than nothing: that would delete all series.
fn age(text: &str) -> Result<Duration, String> {
    let age = span(text)?;
    if age.is_zero() {
        Err("that keeps no series at all; a span such as 15d is wanted".to_owned())
    } else {
        Ok(age)
    }
}

/// The same of bytes.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("that keeps no series at all; a size such as 20Gi is wanted".to_owned()),
        size => Ok(size),
    }
}

fn several(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("that takes no series at all; a number such as 200000 is wanted".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("`{text}` is no number of series, such as 200000")),
    }
}

fn room(text: &str) -> Result<usize, String> {
    let room = usize::try_from(bytes(text)?).unwrap_or(usize::MAX);
    if room < LEAST_ROOM { Err("a statement needs 16Mi at least".to_owned()) } else { Ok(room) }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("no statement is answered in no time; a span such as 30s is wanted".to_owned()),
        timeout => Ok(timeout),
    }
}

fn coarser(text: &str) -> Result<Coarser, String> {
    if text == "off" {
        return Ok(Coarser::Never);
    }
    let (after, step) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` is no age and step, such as 7d:5m, and not `off`"))?;
    let downsampling = Downsampling::new(span(after)?, span(step)?);
    downsampling.map(Coarser::By).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: MetricsRetentionOptions,
    }

    fn said(arguments: &[&str]) -> Result<(Duration, u64, Option<Downsampling>), String> {
        let line = Line::try_parse_from(["server"].iter().chain(arguments).copied());
        let told = line.map(|Line { options }| {
            (options.metrics_retention, options.metrics_retention_bytes, options.downsampling())
        });
        told.map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_server_keeps_of_series_can_be_said() {
        let by = |days: u32, seconds| {
            Some(Downsampling::new(DAY * days, Duration::from_secs(seconds)).expect("a step"))
        };
        assert_eq!(said(&[]), Ok((DAY * 15, 20 << 30, None)));
        let table = [("off", None), ("30d:1m", by(30, 60)), ("2w:2m30s", by(14, 150)), ("0s:1s", by(0, 1))];
        for (text, expected) in table {
            let found = said(&[
                "--metrics-retention=90d",
                "--metrics-retention-bytes=1.5Gi",
                &format!("--metrics-downsampling={text}"),
            ]);
            assert_eq!(found, Ok((DAY * 90, 3 << 29, expected)), "{text}");
        }
        let command = Line::command();
        let variables: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
        let names = [
            "TIPHYS_METRICS_RETENTION",
            "TIPHYS_METRICS_RETENTION_BYTES",
            "TIPHYS_METRICS_DOWNSAMPLING",
            "TIPHYS_METRICS_SERIES",
            "TIPHYS_METRICS_SERIES_PER_NAMESPACE",
            "TIPHYS_METRICS_LABELS_ALLOWLIST",
            "TIPHYS_METRICS_ANNOTATIONS_ALLOWLIST",
            "TIPHYS_SQL_MEMORY",
            "TIPHYS_SQL_TIMEOUT",
        ];
        assert_eq!(variables, names);
    }

    #[test]
    fn how_much_is_taken_can_be_said() {
        let line = |arguments: &[&str]| {
            Line::try_parse_from(["server"].iter().chain(arguments).copied()).expect("parsed").options
        };
        let own = line(&[]);
        assert_eq!(
            (own.limits(), own.sql_memory, own.sql_timeout.as_secs()),
            (Limits::default(), 256 << 20, 30)
        );
        let said = line(&[
            "--metrics-series=50",
            "--metrics-series-per-namespace=7",
            "--sql-memory=1Gi",
            "--sql-timeout=2m",
        ]);
        assert_eq!((said.limits().series, said.limits().series_of_namespace), (50, 7));
        assert_eq!((said.sql_memory, said.sql_timeout.as_secs()), (1 << 30, 120));
    }

    #[test]
    fn words_of_objects_are_asked_for_here_or_as_kube_state_metrics_has_it() {
        let words = |arguments: &[&str]| {
            let line = Line::try_parse_from(["server"].iter().chain(arguments).copied());
            line.map(|line| line.options.words()).map_err(|error| error.to_string())
        };
        assert_eq!(words(&[]), Ok(Words::default()));
        let list = |text: &str| text.parse::<Allowed>().expect("a list");
        let expected = Words { labels: list("pods=[app,team]"), annotations: list("namespaces=[*]") };
        let own =
            ["--metrics-labels-allowlist=pods=[app,team]", "--metrics-annotations-allowlist=namespaces=[*]"];
        assert_eq!(words(&own), Ok(expected.clone()));
        let others = own.map(|option| option.replace("--metrics-", "--metric-"));
        assert_eq!(words(&others.each_ref().map(String::as_str)), Ok(expected));
        let error = words(&["--metrics-labels-allowlist=podz=[app]"]).expect_err("it is refused");
        let said = ["--metrics-labels-allowlist <LIST>", "`podz` is none of the resources"];
        assert!(said.iter().all(|words| error.contains(words)), "{error}");
    }

    #[test]
    fn what_can_not_be_kept_is_refused_with_the_option_and_the_reason() {
        let table = [
            ("--metrics-retention", "0s", "keeps no series at all"),
            ("--metrics-retention", "15", "`15` is no span of time, such as 30d or 12h"),
            ("--metrics-retention-bytes", "0", "keeps no series at all"),
            ("--metrics-retention-bytes", "much", "`much` is no number of bytes, such as 10Gi"),
            ("--metrics-downsampling", "7d", "`7d` is no age and step, such as 7d:5m, and not `off`"),
            ("--metrics-downsampling", "7d:", "`` is no span of time, such as 30d or 12h"),
            ("--metrics-downsampling", "week:5m", "`week` is no span of time, such as 30d or 12h"),
            ("--metrics-downsampling", "7d:1h", "a step of 3600s is longer than five minutes"),
            ("--metrics-series", "0", "takes no series at all"),
            ("--metrics-series-per-namespace", "many", "`many` is no number of series"),
            ("--sql-memory", "1Mi", "needs 16Mi at least"),
            ("--sql-timeout", "0s", "answered in no time"),
            ("--metrics-downsampling", "7d:5ms", "a step of 5ms is shorter than a second"),
        ];
        for (option, value, why) in table {
            let error = said(&[&format!("{option}={value}")]).expect_err("it is refused");
            assert!(error.contains(&format!("'{value}' for '{option} <")) && error.contains(why), "{error}");
        }
    }
}
