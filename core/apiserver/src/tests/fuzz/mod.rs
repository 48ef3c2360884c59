//! Requests by chance against the whole server: bodies, patches, selectors, tokens, options, paths.
//!
//! None may make it panic, hang, answer with a fault of its own, or refuse without a proper Status;
//! what it lets in must be good enough to be let in again. A panic anywhere on the test's thread
//! counts, also one in a task whose loss nobody would notice; a request that never ends stops the
//! process with its text.
//!
//! A failure names its seed: `TIPHYS_FUZZ_SEED` begins there. `TIPHYS_SOAK=1` runs for long, from
//! another seed each time.

mod checks;
mod dice;
mod mutate;
mod objects;
mod patches;
mod queries;
mod requests;
mod watchdog;

use dice::Dice;
use requests::Family;

use super::harness::Harness;

/// Requests of a family in the short form, and in the long one.
const SHORT: u64 = 700;
const LONG: u64 = 100_000;

/// How much the process may have grown by: far more than it does, far less than a bomb takes.
const GROWTH: u64 = 2 << 30;

#[tokio::test]
async fn any_body_is_taken_or_refused() {
    run(Family::Bodies).await;
}

#[tokio::test]
async fn any_patch_is_made_or_refused() {
    run(Family::Patches).await;
}

#[tokio::test]
async fn any_url_is_answered_or_refused() {
    run(Family::Queries).await;
}

async fn run(family: Family) {
    let soak = std::env::var_os("TIPHYS_SOAK").is_some();
    let given = std::env::var("TIPHYS_FUZZ_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or_else(|| if soak { rand::random() } else { 1 });
    let watchdog = watchdog::start();
    let api = Harness::start().await;
    requests::furnish(&api).await;
    let before = resident();
    let mut faults = Vec::new();
    for n in 0..if soak { LONG } else { SHORT } {
        let mut dice = Dice::new(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let asked = family.next(&api, &mut dice).await;
        watchdog.sees(format!("{family:?} with seed {seed}, request {n}: {asked}"));
        let outcome = checks::ask(&api, &asked).await;
        if let Err(what) = outcome.and(watchdog.panicked()) {
            faults.push(format!("request {n}: {asked}\n{what}"));
        }
        if n % 200 == 199 {
            checks::serves(&api).await;
        }
    }
    checks::serves(&api).await;
    faults.extend(checks::what_is_bad(&api).await);
    let shown = faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(faults.is_empty(), "{} faults of {family:?} with seed {seed}:\n{shown}", faults.len());
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWTH, "the process has grown by {grown} bytes");
    api.stop().await;
    watchdog.panicked().expect("a quiet end");
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("figures of this process");
    let pages: u64 = statm.split(' ').nth(1).expect("a second figure").parse().expect("a number");
    pages * 4096
}
