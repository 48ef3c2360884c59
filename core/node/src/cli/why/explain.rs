//! Decisions in words for somebody who has not read the autoscaler's documentation. Pure.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tiphys_api::{
    decisions::{Decision, MetricReading},
    ways::Way,
};
use tiphys_autoscaler::{amount, bytes};

use super::Beside;

/// Lines of history.
const HISTORY: usize = 20;

/// The newest decision at length, and before it what was decided, oldest first.
pub fn explain(decisions: &[Decision], beside: &Beside, now: Timestamp) -> String {
    let mut text = String::new();
    let Some(last) = decisions.last() else { return text };
    let (least, most) = (last.min_replicas, last.max_replicas);
    let name = format!("{}/{}", last.namespace, last.autoscaler);
    // Writing to a String can't fail, here and below.
    let _ = writeln!(text, "{name} scales {} between {least} and {most} replicas.\n", last.target);
    let _ = writeln!(text, "Now ({} ago): {}", ago(last.time, now), headline(last));
    for metric in &last.metrics {
        let _ = writeln!(text, "  - {}", reading(metric, beside));
    }
    if let Some(forecast) = last.forecast {
        let _ = writeln!(text, "  - at this hour of past days the load asked for {}", replicas(forecast));
    }
    if let Some(mistake) = &beside.mistake {
        let _ = writeln!(text, "  - {mistake}");
    }
    if let Some(held) = held(last, now) {
        let _ = writeln!(text, "  {held}");
    }
    if !last.failure.is_empty() && last.limited_by != "failure" {
        let _ = writeln!(text, "  Not all metrics could be used: {}", last.failure);
    }
    let _ = writeln!(text, "  The newest sample was {} ms old.", last.sample_age_ms);
    history(&mut text, decisions);
    text
}

/// What was done, and the one reason that decided it.
fn headline(decision: &Decision) -> String {
    let Decision {
        current_replicas: current, desired_replicas: desired, proposed_replicas: proposed, ..
    } = decision;
    let asked = format!("{} for {}", who_asks(decision), replicas(*proposed));
    let action = match desired.cmp(current) {
        std::cmp::Ordering::Greater => format!("scales up from {current} to {desired}"),
        std::cmp::Ordering::Less => format!("scales down from {current} to {desired}"),
        std::cmp::Ordering::Equal => format!("stays at {}", replicas(*current)),
    };
    let because = match decision.limited_by.as_str() {
        "disabled" => "the target has 0 replicas, which switches the autoscaler off; scale it to 1 or more \
                       by hand to switch it on"
            .to_owned(),
        "failure" => format!("nothing can be decided: {}", decision.failure),
        "tolerance" => {
            let (up, down) = (percent(decision.tolerance_up), percent(decision.tolerance_down));
            format!("every metric is near its target (within {up} % above, {down} % below)")
        }
        "stabilization" => format!("{asked}, but changes wait for stabilization"),
        "maxReplicas" => {
            format!("{asked}, and maxReplicas is {}", decision.max_replicas)
        }
        "minReplicas" => {
            format!("{asked}, and minReplicas is {}", decision.min_replicas)
        }
        "scaleUpPolicy" | "scaleDownPolicy" => {
            format!("{asked}, and a policy allows {}", decision.policy)
        }
        _ if desired == current => format!("that is what {} for", who_asks(decision)),
        _ => asked,
    };
    format!("{action}, since {because}.")
}

/// The metrics, or the forecast where it asks for more than any of them.
fn who_asks(decision: &Decision) -> &'static str {
    let by_metrics = decision.metrics.iter().filter_map(|metric| metric.proposal).max();
    match decision.forecast == Some(decision.proposed_replicas) && decision.forecast > by_metrics {
        true => "the same hours of past days ask",
        false => "the metrics ask",
    }
}

fn reading(metric: &MetricReading, beside: &Beside) -> String {
    let name = if metric.name.is_empty() { "a metric" } else { &metric.name };
    if !metric.error.is_empty() {
        return format!("{name}: {}", metric.error);
    }
    let shown = |value| match metric.target_type.as_str() {
        "Utilization" => number(value),
        _ => quantity(name, value, beside),
    };
    let (current, target) = (shown(metric.current.unwrap_or_default()), shown(metric.target));
    let figure = match metric.target_type.as_str() {
        "Utilization" => format!("{current} % of what is requested, target {target} %"),
        "AverageValue" if metric.pods_counted > 0 => format!("{current} a Pod, target {target}"),
        "AverageValue" => format!("{current} a replica, target {target}"),
        _ => format!("{current}, target {target}"),
    };
    let mut text = format!("{name} is at {figure}");
    let _ = write!(text, ": asks for {}", replicas(metric.proposal.unwrap_or_default()));
    let pods = match metric.pods_counted {
        0 => None,
        1 => Some("from 1 Pod".to_owned()),
        many => Some(format!("from {many} Pods")),
    };
    let rests_on: Vec<_> = pods.into_iter().chain(sources(metric)).collect();
    if !rests_on.is_empty() {
        let _ = write!(text, " ({})", rests_on.join(", "));
    }
    for (count, names, what) in [
        (metric.pods_missing, &metric.missing, "without a figure"),
        (metric.pods_unready, &metric.unready, "starting or not ready"),
    ] {
        if count > 0 {
            let more = usize::try_from(count).unwrap_or_default().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(text, "; {count} {what}: {}{more}", names.join(", "));
        }
    }
    text
}

