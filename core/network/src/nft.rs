//! nftables through the program `nft`: a transaction is a text on its standard
//! input, applied wholly or not at all.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt, process::Command};

use crate::Error;

/// The lines of nft's complaint that an error keeps.
const MESSAGE_LINES: usize = 6;

/// Applies `commands` in one transaction, in the network namespace of this process.
pub async fn apply(commands: &str) -> Result<(), Error> {
    run(&["-f", "-"], commands).await.map(drop)
}

/// Takes a table with all it holds away; none of that name is no error.
pub async fn delete_table(family: &str, table: &str) -> Result<(), Error> {
    // Declaring it first makes the deletion succeed in either case.
    apply(&format!("table {family} {table} {{}}\ndelete table {family} {table}\n")).await
}

/// The tables there are, as `family name`.
pub async fn tables() -> Result<Vec<String>, Error> {
    let output = run(&["list", "tables"], "").await?;
    Ok(output.lines().filter_map(|line| line.strip_prefix("table ")).map(str::to_owned).collect())
}

/// Runs `nft` and gives its standard output.
pub(crate) async fn run(arguments: &[&str], input: &str) -> Result<String, Error> {
    let spawned = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Missing { program: "nft", package: "nftables" });
        }
        other => other.map_err(Error::io("run nft"))?,
    };
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // Written beside the reading: nft may complain at length before it has read all.
    let feed = async move {
        // A closed pipe means that nft gave up; its message says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(Error::io("wait for nft"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let message = complaint.lines().take(MESSAGE_LINES).collect::<Vec<_>>().join("; ");
    Err(Error::Nft { message })
}
