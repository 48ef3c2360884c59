//! `tiphys advise`: what containers request against what they use, from the SQL table `advise`.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};

use super::{Global, connect::Connect, why::period};
use crate::{
    failure::{OrAsked, Outcome},
    output,
};

/// Say what containers should request, by what they used.
///
/// CPU is what covers 95 % of the time, memory the most that was seen, both with 15 % more; what
/// was killed for lack of memory counts as having used a fifth more than it had, 100 Mi at
/// least. Little time under `hours` is a thin basis. Nothing is changed. The same is the table
/// advise of `tiphys sql`.
///
/// Examples:
///   tiphys advise
///   tiphys advise -n shop
///   tiphys advise web -n shop --since 2d
///   tiphys advise Deployment/web -n shop -o json
///   tiphys advise -o csv > advice.csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Advise {
    /// Only this workload, as NAME or Kind/NAME
    workload: Option<String>,
    /// Only this namespace; by default all that may be seen
    #[arg(short, long)]
    namespace: Option<String>,
    /// How far to look back: 30m, 6h, 2d
    #[arg(long, default_value = "8d", value_parser = period)]
    since: SignedDuration,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// In the units that a manifest has
    Table,
    /// The rows as the table has them, one JSON array
    Json,
    /// The same as CSV, with a line of names
    Csv,
}

impl Format {
    /// As the server calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl Advise {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        let body = serde_json::json!({"sql": self.statement(Timestamp::now()), "format": self.output.name()});
        let request = http::Request::post("/tiphys/v1/sql")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body)?)?;
        let text = client.request_text(request).await.or_asked("tiphys status")?;
        output::data(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn statement(&self, now: Timestamp) -> String {
        let quoted = |text: &str| text.replace('\'', "''");
        let mut conditions = vec![format!("time >= timestamp '{}'", now - self.since)];
        conditions.extend(self.namespace.as_deref().map(|name| format!("namespace = '{}'", quoted(name))));
        conditions.extend(self.workload.as_deref().map(|name| match name.split_once('/') {
            Some((kind, name)) => {
                format!("lower(workload) = '{}/{}'", quoted(&kind.to_lowercase()), quoted(name))
            }
            None => format!("split_part(workload, '/', 2) = '{}'", quoted(name)),
        }));
        let columns = match self.output {
            Format::Table => printed(),
            Format::Json | Format::Csv => "*".to_owned(),
        };
        format!(
            "select {columns} from advise where {} order by namespace, workload, container",
            conditions.join(" and ")
        )
    }
}

/// The columns in the units that a manifest has.
fn printed() -> String {
    let cores = |column: &str, name: &str| {
        format!("coalesce(cast(cast(ceil({column} * 1000) as bigint) as varchar) || 'm', '-') as \"{name}\"")
    };
    let bytes = |column: &str, name: &str| {
        format!(
            "coalesce(cast(cast(ceil({column} / 1048576.0) as bigint) as varchar) || 'Mi', '-') as \"{name}\""
        )
    };
    let all = [
        cores("cpu_request", "cpu requested"),
        cores("cpu_p95", "used"),
        cores("cpu_advice", "advice"),
        bytes("memory_request", "memory requested"),
        bytes("memory_max", "most used"),
        bytes("memory_advice", "memory advice"),
        "round(seconds / 3600, 1) as hours".to_owned(),
        "coalesce(why, '') as why".to_owned(),
    ];
    format!("namespace, workload, container, pods, {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        advise: Advise,
    }

    fn statement(arguments: &[&str]) -> String {
        let line = Line::try_parse_from(["advise"].iter().chain(arguments).copied()).expect("parsed");
        line.advise.statement(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_asked_for_becomes_conditions() {
        let all = statement(&[]);
        assert!(all.contains("where time >= timestamp '1969-12-24T00:00:00Z' order by"), "{all}");
        let one = statement(&["web", "-n", "a'b", "--since", "2d", "-o", "json"]);
        let expected = "select * from advise where time >= timestamp '1969-12-30T00:00:00Z' and namespace = \
                        'a''b' and split_part(workload, '/', 2) = 'web' order by namespace, workload, container";
        assert_eq!(one, expected);
        assert!(statement(&["Deployment/web"]).contains("lower(workload) = 'deployment/web'"));
        let printed = statement(&["-o", "table"]);
        assert!(printed.contains("as hours") && printed.contains("as why"), "{printed}");
        assert!(Line::try_parse_from(["advise", "--since", "soon"]).is_err());
    }
}
