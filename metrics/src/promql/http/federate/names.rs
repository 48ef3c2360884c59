//! Names as the reader of a federated answer takes them. Pure.
//!
//! Whoever writes series may name them as they like, and a text has lines and braces between its names: put
//! in as it is, a name could say a series that nobody sent, or make a reader refuse the whole answer. So a
//! reader that takes no other names gets the letters that Prometheus always took, with `_` for all others,
//! and one that does gets what isn't made of them in quotes.
//!
//! Source: <https://prometheus.io/docs/instrumenting/escaping_schemes/>.

use std::borrow::Cow;

use super::{Newest, in_order};
use crate::{
    scrape::expose::{is_label_name, is_metric_name},
    series::{Labels, NAME},
};

/// How names are written that Prometheus did not always take; that last which keeps more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Escaping {
    #[default]
    Underscores,
    /// As they are, in quotes.
    Utf8,
}

impl Escaping {
    /// By its word in the header Accept. There are others, and who wants one of those takes underscores.
    pub fn called(word: Option<&str>) -> Self {
        match word {
            Some("allow-utf-8") => Self::Utf8,
            _ => Self::Underscores,
        }
    }

    /// Whether a name goes as it is; `is_plain` knows those that always do. A NUL ends a text for Prometheus.
    fn keeps(self, name: &str, is_plain: fn(&str) -> bool) -> bool {
        is_plain(name) || (self == Self::Utf8 && !name.is_empty() && !name.contains('\0'))
    }

    /// Labels with other names; none where all of them go as they are.
    fn respelt(self, labels: &Labels) -> Option<Labels> {
        let keeps_metric = self.keeps(labels.name(), is_metric_name);
        let (kept, others): (Vec<_>, Vec<_>) =
            labels.iter().partition(|(name, _)| self.keeps(name, is_label_name));
        if keeps_metric && others.is_empty() {
            return None;
        }
        let others = others.into_iter().filter(|(name, _)| !name.is_empty());
        let others = others.map(|(name, value)| (underscored(name, false), value.to_owned()));
        let kept = kept.into_iter().map(|(name, value)| {
            let value = match name == NAME && !keeps_metric {
                true => underscored(value, true),
                false => value.to_owned(),
            };
            (name.to_owned(), value)
        });
        // Of a doubled name the last stays: the one that was called so.
        Some(Labels::new(others.chain(kept)))
    }
}

/// Gives series the names that are taken. Of those that are alike then one stays, the one that was called so;
/// one without a name can't be written.
pub fn spell(found: &mut Vec<Newest>, escaping: Escaping) {
    let mut respelt = Vec::new();
    found.retain(|one| !one.labels.name().is_empty());
    found.retain(|one| {
        let Some(labels) = escaping.respelt(&one.labels) else { return true };
        respelt.push(Newest { labels, ..one.clone() });
        false
    });
    if !respelt.is_empty() {
        found.extend(respelt);
        in_order(found);
    }
}

fn underscored(name: &str, is_metric: bool) -> String {
    let letter = |(place, letter): (usize, char)| match letter {
        'a'..='z' | 'A'..='Z' => letter,
        '0'..='9' if place > 0 => letter,
        ':' if is_metric => letter,
        _ => '_',
    };
    name.chars().enumerate().map(letter).collect()
}

/// A metric's name as a text has it, and whether it stands within the braces.
pub fn metric(name: &str) -> (Cow<'_, str>, bool) {
    match is_metric_name(name) {
        true => (Cow::Borrowed(name), false),
        false => (Cow::Owned(quoted(name)), true),
    }
}

/// A label as a text has it.
pub fn label(name: &str, value: &str) -> String {
    let name = if is_label_name(name) { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) };
    format!("{name}={}", quoted(value))
}

fn quoted(text: &str) -> String {
    // A value has a NUL as it came, and Prometheus refuses the text that has one.
    let text = text.replace('\0', "\u{fffd}");
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scrape::expose, series::Value};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn newest(labels: Pairs<'_>, value: f64) -> Newest {
        Newest { labels: Labels::new(labels.iter().copied()), time: 1500, value: Value::Number(value) }
    }

    /// Each series as it goes to the reader, with its value.
    fn spelt(series: &[Pairs<'_>], escaping: Escaping) -> Vec<(String, f64)> {
        let mut found: Vec<_> =
            series.iter().zip(1_u8..).map(|(labels, number)| newest(labels, f64::from(number))).collect();
        in_order(&mut found);
        spell(&mut found, escaping);
        let told = |one: &Newest| (one.labels.to_string(), one.value.number().unwrap_or(f64::NAN));
        found.iter().map(told).collect()
    }

    #[test]
    fn names_are_made_of_what_the_reader_takes() {
        for (name, underscores, utf8) in [
            ("up", "up", "up"),
            ("a:b", "a:b", "a:b"),
            ("http.server.duration", "http_server_duration", "http.server.duration"),
            ("1st", "_st", "1st"),
            ("größe", "gr__e", "größe"),
            ("a\"b\\c\nd", "a_b_c_d", "a\"b\\c\nd"),
            ("a\0b", "a_b", "a_b"),
        ] {
            for (escaping, expected) in [(Escaping::Underscores, underscores), (Escaping::Utf8, utf8)] {
                let mut found = vec![newest(&[(NAME, name)], 1.0)];
                spell(&mut found, escaping);
                assert_eq!(found[0].labels.name(), expected, "{name:?}");
            }
        }
        let labels: Pairs<'_> = &[(NAME, "up"), ("a.b", "x.y"), ("c:d", "z"), ("e", "f.g")];
        let told = |escaping| spelt(&[labels], escaping)[0].0.clone();
        assert_eq!(told(Escaping::Underscores), r#"up{a_b="x.y", c_d="z", e="f.g"}"#);
        assert!(told(Escaping::Utf8).contains("c:d"));
    }

    #[test]
    fn what_was_called_so_stays_of_names_that_become_alike() {
        let told = spelt(
            &[
                &[(NAME, "a.b"), ("lane", "x")],
                &[(NAME, "a_b"), ("lane", "x")],
                &[(NAME, "a-b"), ("lane", "y"), ("l.n", "1"), ("l_n", "2"), ("--name--", "up")],
                &[(NAME, "aa")],
                &[("lane", "z")],
            ],
            Escaping::Underscores,
        );
        let expected = [(r#"a_b{l_n="2", lane="y"}"#, 3.0), (r#"a_b{lane="x"}"#, 2.0), ("aa{}", 4.0)];
        assert_eq!(told, expected.map(|(labels, value)| (labels.to_owned(), value)));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for name in ["up", "a.b", "x 1\nup{a=\"b\"} 2\n#", "a\\n", "a\\\"}", "größe"] {
            let (written, is_within) = metric(name);
            let label = label(name, "v\"\\\n");
            let series = match is_within {
                true => format!("{{{written},{label}}}"),
                false => format!("{written}{{{label}}}"),
            };
            let read = expose::labels(&series).expect("labels");
            let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read, [(NAME, name), (name, "v\"\\\n")], "{series}");
            assert!(!series.contains('\n'), "{series}");
        }
    }
}