/// By which ways the figures came, where that is known. Words of a later version stay as they are.
fn sources(metric: &MetricReading) -> Option<String> {
    let words = |name: &String| Way::named(name).map_or_else(|| name.clone(), |way| way.words().to_owned());
    let all: Vec<_> = metric.sources.iter().map(words).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

/// Until when it is held back.
fn held(decision: &Decision, now: Timestamp) -> Option<String> {
    let until = Timestamp::from_microsecond(decision.held_until?).ok()?;
    let left = until.duration_since(now);
    if left <= SignedDuration::ZERO {
        return None;
    }
    let rule = match decision.limited_by.as_str() {
        "stabilization" => "What was asked for before holds it",
        _ => "The policy counts what was changed in its period",
    };
    Some(format!("{rule}: held until {} (for {} more), if the load stays.", clock(until), span(left)))
}

/// Runs of decisions with the same outcome are one line.
fn history(text: &mut String, decisions: &[Decision]) {
    let mut runs: Vec<(&Decision, &Decision)> = Vec::new();
    for decision in decisions {
        match runs.last_mut() {
            Some((_, last)) if alike(last, decision) => *last = decision,
            _ => runs.push((decision, decision)),
        }
    }
    let skipped = runs.len().saturating_sub(HISTORY);
    let _ = writeln!(text, "\nBefore:");
    if skipped > 0 {
        let _ = writeln!(text, "  ... {skipped} earlier, shown with -o json");
    }
    for (first, last) in &runs[skipped..] {
        let at = |decision: &Decision| {
            Timestamp::from_microsecond(decision.time).map_or_else(|_| "?".to_owned(), clock)
        };
        let until = if first.time == last.time { String::new() } else { format!(" to {}", at(last)) };
        let _ = writeln!(text, "  {}{until}  {}", at(first), first.reason);
    }
}

fn alike(one: &Decision, other: &Decision) -> bool {
    !other.scaled
        && !one.scaled
        && one.current_replicas == other.current_replicas
        && one.desired_replicas == other.desired_replicas
        && one.limited_by == other.limited_by
        && one.failure == other.failure
}

fn replicas(count: i32) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

/// A share in percent; less than one has a decimal.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

/// A value as `kubectl describe hpa` shows it, with its unit where it is known.
fn quantity(metric: &str, value: f64, beside: &Beside) -> String {
    match beside.units.get(metric).map(String::as_str) {
        Some("bytes" | "byte" | "B") => bytes(value.round() as i64),
        Some(unit) => format!("{} {unit}", number(value)),
        None => amount(metric, (value * 1000.0).round() as i64),
    }
}

fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    format!("{rounded}")
}

fn ago(micros: i64, now: Timestamp) -> String {
    let then = Timestamp::from_microsecond(micros).unwrap_or(now);
    span(now.duration_since(then).max(SignedDuration::ZERO))
}

fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs() + i64::from(duration.subsec_nanos() > 0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", (seconds + 59) / 60),
        _ => format!("{} h", (seconds + 3599) / 3600),
    }
}

