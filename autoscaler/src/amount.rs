//! A metric's value as `kubectl describe hpa` shows quantities: `250m`, `60Mi`. Pure.

const BINARY: [(&str, i64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// A value in thousandths of a metric that is called so; bytes, where its name says that it is of
/// them, rounded to a tenth.
pub fn amount(metric: &str, milli: i64) -> String {
    if is_of_bytes(metric) { bytes(milli / 1000) } else { plain(milli) }
}

/// Thousandths; large numbers are rounded to whole ones.
fn plain(milli: i64) -> String {
    if milli % 1000 == 0 || milli.abs() >= 100_000 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// Bytes as a quantity, rounded to a tenth.
pub fn bytes(bytes: i64) -> String {
    let Some((unit, size)) = BINARY.iter().find(|(_, size)| bytes.abs() >= *size) else {
        return bytes.to_string();
    };
    let rounded = format!("{:.1}", bytes as f64 / *size as f64);
    format!("{}{unit}", rounded.strip_suffix(".0").unwrap_or(&rounded))
}

/// `memory`, `memory of container app`, `memory_rss_bytes`, `network_receive_bytes_per_second of ...`.
fn is_of_bytes(metric: &str) -> bool {
    let name = metric.split(' ').next().unwrap_or_default();
    name == "memory" || name == "memory_rss" || name.split('_').any(|word| word == "bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_quantities() {
        for (metric, milli, expected) in [
            ("cpu", 250, "250m"),
            ("cpu", 2000, "2"),
            ("memory", 62_914_560_000, "60Mi"),
            ("memory of container app", 25_165_824_000, "24Mi"),
            ("memory_rss_bytes", 1_610_612_736_000, "1.5Gi"),
            ("network_receive_bytes_per_second", 512_000, "512"),
            ("memory", 63_000_000_000, "60.1Mi"),
            ("memory", -2_097_152_000, "-2Mi"),
            ("orders of Service desk", 2500, "2500m"),
            ("queue_length", 123_456, "123"),
            ("queue_length", 0, "0"),
        ] {
            assert_eq!(amount(metric, milli), expected, "{metric} {milli}");
        }
    }
}
