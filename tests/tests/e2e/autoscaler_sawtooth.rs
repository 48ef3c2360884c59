//! A sawtooth of real CPU load turns a Deployment around no more often than upstream's formula
//! would, which is replayed over the samples that the nodes took: a look each quarter of a minute.
//!
//! All replicas compute for the first six seconds of each quarter and rest for nine, by the clock.
//! Over a quarter that is the same load whenever it is looked at, so upstream's looks let nothing
//! go before the end; who follows the newest figures down lets go in each rest, as its window of
//! three seconds is long over. What is asserted holds for any samples, also of a machine that
//! gives the Pods less than they want: they are upstream's only input, and nearly all of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

const NAME: &str = "sawtooth";
/// Microseconds.
const SECOND: i64 = 1_000_000;
/// Upstream looks this often, at figures over as long.
const LOOK: i64 = 15 * SECOND;
/// There is load at least for so long, seconds, and until it was a sawtooth; given up after so long.
const LOAD: u64 = 100;
const GIVEN_UP: u64 = 300;
/// Percent of the request, 50m.
const TARGET: f64 = 40.0;
const REQUESTED_CORES: f64 = 0.05;
const LEAST: i64 = 1;
const MOST: i64 = 3;
/// So many samples of a Pod may lie in our figures over a look and not in the replayed ones: one at
/// each end.
const AT_THE_ENDS: usize = 2;

fn manifest() -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {NAME}}}
spec:
  replicas: {LEAST}
  selector: {{matchLabels: {{app: {NAME}}}}}
  template:
    metadata: {{labels: {{app: {NAME}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/busybox:1
        # Computes until the file is there.
        command: [sh, -c, 'while true; do s=$(($(date +%s) % 15)); if [ -e /tmp/rest ]; then sleep 5;
          elif [ $s -lt 6 ]; then seq 1 5000 > /dev/null; else sleep $((15 - s)); fi; done']
        resources: {{requests: {{cpu: 50m}}, limits: {{cpu: 100m}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {NAME}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {NAME}}}
  minReplicas: {LEAST}
  maxReplicas: {MOST}
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: {TARGET}}}}}
  behavior:
    scaleDown: {{stabilizationWindowSeconds: 3}}
"
    )
}

/// What a Pod used, percent of its request, over the second before.
struct Sample {
    pod: String,
    /// Microseconds since the Unix epoch, as everywhere here.
    at: i64,
    percent: f64,
}

/// A row of `decisions`.
struct Decided {
    at: i64,
    from: i64,
    to: i64,
    proposed: i64,
    limited_by: String,
    scaled: bool,
}

/// How often a number of replicas began to fall, and turned around in all.
#[derive(Debug, PartialEq, Eq)]
struct Turns {
    falls: usize,
    all: usize,
}

impl Turns {
    fn of(path: &[i64]) -> Self {
        let steps = path.windows(2).map(|pair| (pair[1] - pair[0]).signum());
        let steps: Vec<_> = steps.filter(|step| *step != 0).collect();
        let begins = usize::from(steps.first() == Some(&-1));
        let falls = begins + steps.windows(2).filter(|pair| pair[0] > pair[1]).count();
        Self { falls, all: steps.windows(2).filter(|pair| pair[0] != pair[1]).count() }
    }
}

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(&manifest())?;
    cluster.rolled_out(&format!("deployment/{NAME}"))?;
    let least = now()? + LOAD;
    eventually(Duration::from_secs(GIVEN_UP), || {
        ensure!(now()? >= least, "the load still lasts");
        was_a_sawtooth(&samples(&cluster)?, &decided(&cluster)?)
    })?;
    let mut resting = BTreeSet::new();
    eventually(Duration::from_secs(GIVEN_UP), || {
        rest(&cluster, &mut resting)?;
        let replicas = cluster.get(&["deployment", NAME])?["spec"]["replicas"].as_i64();
        ensure!(replicas == Some(LEAST), "{replicas:?} replicas are left of a load that is over");
        Ok(())
    })?;
    let (samples, decided) = (samples(&cluster)?, decided(&cluster)?);
    each_fall_was_asked_for(&samples, &decided)?;
    let changes = decided.iter().filter(|row| row.scaled).map(|row| row.to);
    let ours: Vec<_> = std::iter::once(LEAST).chain(changes).collect();
    let theirs = upstreams(&samples)?;
    let (turns, replayed) = (Turns::of(&ours), Turns::of(&theirs));
    eprintln!("ours {ours:?}: {turns:?}; upstream's formula {theirs:?}: {replayed:?}");
    // One peak that upstream's looks did not see may be let go, and a rise that they are yet to see may
    // be ahead of them: the bounds of the simulation beside the code.
    ensure!(turns.falls <= replayed.falls + 1, "{turns:?}, upstream {replayed:?}: {ours:?} {theirs:?}");
    ensure!(turns.all <= replayed.all + 3, "{turns:?}, upstream {replayed:?}: {ours:?} {theirs:?}");
    let made = [format!("deployment/{NAME}"), format!("hpa/{NAME}")];
    cluster.kubectl(&["delete", &made[0], &made[1], "--timeout=120s"]).map(drop)
}

/// Ends the load of each Pod that doesn't rest yet: another one may have come since. Each is told
/// once, since a command in it is load, too.
fn rest(cluster: &Cluster, resting: &mut BTreeSet<String>) -> Result<()> {
    let label = format!("app={NAME}");
    let pods = cluster.get(&["pods", "-l", &label, "--field-selector=status.phase=Running"])?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = pod["metadata"]["name"].as_str().context("a name")?;
        if !resting.contains(name) {
            cluster.kubectl(&["exec", name, "--", "touch", "/tmp/rest"])?;
            resting.insert(name.to_owned());
        }
    }
    Ok(())
}

