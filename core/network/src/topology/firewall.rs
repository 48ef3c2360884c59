//! A machine whose firewall drops what it forwards (Docker and ufw set it up so).
//!
//! An accept in our own nft table does not overrule another table's drop, so there
//! the bridge gets two rules in front of iptables' FORWARD chain. They are only
//! made where that chain's policy is DROP, and bear the bridge's name, by which
//! they are found again.

use tokio::process::Command;

use crate::Error;

/// Lets what goes through `bridge` pass a FORWARD chain that drops. No iptables, no work.
pub(super) async fn open(bridge: &str) -> Result<(), Error> {
    let Some(rules) = forward_rules().await? else { return Ok(()) };
    if !drops(&rules) {
        return Ok(());
    }
    for rule in rules_of(bridge) {
        if !contains(&rules, &rule) {
            iptables(&format!("-I FORWARD {rule}")).await?;
        }
    }
    Ok(())
}

/// Takes the rules of `bridge` away where they are.
pub(super) async fn close(bridge: &str) -> Result<(), Error> {
    let Some(rules) = forward_rules().await? else { return Ok(()) };
    for rule in rules_of(bridge) {
        if contains(&rules, &rule) {
            iptables(&format!("-D FORWARD {rule}")).await?;
        }
    }
    Ok(())
}

fn rules_of(bridge: &str) -> [String; 2] {
    ["-i", "-o"].map(|direction| format!("{direction} {bridge} -j ACCEPT"))
}

fn drops(rules: &str) -> bool {
    rules.lines().any(|line| line == "-P FORWARD DROP")
}

fn contains(rules: &str, rule: &str) -> bool {
    rules.lines().any(|line| line.strip_prefix("-A FORWARD ") == Some(rule))
}

/// The chain as iptables lists it; `None` on a machine without a usable iptables.
async fn forward_rules() -> Result<Option<String>, Error> {
    match run("-S FORWARD").await {
        Ok(output) if output.status.success() => {
            Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("run iptables")(error)),
    }
}

async fn iptables(arguments: &str) -> Result<(), Error> {
    let output = run(arguments).await.map_err(Error::io("run iptables"))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::io(format!("run iptables {arguments}"))(std::io::Error::other(message)))
}

async fn run(arguments: &str) -> std::io::Result<std::process::Output> {
    // -w: another program may hold the lock at the moment.
    Command::new("iptables").arg("-w").args(arguments.split(' ')).output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_chain_as_iptables_lists_it() {
        let rules = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-A FORWARD -i tph-0a1b2c -j ACCEPT\n";
        assert!(drops(rules) && !drops("-P FORWARD ACCEPT\n"));
        let [into, out_of] = rules_of("tph-0a1b2c");
        assert!(contains(rules, &into) && !contains(rules, &out_of));
    }
}
