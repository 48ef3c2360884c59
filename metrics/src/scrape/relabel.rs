//! Relabeling: rules that keep, drop and rewrite labels, of targets and of samples.
//!
//! As Prometheus defines it
//! (<https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>):
//! the values of some labels are joined, a regular expression is matched against the
//! whole, and an action follows. Pure.

use regex::Regex;

use super::expose::is_label_name;
use crate::series::LabelsBuilder;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Replace,
    Keep,
    Drop,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
    KeepEqual,
    DropEqual,
}

impl Action {
    fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "" | "replace" => Self::Replace,
            "keep" => Self::Keep,
            "drop" => Self::Drop,
            "hashmod" => Self::HashMod,
            "labelmap" => Self::LabelMap,
            "labeldrop" => Self::LabelDrop,
            "labelkeep" => Self::LabelKeep,
            "lowercase" => Self::Lowercase,
            "uppercase" => Self::Uppercase,
            "keepequal" => Self::KeepEqual,
            "dropequal" => Self::DropEqual,
            _ => return None,
        })
    }
}

/// A rule as it is written in a ServiceMonitor.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Written {
    pub source_labels: Vec<String>,
    pub separator: Option<String>,
    pub target_label: String,
    pub regex: Option<String>,
    pub modulus: u64,
    pub replacement: Option<String>,
    pub action: String,
}

/// A rule, ready.
#[derive(Debug, Clone)]
pub struct Rule {
    source: Vec<String>,
    separator: String,
    target: String,
    pattern: Regex,
    modulus: u64,
    replacement: String,
    action: Action,
}

impl Rule {
    /// # Errors
    /// What can't be meant, as a sentence.
    pub fn new(written: &Written) -> Result<Self, String> {
        let action = Action::of(&written.action)
            .ok_or_else(|| format!("{:?} is no action of relabeling", written.action))?;
        let text = written.regex.as_deref().unwrap_or("(.*)");
        let pattern = Regex::new(&format!("^(?s:{})$", crate::promql::braces::literal(text)))
            .map_err(|error| format!("{text:?} is no regular expression: {error}"))?;
        let needs_target = matches!(
            action,
            Action::Replace
                | Action::HashMod
                | Action::Lowercase
                | Action::Uppercase
                | Action::KeepEqual
                | Action::DropEqual
        );
        if needs_target && written.target_label.is_empty() {
            return Err(format!("the action {:?} needs targetLabel", written.action));
        }
        if action == Action::HashMod && written.modulus == 0 {
            return Err("the action hashmod needs a modulus".to_owned());
        }
        Ok(Self {
            source: written.source_labels.clone(),
            separator: written.separator.clone().unwrap_or_else(|| ";".to_owned()),
            target: written.target_label.clone(),
            pattern,
            modulus: written.modulus,
            replacement: written.replacement.clone().unwrap_or_else(|| "$1".to_owned()),
            action,
        })
    }

    /// All of a list.
    ///
    /// # Errors
    /// The first that can't be meant, with its place.
    pub fn all(written: &[Written]) -> Result<Vec<Self>, String> {
        let ready = |(number, written)| Self::new(written).map_err(|why| format!("rule {number}: {why}"));
        written.iter().enumerate().map(ready).collect()
    }

    /// Whether what has these labels stays.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let joined = || {
            let values: Vec<_> =
                self.source.iter().map(|name| labels.get(name).unwrap_or_default()).collect();
            values.join(&self.separator)
        };
        match self.action {
            Action::Keep => return self.pattern.is_match(&joined()),
            Action::Drop => return !self.pattern.is_match(&joined()),
            Action::KeepEqual => return labels.get(&self.target).unwrap_or_default() == joined(),
            Action::DropEqual => return labels.get(&self.target).unwrap_or_default() != joined(),
            Action::Replace => self.replace(&joined(), labels),
            Action::HashMod => {
                let digest = md5::compute(joined()).0;
                let half = digest.last_chunk::<8>().map_or(0, |half| u64::from_be_bytes(*half));
                labels.set(&self.target, &(half % self.modulus).to_string());
            }
            Action::Lowercase => labels.set(&self.target, &joined().to_lowercase()),
            Action::Uppercase => labels.set(&self.target, &joined().to_uppercase()),
            Action::LabelMap => {
                let mapped: Vec<_> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        let found = self.pattern.captures(name)?;
                        let mut to = String::new();
                        found.expand(&self.replacement, &mut to);
                        Some((to, value.to_owned()))
                    })
                    .collect();
                mapped.iter().for_each(|(name, value)| labels.set(name, value));
            }
            Action::LabelDrop | Action::LabelKeep => {
                let keeps = self.action == Action::LabelKeep;
                let gone: Vec<_> = labels
                    .iter()
                    .filter(|(name, _)| self.pattern.is_match(name) != keeps)
                    .map(|(name, _)| name.to_owned())
                    .collect();
                gone.iter().for_each(|name| labels.set(name, ""));
            }
        }
        true
    }

    fn replace(&self, joined: &str, labels: &mut LabelsBuilder) {
        let Some(found) = self.pattern.captures(joined) else { return };
        let (mut target, mut value) = (String::new(), String::new());
        found.expand(&self.target, &mut target);
        if !is_label_name(&target) {
            return;
        }
        found.expand(&self.replacement, &mut value);
        labels.set(&target, &value);
    }
}

