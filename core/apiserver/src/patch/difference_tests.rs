//! A difference leads from one object to the other, in every notation and by every way of saying it.

use proptest::prelude::*;
use serde_json::Value;
use tiphys_api::schema;

use super::{
    differences::{self, Way},
    json, merge, samples, strategic,
};
use crate::request::body;

/// Applies the strategic difference, and once more.
fn check_strategic(definition: &str, from: &Value, to: &Value, seed: u64) -> Result<(), TestCaseError> {
    let schema = schema::of(definition).expect("a built-in kind");
    let patch = differences::strategic(from, to, &schema, &mut Way::new(seed));
    let once =
        strategic::apply(from, &patch, &schema).map_err(|e| TestCaseError::fail(format!("{patch}: {e}")))?;
    prop_assert_eq!(&once, to, "with {}", patch);
    let twice = strategic::apply(&once, &patch, &schema);
    prop_assert_eq!(twice.as_ref(), Ok(to), "with {} again", patch);
    Ok(())
}

fn config() -> ProptestConfig {
    let cases = if std::env::var_os("TIPHYS_SOAK").is_some() { 50_000 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_json_patch(from in samples::object(), to in samples::object(), seed in any::<u64>()) {
        let patch = differences::json_patch(&from, &to, &mut Way::new(seed));
        let made = json::apply(&from, &patch, body::LIMIT);
        prop_assert_eq!(made, Ok(to), "with {}", patch);
    }

    #[test]
    fn a_json_patch_of_real_objects(from in samples::pod(), to in samples::pod(), seed in any::<u64>()) {
        let patch = differences::json_patch(&from, &to, &mut Way::new(seed));
        let made = json::apply(&from, &patch, body::LIMIT);
        prop_assert_eq!(made, Ok(to), "with {}", patch);
    }

    #[test]
    fn a_merge_patch(from in samples::object(), to in samples::object()) {
        let patch = differences::merge_patch(&from, &to);
        let once = merge::apply(&from, &patch);
        prop_assert_eq!(&once, &to);
        prop_assert_eq!(merge::apply(&once, &patch), to);
    }

    #[test]
    fn a_merge_patch_of_real_objects(from in samples::pod(), to in samples::pod()) {
        prop_assert_eq!(merge::apply(&from, &differences::merge_patch(&from, &to)), to);
    }

    #[test]
    fn a_strategic_patch_of_a_pod(from in samples::pod(), to in samples::pod(), seed in any::<u64>()) {
        check_strategic("io.k8s.api.core.v1.Pod", &from, &to, seed)?;
    }

    #[test]
    fn a_strategic_patch_of_a_deployment(from in samples::deployment(), to in samples::deployment(), seed in any::<u64>()) {
        check_strategic("io.k8s.api.apps.v1.Deployment", &from, &to, seed)?;
    }

    #[test]
    fn a_strategic_patch_of_a_service(from in samples::service(), to in samples::service(), seed in any::<u64>()) {
        check_strategic("io.k8s.api.core.v1.Service", &from, &to, seed)?;
    }
}
