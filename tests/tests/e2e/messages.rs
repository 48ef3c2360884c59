//! Bad input gets a clear message, the right code and the next step.

use anyhow::{Result, ensure};
use tiphys_tests::{Output, run};

use crate::Shared;

pub fn up_twice(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let again = cluster.tiphys(&["up", "--nodes", "3", "--detach"])?;
    ensure!(again.code == 0 && again.stderr.contains("is up already"), "{again:?}");
    Ok(())
}

fn says(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    ensure!(output.code == code, "exit code {} in place of {code}: {output:?}", output.code);
    ensure!(output.stdout.is_empty(), "an error wrote to stdout: {output:?}");
    for word in words {
        ensure!(output.stderr.contains(word), "{word:?} is not in: {}", output.stderr);
    }
    Ok(())
}

pub fn wrong_words(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    says(&cluster.tiphys(&["up", "--nodes", "0"])?, 2, &["--nodes"])?;
    says(&cluster.tiphys(&["logs", "error AND ("])?, 1, &["error:", "next:", "^"])?;
    says(&cluster.tiphys(&["logs", "x", "--since", "someday"])?, 1, &["someday", "next:"])?;
    says(&cluster.tiphys(&["sql", "selec 1"])?, 1, &["error:", "next:"])?;
    says(&cluster.tiphys(&["sql", "select nothing from pod"])?, 1, &["nothing", "next:"])?;
    says(&cluster.tiphys(&["sql", "drop table pod"])?, 1, &["error:", "next:"])?;
    let state = cluster.state()?;
    let taken = state["api_port"].to_string();
    let other = cluster.tiphys(&["up", "--cluster", "other", "--api-port", &taken])?;
    says(&other, 1, &["can't be used", "tiphys up --cluster other --home ", " --api-port 0"])?;
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatta: {}\n";
    let refused = run(&mut cluster.kubectl_command(&["apply", "-f", "-"]), unknown)?;
    ensure!(refused.code == 1 && refused.stderr.contains("unknown field \"datta\""), "{refused:?}");
    let broken = run(
        &mut cluster.kubectl_command(&["apply", "-f", "-"]),
        "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}\nspec: {containers: []}\n",
    )?;
    ensure!(broken.code == 1 && broken.stderr.contains("metadata.name"), "{broken:?}");
    Ok(())
}
