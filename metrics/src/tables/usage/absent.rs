//! Which figures of a row say nothing, though a node tells 0 of them: a limit that there isn't, and
//! what no interface has counted. In SQL that is null, so that a share of a limit is one, and a mean
//! is that of what is known. Pure.

use tiphys_api::samples::Usage;

use crate::figures::Figure;

/// Figures that are never 0 where there is something to tell, and when they are absent.
const NEVER_ZERO: [(&str, &str); 5] = [
    ("memory_limit_bytes", "null without a limit"),
    ("cpu_limit_millicores", "null without one"),
    ("memory_limit_asked_bytes", "null without one"),
    ("filesystem_capacity_bytes", "null of Pods and containers"),
    ("filesystem_inodes", "null of Pods and containers"),
];
/// What the names of figures begin with that interfaces count.
const NETWORK: &str = "network_";
const NO_INTERFACE: &str = "null of what has no interface of its own: containers, and Pods in the network \
                            of their node";
/// Two of these figures, of which one at least isn't 0 where there is an interface in use.
const PACKETS: [&str; 2] = ["network_receive_packets_total", "network_transmit_packets_total"];

/// What a 0 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// None.
    Number,
    /// There is nothing to tell.
    Nothing,
    /// The same, where nothing of the network was counted.
    NoInterface,
}

impl Zero {
    /// Of a figure.
    pub fn of(figure: &str) -> Self {
        if figure.starts_with(NETWORK) {
            return Self::NoInterface;
        }
        match NEVER_ZERO.iter().any(|(name, _)| *name == figure) {
            true => Self::Nothing,
            false => Self::Number,
        }
    }

    /// Whether a figure with this value says nothing, among these others.
    pub fn is_absent(self, value: u64, usage: &Usage) -> bool {
        value == 0
            && match self {
                Self::Number => false,
                Self::Nothing => true,
                Self::NoInterface => {
                    usage.network_receive_packets_total == 0
                        && usage.network_transmit_packets_total == 0
                        && usage.network_receive_bytes_total == 0
                        && usage.network_transmit_bytes_total == 0
                }
            }
    }
}

/// Whether a figure has to be read because of others that are asked for: it tells if those are absent.
pub fn decides<'a>(figure: &str, mut asked: impl Iterator<Item = &'a str>) -> bool {
    PACKETS.contains(&figure) && asked.any(|column| column.starts_with(NETWORK))
}

/// What a figure's column says of itself, or that of its rate.
pub fn described(figure: &Figure, about: &str) -> String {
    if figure.name.starts_with(NETWORK) {
        return format!("{about}; {NO_INTERFACE}");
    }
    match NEVER_ZERO.iter().find(|(name, _)| *name == figure.name) {
        // Where a node tells it, it is 0 instead.
        Some((_, when)) => {
            format!("{}; {when}", about.split_once("; 0 ").map_or(about, |(about, _)| about))
        }
        None => about.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::FIGURES;

    #[test]
    fn a_zero_is_a_number_or_says_nothing() {
        let idle = Usage::default();
        let told = Usage { network_transmit_packets_total: 1, ..idle };
        let table = [
            ("cpu_limit_millicores", 0, &idle, true),
            ("cpu_limit_millicores", 250, &idle, false),
            ("cpu_request_millicores", 0, &idle, false),
            ("memory_rss_bytes", 0, &idle, false),
            ("filesystem_inodes", 0, &told, true),
            ("network_receive_bytes_total", 0, &idle, true),
            ("network_receive_bytes_total", 0, &told, false),
            ("network_receive_bytes_total", 9, &idle, false),
            ("network_errors_total", 0, &told, false),
        ];
        for (figure, value, usage, absent) in table {
            assert_eq!(Zero::of(figure).is_absent(value, usage), absent, "{figure} {value}");
        }
    }

    #[test]
    fn columns_say_when_they_are_null_and_not_that_they_are_zero() {
        for (name, when) in NEVER_ZERO {
            let figure = Figure::named(name).expect("a figure");
            let said = described(figure, figure.about);
            assert!(said.ends_with(when) && !said.contains("; 0 "), "{name}: {said}");
        }
        let of_network: Vec<_> = FIGURES.iter().filter(|figure| figure.name.starts_with(NETWORK)).collect();
        assert!(of_network.len() > PACKETS.len());
        assert!(of_network.iter().all(|figure| described(figure, figure.about).contains("null of")));
        for name in PACKETS {
            assert!(Figure::named(name).is_some_and(|figure| figure.name == name), "{name}");
        }
    }
}
