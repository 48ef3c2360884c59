//! The formula for a figure that no single Pod has: an object's, or one of the outside.

use tiphys_api::ways::Ways;

use super::{PodView, Proposal, Rules, round_up, within};

/// What is known when such a metric is asked for its proposal.
pub struct Whole<'a> {
    /// Thousandths, of all series together.
    pub total: i64,
    /// `spec.replicas` of the target's scale.
    pub current_replicas: i32,
    /// `status.replicas` of it: what an average is taken over.
    pub status_replicas: i32,
    pub pods: &'a [PodView],
    pub rules: Rules,
    /// By which ways the figure came.
    pub ways: Ways,
}

impl Whole<'_> {
    /// What a target for the whole asks for, thousandths. From no replicas, anything
    /// starts as many as there are targets in it: Pods and tolerance are no measure then.
    ///
    /// # Errors
    /// There are replicas but no Pods.
    pub fn propose_value(&self, target: i64) -> Result<Proposal, String> {
        let ratio = self.total as f64 / target as f64;
        let tolerated = self.current_replicas != 0 && within(self.rules.tolerance(), ratio);
        let replicas = if tolerated {
            self.current_replicas
        } else if self.current_replicas == 0 {
            round_up(ratio)
        } else {
            round_up(ratio * f64::from(self.ready()?))
        };
        Ok(Proposal {
            replicas,
            exact: if self.current_replicas == 0 { ratio } else { ratio * f64::from(self.current_replicas) },
            ratio,
            average: self.average(),
            value: Some(self.total),
            counted: self.current_replicas,
            tolerated,
            ways: self.ways,
            ..Proposal::default()
        })
    }

    /// What a target a replica asks for, thousandths.
    pub fn propose_average(&self, target: i64) -> Proposal {
        let (total, target) = (self.total as f64, target as f64);
        let wanted = total / target;
        let ratio = if self.status_replicas > 0 { wanted / f64::from(self.status_replicas) } else { wanted };
        let tolerated = self.status_replicas > 0 && within(self.rules.tolerance(), ratio);
        Proposal {
            replicas: if tolerated { self.status_replicas } else { round_up(wanted) },
            exact: wanted,
            ratio,
            average: self.average(),
            counted: self.status_replicas,
            tolerated,
            ways: self.ways,
            ..Proposal::default()
        }
    }

    fn average(&self) -> i64 {
        (self.total as f64 / f64::from(self.status_replicas.max(1))).ceil() as i64
    }

    fn ready(&self) -> Result<i32, String> {
        if self.pods.is_empty() {
            let why = "no pods returned by selector while calculating replica count";
            return Err(format!("unable to calculate ready pods: {why}"));
        }
        let ready = |pod: &&PodView| pod.running && pod.ready.is_some_and(|(holds, _)| holds);
        Ok(i32::try_from(self.pods.iter().filter(ready).count()).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(ready: usize, starting: usize) -> Vec<PodView> {
        let pod = |number: usize| PodView {
            name: format!("pod-{number}"),
            deleting: false,
            ended: false,
            pending: false,
            running: true,
            started: Some(0),
            ready: Some((number < ready, 0)),
            request: Ok(0),
        };
        (0..ready + starting).map(pod).collect()
    }

    fn whole(total: i64, current: i32, pods: &[PodView]) -> Whole<'_> {
        let rules =
            Rules { tolerance_up: 0.1, tolerance_down: 0.1, cpu_initialization: 0, initial_readiness: 0 };
        let ways = Ways::default();
        Whole { total, current_replicas: current, status_replicas: current, pods, rules, ways }
    }

    #[test]
    fn a_value_is_compared_as_a_whole_and_multiplied_by_ready_pods() {
        // (total, target, current, ready, starting) -> replicas
        for (total, target, current, ready, starting, expected) in [
            (2000, 1000, 3, 3, 0, 6),
            (2000, 1000, 3, 2, 1, 4),
            (1090, 1000, 3, 3, 0, 3),
            (500, 1000, 4, 4, 0, 2),
            (0, 1000, 4, 4, 0, 0),
            // Within the tolerance by a hair, on either side, and not.
            (1100, 1000, 3, 3, 0, 3),
            (1101, 1000, 3, 3, 0, 4),
            (900, 1000, 10, 10, 0, 10),
            (899, 1000, 10, 10, 0, 9),
            // On target, with nobody there: not tolerated.
            (1000, 1000, 0, 0, 0, 1),
            (1, 1000, 0, 0, 0, 1),
            (2500, 1000, 0, 0, 0, 3),
            (0, 1000, 0, 0, 0, 0),
        ] {
            let pods = pods(ready, starting);
            let proposal = whole(total, current, &pods).propose_value(target).expect("a proposal");
            assert_eq!(proposal.replicas, expected, "{total} {target} {current}");
        }
        let error = whole(2000, 3, &[]).propose_value(1000).expect_err("no Pods");
        assert!(error.starts_with("unable to calculate ready pods: no pods returned"), "{error}");
    }

    #[test]
    fn only_pods_that_run_and_are_ready_are_multiplied() {
        let mut pods = pods(3, 0);
        pods[0].running = false;
        pods[1].ready = None;
        let proposal = whole(4000, 3, &pods).propose_value(1000).expect("a proposal");
        assert_eq!((proposal.replicas, proposal.counted, proposal.tolerated), (4, 3, false));
        // What it would be for any number of replicas goes by those that are wanted, ready or not.
        assert!((proposal.exact - 12.0).abs() < 1e-9, "{proposal:?}");
        assert_eq!((proposal.ratio, proposal.value, proposal.average), (4.0, Some(4000), 1334));
        let first = whole(2500, 0, &[]).propose_value(1000).expect("a proposal");
        assert!((first.exact - 2.5).abs() < 1e-9, "{first:?}");
        assert_eq!((first.replicas, first.tolerated), (3, false));
    }

    #[test]
    fn a_value_goes_by_the_replicas_wanted_and_an_average_by_those_that_are_there() {
        let pods = pods(4, 0);
        let of = |total| Whole { status_replicas: 5, ..whole(total, 3, &pods) };
        let value = of(1050).propose_value(1000).expect("a proposal");
        assert_eq!((value.replicas, value.counted, value.tolerated), (3, 3, true));
        let average = of(4800).propose_average(1000);
        assert_eq!((average.replicas, average.counted, average.tolerated), (5, 5, true));
        assert_eq!((average.average, average.value), (960, None));
        assert!((average.exact - 4.8).abs() < 1e-9 && (average.ratio - 0.96).abs() < 1e-9, "{average:?}");
    }

    #[test]
    fn each_direction_has_its_own_tolerance() {
        let pods = pods(10, 0);
        let rules = Rules { tolerance_up: 0.5, tolerance_down: 0.02, ..whole(0, 10, &pods).rules };
        let of = |total| Whole { rules, ..whole(total, 10, &pods) };
        for (total, replicas) in [(1490, 10), (1510, 16), (990, 10), (900, 9)] {
            assert_eq!(of(total).propose_value(1000).map(|one| one.replicas), Ok(replicas), "{total}");
        }
        for (total, replicas) in [(14_900, 10), (15_100, 16), (9900, 10), (9000, 9)] {
            assert_eq!(of(total).propose_average(1000).replicas, replicas, "{total}");
        }
    }

    #[test]
    fn an_average_is_shared_by_the_replicas_that_there_are() {
        for (total, target, current, expected, average) in [
            (6000, 1000, 3, 6, 2000),
            (3200, 1000, 3, 3, 1067),
            (1000, 1000, 3, 1, 334),
            (0, 1000, 3, 0, 0),
            (3300, 1000, 3, 3, 1100),
            (3301, 1000, 3, 4, 1101),
            (9000, 1000, 10, 10, 900),
            (8900, 1000, 10, 9, 890),
            (1000, 1000, 0, 1, 1000),
            (2500, 1000, 0, 3, 2500),
            (0, 1000, 0, 0, 0),
        ] {
            let proposal = whole(total, current, &[]).propose_average(target);
            assert_eq!((proposal.replicas, proposal.average), (expected, average), "{total} {current}");
        }
    }
}
