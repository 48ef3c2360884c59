//! A histogram in a terminal, a line a span of time: bars with grave levels first, or the
//! counts of a field's values in columns. Pure.

use std::fmt::Write;

use tiphys_logging::wire::{Bucket, HistogramAnswer};

use super::figures::{aligned, cell};

/// Cells of the longest bar: with time and count it fits 80 columns.
const WIDTH: f64 = 48.0;
/// Levels from the left, with their colours.
const LEVELS: [(&[&str], u8); 3] = [(&["fatal", "error"], 31), (&["warn"], 33), (&[], 36)];

/// Characters of a value above its column.
const VALUE: usize = 24;

/// The counts of each value in columns, the most frequent first, and what is beside them.
pub fn columns(answer: &HistogramAnswer) -> String {
    let others = answer.buckets.iter().any(|bucket| bucket.others > 0);
    let without = answer.buckets.iter().any(|bucket| bucket.without > 0);
    let mut head = vec!["TIME".to_owned(), "COUNT".to_owned()];
    head.extend(answer.values.iter().map(|value| cell(&value.value, VALUE)));
    head.extend(others.then(|| "(others)".to_owned()));
    head.extend(without.then(|| "(none)".to_owned()));
    let one_day = is_one_day(answer);
    let row = |bucket: &Bucket| {
        let mut row = vec![clock(&bucket.time, one_day), bucket.count.to_string()];
        let of = |value: &str| bucket.by_value.get(value).copied().unwrap_or_default().to_string();
        row.extend(answer.values.iter().map(|value| of(&value.value)));
        row.extend(others.then(|| bucket.others.to_string()));
        row.extend(without.then(|| bucket.without.to_string()));
        row
    };
    let mut table = vec![head];
    table.extend(answer.buckets.iter().map(row));
    aligned(&table, 1) + &sum(answer)
}

/// The answer as lines, with a sum below them.
pub fn bars(answer: &HistogramAnswer, colour: bool) -> String {
    let most = answer.buckets.iter().map(|bucket| bucket.count).max().unwrap_or_default().max(1);
    let digits = most.to_string().len();
    let mut shown = String::new();
    let one_day = is_one_day(answer);
    for bucket in &answer.buckets {
        // Writing to a String can't fail.
        let _ = write!(shown, "{} {:>digits$} ", clock(&bucket.time, one_day), bucket.count);
        shown.push_str(&bar(bucket, most, colour));
        shown.truncate(shown.trim_end().len());
        shown.push('\n');
    }
    shown + &sum(answer)
}

fn is_one_day(answer: &HistogramAnswer) -> bool {
    let day = |bucket: &Bucket| bucket.time.get(..10).unwrap_or_default().to_owned();
    let days: Vec<_> = answer.buckets.iter().map(day).collect();
    days.windows(2).all(|days| days[0] == days[1])
}

fn sum(answer: &HistogramAnswer) -> String {
    let sum: u64 = answer.buckets.iter().map(|bucket| bucket.count).sum();
    let from = answer.buckets.first().map_or("", |bucket| bucket.time.get(..19).unwrap_or(&bucket.time));
    let offset = answer.buckets.first().map_or("Z", |bucket| bucket.time.get(29..).unwrap_or("Z"));
    let step = super::range::shown(answer.step_ns);
    format!("{sum} records since {from}{offset}, {step} a line\n")
}

fn clock(time: &str, one_day: bool) -> String {
    let part = if one_day { time.get(11..19) } else { time.get(5..19) };
    part.unwrap_or(time).replace('T', " ")
}

/// Eighths of a cell are the finest step; whatever there is shows.
fn bar(bucket: &Bucket, most: u64, colour: bool) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let mut bar = String::new();
    let (mut before, mut drawn) = (0u64, 0usize);
    let eighths = |count: u64| (count as f64 / most as f64 * WIDTH * 8.0).round() as usize;
    for (names, code) in LEVELS {
        let named = |name: &str| bucket.by_level.get(name).copied().unwrap_or_default();
        let count = match names {
            [] => bucket.count.saturating_sub(before),
            names => names.iter().map(|name| named(name)).sum(),
        };
        if count == 0 {
            continue;
        }
        before += count;
        let last = before == bucket.count;
        // Only the end of the whole bar is finer than a cell.
        let end = eighths(before).max(drawn * 8 + 1);
        let whole = if last { end / 8 } else { end.div_ceil(8) };
        let mut piece = "█".repeat(whole.saturating_sub(drawn));
        if last && end % 8 > 0 && whole >= drawn {
            piece.push(PARTS[end % 8]);
        }
        drawn = whole.max(drawn);
        if colour {
            let _ = write!(bar, "\x1b[{code}m{piece}\x1b[0m");
        } else {
            bar.push_str(&piece);
        }
    }
    bar
}

