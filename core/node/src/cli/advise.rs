//! `tiphys advise`: what containers request against what they use, from the SQL table `advise`.

use std::process::ExitCode;

use super::{Global, connect::Connect};
use crate::{
    failure::{OrAsked, Outcome},
    output,
};

/// Say what containers should request, by what they used in the last hour.
///
/// CPU is what covers 95 % of the time, memory the most that was seen, both with 15 % more.
/// Nothing is changed. The same is the table advise of `tiphys sql`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Advise {
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

impl Advise {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        let body = serde_json::json!({"sql": statement(self.namespace.as_deref()), "format": "table"});
        let request = http::Request::post("/tiphys/v1/sql")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body)?)?;
        let text = client.request_text(request).await.or_asked("tiphys status")?;
        output::data(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// In the units that a manifest has.
fn statement(namespace: Option<&str>) -> String {
    let only = namespace
        .map(|namespace| format!("where namespace = '{}' ", namespace.replace('\'', "''")))
        .unwrap_or_default();
    let cores = |column: &str, name: &str| {
        format!("coalesce(cast(cast(ceil({column} * 1000) as bigint) as varchar) || 'm', '-') as \"{name}\"")
    };
    let bytes = |column: &str, name: &str| {
        format!(
            "coalesce(cast(cast(ceil({column} / 1048576.0) as bigint) as varchar) || 'Mi', '-') as \"{name}\""
        )
    };
    format!(
        "select namespace, workload, container, pods, {}, {}, {}, {}, {}, {} from advise {only}order by 1, 2, 3",
        cores("cpu_request", "cpu requested"),
        cores("cpu_p95", "used"),
        cores("cpu_advice", "advice"),
        bytes("memory_request", "memory requested"),
        bytes("memory_max", "most used"),
        bytes("memory_advice", "memory advice"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_quoted() {
        assert!(statement(Some("a'b")).contains("where namespace = 'a''b' order by"));
        assert!(!statement(None).contains("where"));
    }
}