/// Seconds since the Unix epoch.
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn samples(cluster: &Cluster) -> Result<Vec<Sample>> {
    let rows = cluster.sql(&format!(
        "select pod, cast(time as bigint) as at, cpu_cores from pod \
         where namespace = 'default' and pod like '{NAME}-%' and cpu_cores is not null order by time"
    ))?;
    let sample = |row: &Value| {
        let (pod, at) = (row["pod"].as_str()?.to_owned(), row["at"].as_i64()?);
        Some(Sample { pod, at, percent: 100.0 * row["cpu_cores"].as_f64()? / REQUESTED_CORES })
    };
    rows.iter().map(|row| sample(row).with_context(|| format!("no sample: {row}"))).collect()
}

fn decided(cluster: &Cluster) -> Result<Vec<Decided>> {
    let rows = cluster.sql(&format!(
        "select cast(time as bigint) as at, current_replicas, desired_replicas, proposed_replicas, \
         limited_by, scaled from decisions \
         where namespace = 'default' and autoscaler = '{NAME}' order by time"
    ))?;
    let decided = |row: &Value| {
        Some(Decided {
            at: row["at"].as_i64()?,
            from: row["current_replicas"].as_i64()?,
            to: row["desired_replicas"].as_i64()?,
            proposed: row["proposed_replicas"].as_i64()?,
            limited_by: row["limited_by"].as_str()?.to_owned(),
            scaled: row["scaled"].as_bool()?,
        })
    };
    rows.iter().map(|row| decided(row).with_context(|| format!("no decision: {row}"))).collect()
}

/// There was something to flap with: bursts and rests, replicas to let go, and figures that asked for it.
fn was_a_sawtooth(samples: &[Sample], decided: &[Decided]) -> Result<()> {
    let quarters = |is: fn(f64) -> bool| {
        let such = samples.iter().filter(|sample| is(sample.percent));
        such.map(|sample| sample.at.div_euclid(LOOK)).collect::<BTreeSet<_>>()
    };
    let (bursts, rests) = (quarters(|percent| percent > TARGET), quarters(|percent| percent < TARGET / 2.0));
    ensure!(bursts.intersection(&rests).count() >= 4, "bursts in {bursts:?}, rests in {rests:?}");
    ensure!(decided.iter().any(|row| row.scaled && row.to == MOST), "it never rose to {MOST} replicas");
    let is_held = |row: &Decided| row.limited_by == "stabilization" && row.to == row.from;
    let asked_for_fewer = |row: &Decided| row.proposed < row.from && is_held(row);
    ensure!(decided.iter().any(asked_for_fewer), "no rest asked for fewer replicas");
    Ok(())
}

/// What upstream's metrics would tell at a moment: the mean over a look of the Pods that are there,
/// percent, without so many of each Pod's highest samples.
fn over_a_look(samples: &[Sample], at: i64, without: usize) -> Option<f64> {
    let recent = samples.iter().filter(|sample| sample.at > at - LOOK && sample.at <= at);
    let mut of_pods: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    recent.for_each(|sample| of_pods.entry(&sample.pod).or_default().push(sample));
    // One that was not measured lately is gone.
    of_pods.retain(|_, own| own.last().is_some_and(|sample| sample.at > at - 3 * SECOND));
    let mean = |own: &Vec<&Sample>| {
        let mut percents: Vec<_> = own.iter().map(|sample| sample.percent).collect();
        percents.sort_by(f64::total_cmp);
        percents.iter().take(own.len().saturating_sub(without)).sum::<f64>() / own.len() as f64
    };
    let pods = of_pods.len();
    (pods > 0).then(|| of_pods.values().map(mean).sum::<f64>() / pods as f64)
}

/// Upstream's formula. Of the behaviour nothing else can show in looks 15 s apart: a window of three
/// seconds holds but one, and each policy (four Pods or as many again up, all of them down) allows
/// more than there is between the limits.
fn asks(replicas: i64, percent: f64) -> i64 {
    let ratio = percent.floor() / TARGET;
    let wanted = match (0.9..=1.1).contains(&ratio) {
        true => replicas,
        false => (ratio * replicas as f64).ceil() as i64,
    };
    wanted.clamp(LEAST, MOST)
}

/// The replicas that upstream's looks would have led to, from the first sample to the last. Each Pod
/// does as much however many there are, so what one used is what it would have used beside others.
fn upstreams(samples: &[Sample]) -> Result<Vec<i64>> {
    let (first, last) = (samples.first().context("no samples")?, samples.last().context("no samples")?);
    let looks = first.at.div_euclid(LOOK) + 1..=last.at.div_euclid(LOOK);
    let mut path = vec![LEAST];
    for at in looks.map(|look| look * LOOK) {
        let current = *path.last().context("a path begins somewhere")?;
        path.push(over_a_look(samples, at, 0).map_or(current, |percent| asks(current, percent)));
    }
    Ok(path)
}

/// Whenever we let replicas go, a look of upstream's at that moment would have asked for as few.
fn each_fall_was_asked_for(samples: &[Sample], decided: &[Decided]) -> Result<()> {
    for row in decided.iter().filter(|row| row.scaled && row.to < row.from) {
        let percent = over_a_look(samples, row.at, AT_THE_ENDS).context("a fall without samples")?;
        let (Decided { at, from, to, .. }, asked) = (row, asks(row.from, percent));
        ensure!(asked <= *to, "{from} -> {to} at {at}, where a look at {percent:.0} % asks for {asked}");
    }
    Ok(())
}
