//! The labels of a sample: what the target says, what is known of the target, and
//! what relabeling makes of both. Pure.

use super::{expose::Spelt, relabel, target::Taking};
use crate::series::{Labels, LabelsBuilder};

/// What a sample's labels became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    Kept(Labels),
    Dropped,
}

/// # Errors
/// More or longer labels than the target may have; a sentence.
pub fn merge(spelt: &[Spelt<'_>], target: &Labels, taking: &Taking) -> Result<Merged, String> {
    let mut labels = LabelsBuilder::default();
    spelt.iter().for_each(|(name, value)| labels.set(name, value));
    match taking.honor_labels {
        true => {
            let said = |name: &str| spelt.iter().any(|(found, _)| found == name);
            target.iter().filter(|(name, _)| !said(name)).for_each(|(name, value)| labels.set(name, value));
        }
        false => {
            let mut exported = Vec::new();
            for (name, value) in target.iter() {
                exported.extend(labels.get(name).map(|said| (name.to_owned(), said.to_owned())));
                labels.set(name, value);
            }
            for (name, value) in exported {
                set_exported(&mut labels, &name, &value);
            }
        }
    }
    if !relabel::apply(&taking.relabelings, &mut labels) || labels.iter().next().is_none() {
        return Ok(Merged::Dropped);
    }
    if let Some(namespace) = &taking.namespace {
        let said = labels.get("namespace").unwrap_or_default().to_owned();
        if said != *namespace {
            labels.set("namespace", namespace);
            if !said.is_empty() {
                set_exported(&mut labels, "namespace", &said);
            }
        }
    }
    within(&labels, taking)?;
    Ok(Merged::Kept(labels.finish()))
}

fn set_exported(labels: &mut LabelsBuilder, name: &str, value: &str) {
    let mut exported = format!("exported_{name}");
    while labels.get(&exported).is_some() {
        exported.insert_str(0, "exported_");
    }
    labels.set(&exported, value);
}

fn within(labels: &LabelsBuilder, taking: &Taking) -> Result<(), String> {
    let exceeds = |length: usize, limit: usize| limit > 0 && length > limit;
    let count = labels.iter().count();
    let metric = labels.get(crate::series::NAME).unwrap_or_default();
    if exceeds(count, taking.label_limit) {
        let limit = taking.label_limit;
        return Err(format!("{metric} has {count} labels, and labelLimit is {limit}"));
    }
    for (name, value) in labels.iter() {
        if exceeds(name.len(), taking.label_name_limit) {
            let limit = taking.label_name_limit;
            return Err(format!("a label of {metric} has a longer name than labelNameLengthLimit, {limit}"));
        }
        if exceeds(value.len(), taking.label_value_limit) {
            let limit = taking.label_value_limit;
            return Err(format!("{name} of {metric} is longer than labelValueLengthLimit, {limit}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(pairs: &[(&str, &str)], taking: &Taking) -> Result<String, String> {
        let target = Labels::new([("job", "j"), ("namespace", "shop")]);
        let spelt: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        merge(&spelt, &target, taking).map(|merged| match merged {
            Merged::Kept(labels) => labels.to_string(),
            Merged::Dropped => "dropped".to_owned(),
        })
    }

    #[test]
    fn what_a_target_says_gives_way_or_not() {
        let pairs = [("__name__", "up"), ("job", "x"), ("exported_job", "y"), ("gone", "")];
        let plain = Taking::default();
        assert_eq!(
            merged(&pairs, &plain).as_deref(),
            Ok(r#"up{exported_exported_job="x", exported_job="y", job="j", namespace="shop"}"#)
        );
        let honors = Taking { honor_labels: true, ..Taking::default() };
        assert_eq!(
            merged(&pairs, &honors).as_deref(),
            Ok(r#"up{exported_job="y", job="x", namespace="shop"}"#)
        );
        // A label that is said to be empty stays empty.
        assert_eq!(
            merged(&[("__name__", "up"), ("job", "")], &honors).as_deref(),
            Ok(r#"up{namespace="shop"}"#)
        );
    }

    #[test]
    fn abuse_29_no_target_speaks_for_another_namespace() {
        let rules = json!([{"targetLabel": "namespace", "replacement": "kube-system"}]);
        let written: Vec<relabel::Written> = serde_json::from_value(rules).expect("rules");
        let taking = Taking {
            honor_labels: true,
            relabelings: relabel::Rule::all(&written).expect("rules"),
            namespace: Some("shop".into()),
            ..Taking::default()
        };
        let wanted = Ok(r#"up{exported_namespace="kube-system", job="j", namespace="shop"}"#);
        assert_eq!(merged(&[("__name__", "up")], &taking).as_deref(), wanted);
        let taking = Taking { relabelings: Vec::new(), ..taking };
        assert_eq!(merged(&[("__name__", "up"), ("namespace", "kube-system")], &taking).as_deref(), wanted);
        let wanted = Ok(r#"up{job="j", namespace="shop"}"#);
        assert_eq!(merged(&[("__name__", "up"), ("namespace", "")], &taking).as_deref(), wanted);
    }

    #[test]
    fn limits_of_labels_are_kept() {
        let pairs = [("__name__", "up"), ("long_name", "long value")];
        let check = |taking: Taking, wanted: Option<&str>| match (merged(&pairs, &taking), wanted) {
            (Err(why), Some(wanted)) => assert!(why.contains(wanted), "{why}"),
            (found, wanted) => assert_eq!((found.is_ok(), wanted), (true, None)),
        };
        check(
            Taking { label_limit: 4, label_name_limit: 9, label_value_limit: 10, ..Taking::default() },
            None,
        );
        check(Taking { label_limit: 3, ..Taking::default() }, Some("up has 4 labels"));
        check(Taking { label_name_limit: 8, ..Taking::default() }, Some("labelNameLengthLimit"));
        check(Taking { label_value_limit: 9, ..Taking::default() }, Some("long_name of up is longer"));
    }
}