#[cfg(test)]
mod tests {
    use tiphys_logging::render;

    use super::*;

    fn bucket(time: &str, levels: &[(&str, u64)]) -> Bucket {
        Bucket {
            time: format!("{time}.000000000Z"),
            count: levels.iter().map(|(_, count)| count).sum(),
            by_level: levels.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Bucket::default()
        }
    }

    #[test]
    fn a_line_a_span() {
        let answer = HistogramAnswer {
            buckets: vec![
                bucket("2026-01-31T12:00:00", &[("info", 96), ("error", 24)]),
                bucket("2026-01-31T12:01:00", &[]),
                bucket("2026-01-31T12:02:00", &[("unknown", 1)]),
                bucket("2026-01-31T12:03:00", &[("warn", 55)]),
            ],
            step_ns: 60_000_000_000,
            ..HistogramAnswer::default()
        };
        let expected = format!(
            "12:00:00 120 {}\n12:01:00   0\n12:02:00   1 ▍\n12:03:00  55 {}\n176 records since 2026-01-31T12:00:00Z, 1 m a line\n",
            "█".repeat(48),
            "█".repeat(22)
        );
        assert_eq!(bars(&answer, false), expected);
        let coloured = bars(&answer, true);
        let first =
            format!("12:00:00 120 \x1b[31m{}\x1b[0m\x1b[36m{}\x1b[0m\n", "█".repeat(10), "█".repeat(38));
        assert!(coloured.starts_with(&first), "{coloured}");
        assert!(bars(&answer, false).lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn values_have_columns_and_the_rest_is_named() {
        let value =
            |value: &str| tiphys_logging::wire::FacetValue { value: value.into(), ..Default::default() };
        let bucket = |time: &str, count, by: &[(&str, u64)], others| Bucket {
            count,
            by_value: by.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect(),
            others,
            ..bucket(time, &[])
        };
        let mut answer = HistogramAnswer {
            buckets: vec![
                bucket("2026-01-31T12:00:00", 9, &[("200", 7), ("a\x1bb", 1)], 1),
                bucket("2026-01-31T12:01:00", 2, &[("200", 2)], 0),
            ],
            values: vec![value("200"), value("a\x1bb"), value(&"x".repeat(40))],
            step_ns: 60_000_000_000,
            ..HistogramAnswer::default()
        };
        let shown = columns(&answer);
        let escaped = render::escaped("a\x1bb");
        let wide = format!("{}…", "x".repeat(24));
        let head = format!("TIME      COUNT  200  {escaped}  {wide}  (others)");
        let mut lines = shown.lines();
        assert_eq!(lines.next(), Some(head.as_str()));
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines.next().map(cells), Some(cells("12:00:00 9 7 1 0 1")));
        assert_eq!(lines.next().map(cells), Some(cells("12:01:00 2 2 0 0 0")));
        assert_eq!(lines.next(), Some("11 records since 2026-01-31T12:00:00Z, 1 m a line"));
        answer.buckets[0].without = 1;
        answer.buckets[0].others = 0;
        assert!(columns(&answer).starts_with(&head.replace("(others)", "(none)")));
    }

    #[test]
    fn spans_of_several_days_have_their_day() {
        let buckets = vec![bucket("2026-01-30T23:00:00", &[]), bucket("2026-01-31T00:00:00", &[("info", 2)])];
        let shown = bars(&HistogramAnswer { buckets, ..HistogramAnswer::default() }, false);
        assert!(shown.starts_with("01-30 23:00:00 0\n01-31 00:00:00 2 ██"), "{shown}");
    }
}
