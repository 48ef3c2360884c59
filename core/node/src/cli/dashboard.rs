//! `tiphys dashboard`: a one-time link that signs its opener in.

use std::process::ExitCode;

use serde::Deserialize;

use super::{Global, connect::Connect};
use crate::{
    failure::{OrAsked, Outcome},
    output,
};

#[derive(Debug, clap::Args)]
pub struct Dashboard {
    #[command(flatten)]
    connect: Connect,
}

/// What the server answers.
#[derive(Deserialize)]
struct Link {
    url: String,
}

impl Dashboard {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        let request = http::Request::post(tiphys_web::LINK_PATH).body(Vec::new())?;
        let link: Link = client.request(request).await.or_asked("tiphys status")?;
        output::data(&format!("{}\n", link.url))?;
        output::line("open it in a browser on this machine; it works once, within five minutes");
        Ok(ExitCode::SUCCESS)
    }
}
