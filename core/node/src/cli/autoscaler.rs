//! The options of `tiphys server` for autoscalers, named as kube-controller-manager's.

use std::time::Duration;

use tiphys_autoscaler::Config;

use super::log_archive::span;

/// Nodes are sampled each second: more often there is nothing new to look at.
const LEAST_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, clap::Args)]
pub struct AutoscalerOptions {
    /// How far a metric may be from its target, as a share of it, without any change; an
    /// autoscaler's own tolerance goes before
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = tolerance)]
    pub horizontal_pod_autoscaler_tolerance: f64,
    /// How long replicas are kept that were asked for, where an autoscaler has no
    /// stabilizationWindowSeconds of its own for scaling down
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span)]
    pub horizontal_pod_autoscaler_downscale_stabilization: Duration,
    /// How long after its start a Pod's CPU counts only if it was measured since the Pod is ready
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span)]
    pub horizontal_pod_autoscaler_cpu_initialization_period: Duration,
    /// A Pod that becomes unready within this time after its start counts as never having been ready
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    pub horizontal_pod_autoscaler_initial_readiness_delay: Duration,
    /// How often is looked whether to go down, 1s or more; up goes by each second's figures, whatever
    /// this is
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = period)]
    pub horizontal_pod_autoscaler_sync_period: Duration,
}

impl AutoscalerOptions {
    /// What the autoscaler has to be told.
    pub fn config(&self) -> Config {
        Config {
            tolerance: self.horizontal_pod_autoscaler_tolerance,
            downscale_stabilization: self.horizontal_pod_autoscaler_downscale_stabilization,
            cpu_initialization: self.horizontal_pod_autoscaler_cpu_initialization_period,
            initial_readiness: self.horizontal_pod_autoscaler_initial_readiness_delay,
            sync_period: self.horizontal_pod_autoscaler_sync_period,
        }
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| format!("`{text}` is no share, such as 0.1"))
}

fn period(text: &str) -> Result<Duration, String> {
    let period = span(text)?;
    if period < LEAST_PERIOD { Err(format!("{text} is less than 1s")) } else { Ok(period) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        autoscaler: AutoscalerOptions,
    }

    fn config(arguments: &[&str]) -> Option<Config> {
        let line = Line::try_parse_from(["server"].iter().chain(arguments).copied());
        line.ok().map(|line| line.autoscaler.config())
    }

    #[test]
    fn without_options_upstreams_defaults_hold() {
        let seconds = Duration::from_secs;
        let upstreams = Config {
            tolerance: 0.1,
            downscale_stabilization: seconds(300),
            cpu_initialization: seconds(300),
            initial_readiness: seconds(30),
            sync_period: seconds(15),
        };
        assert_eq!(config(&[]), Some(upstreams));
        assert_eq!(Config::default(), upstreams);
    }

    #[test]
    fn each_option_has_upstreams_name_and_sets_its_own() {
        let given = config(&[
            "--horizontal-pod-autoscaler-tolerance=0.25",
            "--horizontal-pod-autoscaler-downscale-stabilization=1m30s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=2m0s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=10s",
            "--horizontal-pod-autoscaler-sync-period=1s",
        ]);
        let seconds = Duration::from_secs;
        let expected = Config {
            tolerance: 0.25,
            downscale_stabilization: seconds(90),
            cpu_initialization: seconds(120),
            initial_readiness: seconds(10),
            sync_period: seconds(1),
        };
        assert_eq!(given, Some(expected));
    }

    #[test]
    fn what_is_no_span_or_share_is_refused() {
        for (name, text) in [
            ("tolerance", "-0.1"),
            ("tolerance", "NaN"),
            ("tolerance", "10%"),
            ("downscale-stabilization", "300"),
            ("downscale-stabilization", "-5m"),
            ("cpu-initialization-period", "soon"),
            ("initial-readiness-delay", ""),
            ("sync-period", "0s"),
            ("sync-period", "900ms"),
        ] {
            assert_eq!(
                config(&[&format!("--horizontal-pod-autoscaler-{name}={text}")]),
                None,
                "{name} {text}"
            );
        }
        let none = config(&["--horizontal-pod-autoscaler-downscale-stabilization=0s"]);
        assert_eq!(none.map(|config| config.downscale_stabilization), Some(Duration::ZERO));
    }
}