/// In the time zone of whoever reads it.
fn clock(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%F %T").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn cpu() -> MetricReading {
        MetricReading {
            name: "cpu".into(),
            target_type: "Utilization".into(),
            current: Some(20.0),
            target: 50.0,
            proposal: Some(2),
            pods_counted: 2,
            pods_missing: 1,
            missing: vec!["web-3".into()],
            ..MetricReading::default()
        }
    }

    fn decision(second: i64, limited_by: &str, desired: i32) -> Decision {
        Decision {
            time: second * SECOND,
            namespace: "shop".into(),
            autoscaler: "web".into(),
            target: "Deployment/web".into(),
            current_replicas: 3,
            desired_replicas: desired,
            min_replicas: 1,
            max_replicas: 10,
            proposed_replicas: 2,
            limited_by: limited_by.into(),
            reason: format!("stay at {desired}: because"),
            metrics: vec![cpu()],
            tolerance_up: 0.1,
            tolerance_down: 0.1,
            ..Decision::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_forecast_is_said_beside_the_metrics() {
        let foretold = Decision { forecast: Some(4), proposed_replicas: 4, ..decision(1, "", 4) };
        let text = explain(&[foretold], &Beside::default(), at(2));
        assert!(
            text.contains("scales up from 3 to 4, since the same hours of past days ask for 4 replicas."),
            "{text}"
        );
        assert!(text.contains("  - at this hour of past days the load asked for 4 replicas\n"), "{text}");
        let text =
            explain(&[Decision { forecast: Some(2), ..decision(1, "", 2) }], &Beside::default(), at(2));
        assert!(text.contains("since the metrics ask for 2 replicas."), "{text}");
        assert!(!explain(&[decision(1, "", 3)], &Beside::default(), at(2)).contains("past days"));
    }

    #[test]
    fn a_decision_that_waits_says_for_what_and_until_when() {
        let held = Decision { held_until: Some(300 * SECOND), ..decision(100, "stabilization", 3) };
        let text = explain(&[held], &Beside::default(), at(110));
        assert!(text.starts_with("shop/web scales Deployment/web between 1 and 10 replicas."), "{text}");
        assert!(
            text.contains("Now (10 s ago): stays at 3 replicas, since the metrics ask for 2 replicas, but"),
            "{text}"
        );
        assert!(
            text.contains("cpu is at 20 % of what is requested, target 50 %: asks for 2 replicas"),
            "{text}"
        );
        assert!(text.contains("1 without a figure: web-3"), "{text}");
        assert!(text.contains("(for 4 min more)"), "{text}");
    }

    #[test]
    fn each_reason_has_words_of_its_own() {
        let failed = Decision { failure: "no figures".into(), ..decision(1, "failure", 3) };
        for (decision, words) in [
            (decision(1, "tolerance", 3), "near its target (within 10 % above, 10 % below)"),
            (
                Decision { tolerance_up: 0.004, tolerance_down: 0.0, ..decision(1, "tolerance", 3) },
                "(within 0.4 % above, 0 % below)",
            ),
            (decision(1, "maxReplicas", 3), "maxReplicas is 10"),
            (decision(1, "disabled", 3), "switches the autoscaler off"),
            (failed, "nothing can be decided: no figures"),
            (decision(1, "", 2), "scales down from 3 to 2, since the metrics ask for 2 replicas."),
        ] {
            let text = explain(&[decision], &Beside::default(), at(2));
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn figures_are_quantities_with_their_units() {
        let at_average = |name: &str, current: f64, target: f64| {
            let metric = MetricReading {
                name: name.into(),
                target_type: "AverageValue".into(),
                current: Some(current),
                target,
                pods_counted: 1,
                ..MetricReading::default()
            };
            let beside = Beside {
                units: [("depth", "orders"), ("heap", "bytes")]
                    .map(|(name, unit)| (name.to_owned(), unit.to_owned()))
                    .into(),
                mistake: Some("the annotation is wrong".into()),
            };
            explain(&[Decision { metrics: vec![metric], ..decision(1, "", 3) }], &beside, at(2))
        };
        for (name, current, target, words) in [
            ("memory", 62_914_560.0, 25_165_824.0, "memory is at 60Mi a Pod, target 24Mi"),
            ("cpu", 0.25, 0.5, "cpu is at 250m a Pod, target 500m"),
            ("depth", 2.5, 2.0, "depth is at 2.5 orders a Pod, target 2 orders"),
            ("heap", 1_073_741_824.0, 2048.0, "heap is at 1Gi a Pod, target 2Ki"),
        ] {
            let text = at_average(name, current, target);
            assert!(text.contains(words), "{words}: {text}");
            assert!(text.contains("  - the annotation is wrong\n"), "{text}");
        }
    }

    #[test]
    fn where_figures_came_from_is_said_where_it_is_known() {
        let told = |pods_counted: i32, sources: &[&str]| {
            let sources = sources.iter().map(|name| (*name).to_owned()).collect();
            let metric = MetricReading { pods_counted, sources, ..cpu() };
            explain(&[Decision { metrics: vec![metric], ..decision(1, "", 3) }], &Beside::default(), at(2))
        };
        for (pods, sources, words) in [
            (2, &["sampled"][..], "asks for 2 replicas (from 2 Pods, sampled by the nodes); 1 without"),
            (2, &["scraped", "otlp"], "(from 2 Pods, scraped and sent by OTLP); 1 without"),
            (0, &["remoteWrite"], "asks for 2 replicas (sent by remote write); 1 without"),
            (0, &["carried"], "asks for 2 replicas (carried); 1 without"),
            // Rows of former versions say nothing of it.
            (2, &[], "asks for 2 replicas (from 2 Pods); 1 without"),
            (0, &[], "asks for 2 replicas; 1 without"),
        ] {
            let text = told(pods, sources);
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn runs_of_the_same_outcome_are_one_line() {
        let mut rows: Vec<_> = (0..5).map(|second| decision(second, "tolerance", 3)).collect();
        rows.push(Decision { scaled: true, ..decision(9, "", 2) });
        rows.push(Decision { scaled: true, ..decision(10, "", 2) });
        let text = explain(&rows, &Beside::default(), at(20));
        let lines = text.lines().skip_while(|line| *line != "Before:").skip(1);
        assert_eq!(lines.count(), 3, "{text}");
    }
}
