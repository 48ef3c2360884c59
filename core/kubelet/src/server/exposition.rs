//! A page of figures in Prometheus' text format: what is told is put together by name. Pure.
//!
//! Each sample bears the time at which it was measured, as those of a kubelet's containers do:
//! who asks twice within a second gets the same one.

use std::{collections::BTreeMap, fmt::Write};

use tiphys_api::cadvisor::{Kind, Name, Tell};

/// The Content-Type of [`Page::text`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was told so far.
pub(super) struct Page {
    families: BTreeMap<&'static str, Family>,
    /// Milliseconds since the Unix epoch.
    time: i64,
}

struct Family {
    kind: Kind,
    help: &'static str,
    /// A line a sample.
    lines: String,
}

impl Page {
    /// An empty one, of figures that were measured at `time`, microseconds since the Unix epoch.
    pub(super) fn new(time: i64) -> Self {
        Self { families: BTreeMap::new(), time: time.div_euclid(1000) }
    }

    /// All of it, names in their order.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { kind, help, lines }) in &self.families {
            // To a String, which never fails.
            let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {}\n{lines}", kind.name());
        }
        text
    }
}

impl Tell for Page {
    fn tell<V: 'static>(
        &mut self,
        _list: u8,
        _key: &str,
        names: &[Name<V>],
        value: &V,
        labels: &[(&str, &str)],
    ) {
        for name in names {
            let Some(number) = (name.value)(value) else { continue };
            let family = Family { kind: name.kind, help: name.help, lines: String::new() };
            let lines = &mut self.families.entry(name.name).or_insert(family).lines;
            lines.push_str(name.name);
            for (at, (label, value)) in labels.iter().chain(name.labels).enumerate() {
                lines.push(if at == 0 { '{' } else { ',' });
                lines.push_str(label);
                lines.push_str("=\"");
                escape(value, lines);
                lines.push('"');
            }
            if !labels.is_empty() || !name.labels.is_empty() {
                lines.push('}');
            }
            let _ = writeln!(lines, " {number} {}", self.time);
        }
    }
}

fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use tiphys_api::cadvisor::{counter, gauge, plain, some};

    use super::*;

    static NAMES: &[Name<u64>] = &[
        Name {
            name: "b_total",
            kind: Kind::Counter,
            help: "What grows",
            labels: &[("cpu", "total")],
            value: |it| plain(*it),
        },
        gauge("a", "What doesn't", |it| Some(*it as f64 / 2.0)),
        counter("c_total", "What is there when it isn't zero", |it| some(*it)),
    ];

    #[test]
    fn a_page_has_each_name_once_with_all_its_samples() {
        let mut page = Page::new(1_500_000_999);
        page.tell(0, "", NAMES, &0, &[]);
        page.tell(0, "x", NAMES, &3, &[("pod", "a\"b\\c\nd")]);
        assert_eq!(
            page.text(),
            "# HELP a What doesn't.\n\
             # TYPE a gauge\n\
             a 0 1500000\n\
             a{pod=\"a\\\"b\\\\c\\nd\"} 1.5 1500000\n\
             # HELP b_total What grows.\n\
             # TYPE b_total counter\n\
             b_total{cpu=\"total\"} 0 1500000\n\
             b_total{pod=\"a\\\"b\\\\c\\nd\",cpu=\"total\"} 3 1500000\n\
             # HELP c_total What is there when it isn't zero.\n\
             # TYPE c_total counter\n\
             c_total{pod=\"a\\\"b\\\\c\\nd\"} 3 1500000\n"
        );
    }
}