/// Applies the rules in their order; false: it is dropped.
pub fn apply(rules: &[Rule], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::series::Labels;

    fn relabel(given: &[(&str, &str)], rules: Value) -> Option<String> {
        let written: Vec<Written> = serde_json::from_value(rules).expect("rules");
        let rules = Rule::all(&written).expect("ready");
        let mut labels = Labels::new(given.iter().copied()).edit();
        apply(&rules, &mut labels).then(|| labels.finish().to_string())
    }

    #[test]
    fn every_action_does_its_part() {
        let given = [("a", "foo"), ("b", "bar"), ("c", "Baz"), ("same", "foo")];
        let all = r#"{a="foo", b="bar", c="Baz", same="foo"}"#;
        let check = |rules: Value, expected: Option<&str>| {
            assert_eq!(relabel(&given, rules.clone()).as_deref(), expected, "{rules}");
        };
        check(
            json!([{"sourceLabels": ["a", "b"], "targetLabel": "d", "regex": "f(.*);(.*)r", "replacement": "ch${1}-${2}"}]),
            Some(r#"{a="foo", b="bar", c="Baz", d="choo-ba", same="foo"}"#),
        );
        check(
            json!([{"sourceLabels": ["a"], "regex": "(f).*", "targetLabel": "${1}_x", "replacement": "$1"}]),
            Some(r#"{a="foo", b="bar", c="Baz", f_x="f", same="foo"}"#),
        );
        // No match, a name that is none: nothing. An empty replacement takes the label away.
        check(json!([{"sourceLabels": ["a"], "regex": "o", "targetLabel": "d"}]), Some(all));
        check(json!([{"sourceLabels": ["a"], "targetLabel": "0-", "replacement": "x"}]), Some(all));
        check(json!([{"targetLabel": "a", "replacement": ""}]), Some(r#"{b="bar", c="Baz", same="foo"}"#));
        check(json!([{"action": "keep", "sourceLabels": ["a"], "regex": "fo+"}]), Some(all));
        check(json!([{"action": "keep", "sourceLabels": ["a"], "regex": "fo"}]), None);
        check(json!([{"action": "drop", "sourceLabels": ["none"], "regex": ""}]), None);
        check(json!([{"action": "Drop", "sourceLabels": ["a"], "regex": "o"}]), Some(all));
        check(json!([{"action": "keepequal", "sourceLabels": ["a"], "targetLabel": "same"}]), Some(all));
        check(json!([{"action": "keepequal", "sourceLabels": ["a"], "targetLabel": "b"}]), None);
        check(json!([{"action": "dropequal", "sourceLabels": ["a"], "targetLabel": "same"}]), None);
        check(json!([{"action": "dropequal", "sourceLabels": ["a"], "targetLabel": "b"}]), Some(all));
        check(
            json!([{"action": "lowercase", "sourceLabels": ["c"], "targetLabel": "c"},
                   {"action": "uppercase", "sourceLabels": ["b"], "targetLabel": "b"}]),
            Some(r#"{a="foo", b="BAR", c="baz", same="foo"}"#),
        );
        check(
            json!([{"action": "labelmap", "regex": "(a|b)", "replacement": "new_$1"}]),
            Some(r#"{a="foo", b="bar", c="Baz", new_a="foo", new_b="bar", same="foo"}"#),
        );
        check(json!([{"action": "labeldrop", "regex": "a|s.*"}]), Some(r#"{b="bar", c="Baz"}"#));
        check(json!([{"action": "labelkeep", "regex": "a|s.*"}]), Some(r#"{a="foo", same="foo"}"#));
    }

    #[test]
    fn hashmod_is_the_last_half_of_md5() {
        // md5("foo") = acbd18db4cc2f85cedef654fccc4a4d8; 0xedef654fccc4a4d8 mod 8 = 0, mod 1000 = 648.
        let of = |modulus: u64| {
            let rules =
                json!([{"action": "hashmod", "sourceLabels": ["a"], "targetLabel": "h", "modulus": modulus}]);
            relabel(&[("a", "foo")], rules)
        };
        let half = 0xedef_654f_ccc4_a4d8u64;
        for modulus in [8, 1000, u64::MAX] {
            assert_eq!(of(modulus), Some(format!(r#"{{a="foo", h="{}"}}"#, half % modulus)));
        }
    }

    #[test]
    fn what_cant_be_meant_says_why() {
        let why = |rule: Value| {
            let written: Written = serde_json::from_value(rule).expect("a rule");
            Rule::all(&[written]).expect_err("refused")
        };
        assert!(why(json!({"action": "explode"})).contains("rule 0: \"explode\" is no action"));
        assert!(why(json!({"regex": "(", "targetLabel": "a"})).contains("no regular expression"));
        assert!(why(json!({"action": "hashmod", "targetLabel": "a"})).contains("needs a modulus"));
        assert!(why(json!({"action": "replace"})).contains("needs targetLabel"));
    }
}
