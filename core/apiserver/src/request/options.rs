//! The query parameters of the verbs: list, watch, write and delete options in
//! one struct, because each request carries few of them. Pure.

use crate::status::{ApiError, Result};

/// What happens with fields that the schema doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How `resourceVersion` of a list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VersionMatch {
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub watch: bool,
    pub label_selector: String,
    pub field_selector: String,
    pub resource_version: String,
    pub version_match: VersionMatch,
    pub limit: usize,
    pub continue_token: String,
    pub timeout_seconds: Option<u64>,
    pub allow_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    /// What of an object a Table's row holds: None, Metadata (the default), Object.
    pub include_object: String,
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    /// For apply: take fields from other managers.
    pub force: bool,
    pub pretty: bool,
    pub grace_period_seconds: Option<i64>,
    pub propagation_policy: Option<String>,
    pub orphan_dependents: Option<bool>,
}

/// Reads a query string.
pub fn parse(query: &str) -> Result<Options> {
    let mut options = Options::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        set(&mut options, &key, &value)?;
    }
    check(&options)?;
    Ok(options)
}

/// Whether a query asks for a watch, whatever else it holds.
pub fn is_watch(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "watch" && flag(&value))
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<()> {
    match key {
        "watch" => options.watch = flag(value),
        "labelSelector" => options.label_selector = value.into(),
        "fieldSelector" => options.field_selector = value.into(),
        "resourceVersion" => options.resource_version = value.into(),
        "resourceVersionMatch" => options.version_match = version_match(value)?,
        "limit" => options.limit = number(key, value)?.max(0) as usize,
        "continue" => options.continue_token = value.into(),
        "timeoutSeconds" => options.timeout_seconds = u64::try_from(number(key, value)?).ok(),
        "allowWatchBookmarks" => options.allow_bookmarks = flag(value),
        "sendInitialEvents" => options.send_initial_events = Some(flag(value)),
        "includeObject" => options.include_object = value.into(),
        "dryRun" => options.dry_run = dry_run(value)?,
        "fieldManager" => options.field_manager = value.into(),
        "fieldValidation" => options.field_validation = field_validation(value)?,
        "force" => options.force = flag(value),
        "pretty" => options.pretty = flag(value),
        "gracePeriodSeconds" => options.grace_period_seconds = Some(number(key, value)?),
        "propagationPolicy" => options.propagation_policy = Some(value.into()),
        "orphanDependents" => options.orphan_dependents = Some(flag(value)),
        _ => {}
    }
    Ok(())
}

/// `?watch`, `?watch=1`, `?watch=true` are all yes.
fn flag(value: &str) -> bool {
    !matches!(value, "0" | "false" | "False" | "FALSE" | "f" | "F")
}

fn number(key: &str, value: &str) -> Result<i64> {
    value
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid value {value:?} for {key}: not a number")))
}

fn dry_run(value: &str) -> Result<bool> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "dryRun: Unsupported value: {other:?}: supported values: \"All\""
        ))),
    }
}

fn field_validation(value: &str) -> Result<FieldValidation> {
    match value {
        "Ignore" => Ok(FieldValidation::Ignore),
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

fn version_match(value: &str) -> Result<VersionMatch> {
    match value {
        "" => Ok(VersionMatch::Unset),
        "Exact" => Ok(VersionMatch::Exact),
        "NotOlderThan" => Ok(VersionMatch::NotOlderThan),
        other => Err(ApiError::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
        ))),
    }
}

/// Combinations that have no meaning are refused, so that a client doesn't wait for what never comes.
fn check(options: &Options) -> Result<()> {
    let refuse = |why: &str| Err(ApiError::bad_request(why));
    if options.watch {
        if options.send_initial_events == Some(true) && options.version_match != VersionMatch::NotOlderThan {
            return refuse("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if options.send_initial_events.is_none() && options.version_match != VersionMatch::Unset {
            return refuse(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        return Ok(());
    }
    if options.send_initial_events.is_some() {
        return refuse("sendInitialEvents is forbidden for list");
    }
    if options.version_match == VersionMatch::Unset {
        return Ok(());
    }
    if options.resource_version.is_empty() {
        return refuse("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if !options.continue_token.is_empty() {
        return refuse("resourceVersionMatch is forbidden when continue is provided");
    }
    if options.version_match == VersionMatch::Exact && options.resource_version == "0" {
        return refuse("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_gives_its_options() {
        let options =
            parse("labelSelector=app%3Dweb%2Ctier%21%3Ddb&limit=500&watch=1&dryRun=All").expect("good");
        assert_eq!(options.label_selector, "app=web,tier!=db");
        assert_eq!((options.limit, options.watch, options.dry_run), (500, true, true));
    }

    #[test]
    fn impossible_combinations_are_refused() {
        for query in [
            "dryRun=Some",
            "limit=x",
            "fieldValidation=Maybe",
            "watch=1&sendInitialEvents=true",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch=Exact&resourceVersion=0",
            "resourceVersionMatch=Exact",
        ] {
            assert_eq!(parse(query).expect_err(query).code.as_u16(), 400, "{query}");
        }
        assert!(parse("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan").is_ok());
    }
}
