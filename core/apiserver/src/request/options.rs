//! The query parameters of the verbs: list, watch, write and delete options in
//! one struct, because each request carries few of them. Pure.

use tiphys_api::field::{FieldError, Reason};

use crate::status::{ApiError, Result};

const VERSION_MATCH: &str = "resourceVersionMatch";

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

/// Reads the query string of a verb.
///
/// # Errors
/// A value that can't be read is a bad request; one that is not allowed, alone or with the others, is
/// an invalid field of the verb's options.
pub fn parse(verb: &str, query: &str) -> Result<Options> {
    let mut options = Options::default();
    let mut errors = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        set(&mut options, &key, &value, &mut errors)?;
    }
    match verb {
        "watch" => check_watch(&options, &mut errors),
        "list" | "deletecollection" => check_list(&options, &mut errors),
        _ => {}
    }
    if errors.is_empty() { Ok(options) } else { Err(refused(verb, &errors)) }
}

/// The refusal of a verb's options.
pub fn refused(verb: &str, errors: &[FieldError]) -> ApiError {
    let kind = match verb {
        "get" => "GetOptions",
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        "delete" => "DeleteOptions",
        _ => "ListOptions",
    };
    ApiError::invalid("meta.k8s.io", kind, "", errors)
}

/// Whether a query asks for a watch, whatever else it holds.
pub fn is_watch(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "watch" && flag(&value))
}

fn set(options: &mut Options, key: &str, value: &str, errors: &mut Vec<FieldError>) -> Result<()> {
    match key {
        "watch" => options.watch = flag(value),
        "labelSelector" => options.label_selector = value.into(),
        "fieldSelector" => options.field_selector = value.into(),
        "resourceVersion" => options.resource_version = value.into(),
        "resourceVersionMatch" => {
            options.version_match = version_match(value).unwrap_or_else(|error| told(errors, error))
        }
        "limit" => options.limit = number(key, value)?.max(0) as usize,
        "continue" => options.continue_token = value.into(),
        "timeoutSeconds" => options.timeout_seconds = u64::try_from(number(key, value)?).ok(),
        "allowWatchBookmarks" => options.allow_bookmarks = flag(value),
        "sendInitialEvents" => options.send_initial_events = Some(flag(value)),
        "includeObject" => options.include_object = value.into(),
        "dryRun" => options.dry_run = dry_run(value).unwrap_or_else(|error| told(errors, error)),
        "fieldManager" => options.field_manager = value.into(),
        "fieldValidation" => {
            options.field_validation = field_validation(value).unwrap_or_else(|error| told(errors, error))
        }
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

/// Notes the error, and goes on as if nothing had been said.
fn told<T: Default>(errors: &mut Vec<FieldError>, error: FieldError) -> T {
    errors.push(error);
    T::default()
}

pub fn dry_run(value: &str) -> std::result::Result<bool, FieldError> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        // It is a list: upstream's message shows it as one.
        other => Err(FieldError {
            reason: Reason::NotSupported,
            field: "dryRun".into(),
            message: format!("Unsupported value: []string{{{other:?}}}: supported values: \"All\""),
        }),
    }
}

fn field_validation(value: &str) -> std::result::Result<FieldValidation, FieldError> {
    match value {
        "Ignore" => Ok(FieldValidation::Ignore),
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(FieldError::not_supported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"])),
    }
}

fn version_match(value: &str) -> std::result::Result<VersionMatch, FieldError> {
    match value {
        "" => Ok(VersionMatch::Unset),
        "Exact" => Ok(VersionMatch::Exact),
        "NotOlderThan" => Ok(VersionMatch::NotOlderThan),
        other => Err(FieldError::not_supported(VERSION_MATCH, other, &["Exact", "NotOlderThan", ""])),
    }
}

/// Combinations that have no meaning are refused, so that a client doesn't wait for what never comes.
fn check_watch(options: &Options, errors: &mut Vec<FieldError>) {
    let newer = options.version_match == VersionMatch::NotOlderThan;
    let mut refuse = |why| errors.push(FieldError::forbidden(VERSION_MATCH, why));
    if options.send_initial_events.is_some() && !newer {
        refuse("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if options.version_match == VersionMatch::Unset {
        return;
    }
    if options.send_initial_events.is_none() {
        refuse("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if !options.continue_token.is_empty() {
        refuse("resourceVersionMatch is forbidden when continue is provided");
    }
    if !newer {
        errors.push(FieldError::not_supported(VERSION_MATCH, "Exact", &["NotOlderThan"]));
    }
}

fn check_list(options: &Options, errors: &mut Vec<FieldError>) {
    if options.version_match != VersionMatch::Unset {
        let mut refuse = |why| errors.push(FieldError::forbidden(VERSION_MATCH, why));
        if options.resource_version.is_empty() {
            refuse("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !options.continue_token.is_empty() {
            refuse("resourceVersionMatch is forbidden when continue is provided");
        }
        if options.version_match == VersionMatch::Exact && options.resource_version == "0" {
            refuse("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    if options.send_initial_events.is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_gives_its_options() {
        let query = "labelSelector=app%3Dweb%2Ctier%21%3Ddb&limit=500&watch=1&dryRun=All";
        let options = parse("watch", query).expect("good");
        assert_eq!(options.label_selector, "app=web,tier!=db");
        assert_eq!((options.limit, options.watch, options.dry_run), (500, true, true));
    }

    #[test]
    fn impossible_combinations_are_refused() {
        let table = [
            ("list", "limit=x", 400),
            ("create", "dryRun=Some", 422),
            ("update", "fieldValidation=Maybe", 422),
            ("watch", "watch=1&sendInitialEvents=true", 422),
            ("watch", "watch=1&resourceVersionMatch=Exact&sendInitialEvents=true", 422),
            ("list", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 422),
            ("list", "resourceVersionMatch=Exact&resourceVersion=0", 422),
            ("list", "resourceVersionMatch=Exact", 422),
            ("list", "resourceVersionMatch=Sometimes&resourceVersion=1", 422),
        ];
        for (verb, query, code) in table {
            assert_eq!(parse(verb, query).expect_err(query).code.as_u16(), code, "{query}");
        }
        assert!(parse("watch", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan").is_ok());
        // A write has no use for them.
        assert!(parse("create", "resourceVersionMatch=Exact").is_ok());
    }
}
