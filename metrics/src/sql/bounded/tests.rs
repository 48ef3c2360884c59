//! Which functions have a bound, and which were looked at and need none.

use std::collections::BTreeSet;

use datafusion::execution::SessionStateDefaults;

use super::*;

/// They make no more than they get, or no more than a few times as much, however often they are applied
/// to what they made.
const LOOKED_AT: &str = "\
    abs acos acosh array_add array_any_value array_avg array_compact array_dims array_distance \
    array_distinct array_element array_except array_has array_has_all array_has_any array_intersect \
    array_length array_max array_min array_ndims array_normalize array_pop_back array_pop_front \
    array_position array_positions array_product array_remove array_remove_all array_remove_n \
    array_reverse array_scale array_slice array_sort array_subtract array_sum arrow_field arrow_metadata \
    arrow_typeof ascii asin asinh atan atan2 atanh bit_length btrim cardinality cast_to_type cbrt ceil \
    character_length chr coalesce contains cos cosh cosine_distance cot current_date current_time \
    date_bin date_part date_trunc decode degrees digest empty ends_with exp factorial file_row_index \
    find_in_set flatten floor from_unixtime gcd get_field greatest initcap inner_product input_file_name \
    isnan iszero lcm least left levenshtein ln log log10 log2 lower ltrim make_date make_time \
    map_entries map_extract map_keys map_values md5 nanvl now nullif nvl nvl2 octet_length pi power \
    radians random reverse right round rtrim sha224 sha256 sha384 sha512 signum sin sinh split_part sqrt \
    starts_with strpos substr substr_index tan tanh to_date to_hex to_local_time to_time to_timestamp \
    to_timestamp_micros to_timestamp_millis to_timestamp_nanos to_timestamp_seconds to_unixtime \
    translate trunc try_cast_to_type union_extract union_tag upper uuid version with_metadata";

fn session() -> SessionContext {
    let session = SessionContext::new();
    register(&session).expect("registered");
    session
}

fn has_bound(session: &SessionContext, name: &str) -> bool {
    let state = session.state();
    state.scalar_functions().get(name).is_some_and(|function| function.inner().is::<Bounded>())
}

#[test]
fn each_function_of_the_list_is_one_that_the_engine_has() {
    let session = session();
    // That one is Postgres'.
    for (name, _) in LIST.iter().filter(|(name, _)| *name != "quote_ident") {
        assert!(has_bound(&session, name), "{name}");
    }
    let names: Vec<&str> = LIST.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn other_names_of_a_function_have_its_bound() {
    let session = session();
    for name in ["list_repeat", "array_cat", "make_list", "row", "array_join", "list_resize"] {
        assert!(has_bound(&session, name), "{name}");
    }
}

#[test]
fn a_function_that_the_engine_has_anew_is_looked_at() {
    let looked_at: BTreeSet<&str> = LOOKED_AT.split_whitespace().collect();
    let functions = SessionStateDefaults::default_scalar_functions();
    let names = functions.iter().map(|function| function.name());
    let is_bounded = |name: &&str| LIST.iter().any(|(own, _)| own == name);
    let new: Vec<&str> = names.filter(|name| !is_bounded(name) && !looked_at.contains(name)).collect();
    assert!(new.is_empty(), "do they make more than they get? {new:?}");
}
