//! By which names a figure may be asked for: our own columns, and what users of
//! prometheus-adapter are used to.

use crate::figures::Figure;

/// Other names of figures: as the resource metrics are called, and as prometheus-adapter's
/// default rules call cAdvisor's.
const ALIASES: &[(&str, &str)] = &[
    ("cpu", "cpu_cores"),
    ("cpu_usage", "cpu_cores"),
    ("memory", "memory_working_set_bytes"),
    ("memory_rss", "memory_rss_bytes"),
    ("fs_reads_bytes", "disk_read_bytes_per_second"),
    ("fs_writes_bytes", "disk_write_bytes_per_second"),
    ("fs_reads", "disk_reads_per_second"),
    ("fs_writes", "disk_writes_per_second"),
    ("fs_usage_bytes", "filesystem_used_bytes"),
    ("network_receive_bytes", "network_receive_bytes_per_second"),
    ("network_transmit_bytes", "network_transmit_bytes_per_second"),
    ("network_receive_packets", "network_receive_packets_per_second"),
    ("network_transmit_packets", "network_transmit_packets_per_second"),
];

/// The figure that a metric's name means.
pub fn figure(name: &str) -> Option<&'static Figure> {
    let own = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, own)| *own);
    Figure::named(own)
}

/// The aliases, for lists of metrics.
pub fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(alias, _)| *alias)
}

/// The series whose rate a name means: `http_requests_per_second`, or just `http_requests`, is
/// the rate of `http_requests_total`.
pub fn counters(name: &str) -> Vec<String> {
    match name.strip_suffix("_per_second") {
        Some(base) => vec![format!("{base}_total"), base.to_owned()],
        None => vec![format!("{name}_total"), format!("{name}_seconds_total")],
    }
}

/// By what a counter's rate is asked for; nothing for what is no counter.
pub fn rate_of(series: &str) -> Option<String> {
    series.strip_suffix("_total").map(|base| format!("{base}_per_second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_is_a_figure() {
        for (alias, own) in ALIASES {
            assert!(figure(alias).is_some(), "{alias}");
            assert!(Figure::named(alias).is_none(), "{alias} is a column already");
            assert!(Figure::named(own).is_some(), "{own}");
        }
        assert!(figure("disk_write_bytes_per_second").is_some() && figure("requests").is_none());
    }

    #[test]
    fn rates_are_named_as_the_adapter_names_them() {
        assert_eq!(rate_of("http_requests_total").as_deref(), Some("http_requests_per_second"));
        assert!(counters("http_requests_per_second").contains(&"http_requests_total".to_owned()));
        assert!(counters("cpu").contains(&"cpu_seconds_total".to_owned()));
    }
}
