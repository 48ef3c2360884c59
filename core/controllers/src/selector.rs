//! Label selectors of workloads and Services.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use tiphys_api::{labels::LabelMap, selector::LabelSelector};

use crate::error::Error;

/// A selector that is parsed once and asked often.
#[derive(Debug, Clone)]
pub struct Matcher(Option<LabelSelector>);

impl Matcher {
    /// Of a workload. An empty selector selects nothing, so that a mistake never
    /// takes over every Pod.
    ///
    /// # Errors
    /// An operator that isn't In, NotIn, Exists or DoesNotExist.
    pub fn workload(selector: &v1::LabelSelector) -> Result<Self, Error> {
        let Self(parsed) = Self::all(selector)?;
        Ok(Self(parsed.filter(|parsed| !parsed.selects_all())))
    }

    /// Of what may be about everything: an empty selector selects all.
    ///
    /// # Errors
    /// As of [`Matcher::workload`].
    pub fn all(selector: &v1::LabelSelector) -> Result<Self, Error> {
        let parsed = LabelSelector::try_from(selector);
        let parsed =
            parsed.map_err(|error| Error::Invalid(format!("spec.selector can't be used: {error}")))?;
        Ok(Self(Some(parsed)))
    }

    /// Of a Service or ReplicationController: plain equality. Empty selects nothing.
    pub fn equality(labels: Option<&BTreeMap<String, String>>) -> Self {
        let selector = LabelSelector::equal(labels.into_iter().flatten());
        Self(Some(selector).filter(|selector| !selector.selects_all()))
    }

    pub fn matches<L: LabelMap + ?Sized>(&self, labels: &L) -> bool {
        self.0.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workload_selectors_match_labels_and_an_empty_one_nothing() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        for (selector, expected) in [
            (json!({}), false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), false),
        ] {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(Matcher::workload(&parsed).unwrap().matches(&labels), expected, "{selector}");
        }
    }
}
