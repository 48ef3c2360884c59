//! Each shape that is understood, and those that must not be.

use datafusion::{
    logical_expr::ScalarUDF,
    prelude::{col, in_list, lit},
};

use super::*;
use crate::sql::functions::json::JsonGet;

const ALL: Range<i64> = i64::MIN..i64::MAX;
/// A key that is no label.
const NAMELESS: &str = "__name__";

fn at(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

#[test]
fn shapes_narrow_time_and_texts() {
    let nanos = |nanos| lit(ScalarValue::TimestampNanosecond(Some(nanos), None));
    let millis = |millis| lit(ScalarValue::TimestampMillisecond(Some(millis), None));
    let table: [(Vec<Expr>, Range<i64>, &[&str]); 15] = [
        (vec![], ALL, &["ab", "b", "a.b"]),
        (vec![col("time").gt(at(5)).and(at(9).gt_eq(col("time")))], 5..10, &["ab", "b", "a.b"]),
        (vec![col("time").between(at(5), at(9))], 5..10, &["ab", "b", "a.b"]),
        (vec![nanos(5_999).lt_eq(col("time")), col("time").lt(millis(1))], 5..1001, &["ab", "b", "a.b"]),
        (vec![col("time").eq(at(5)), col("pod").eq(lit("ab"))], 5..6, &["ab"]),
        (vec![lit("b").eq(col("pod"))], ALL, &["b"]),
        (vec![in_list(col("pod"), vec![lit("b"), lit("a.b")], false)], ALL, &["b", "a.b"]),
        (vec![col("pod").eq(lit("b")), in_list(col("pod"), vec![lit("ab")], false)], ALL, &[]),
        (vec![col("pod").eq(lit("b")).or(lit("a.b").eq(col("pod")))], ALL, &["b", "a.b"]),
        (vec![col("pod").like(lit("a%"))], ALL, &["ab", "a.b"]),
        (vec![col("pod").like(lit("a._"))], ALL, &["a.b"]),
        // What isn't understood narrows nothing.
        (vec![col("pod").eq(lit("ab")).or(col("time").gt(at(5)))], ALL, &["ab", "b", "a.b"]),
        (vec![col("pod").eq(lit("ab")).or(col("node").eq(lit("b")))], ALL, &["ab", "b", "a.b"]),
        (vec![col("pod").not_eq(lit("ab")), col("time").not_eq(at(1))], ALL, &["ab", "b", "a.b"]),
        (vec![col("pod").not_like(lit("a%")), col("pod").ilike(lit("A%"))], ALL, &["ab", "b", "a.b"]),
    ];
    for (filters, range, pods) in table {
        let wanted = Wanted::of(&filters);
        assert_eq!(wanted.micros(), range, "{filters:?}");
        let taken: Vec<_> = ["ab", "b", "a.b"].into_iter().filter(|pod| wanted.takes("pod", pod)).collect();
        assert_eq!(taken, pods, "{filters:?}");
        let matchers = wanted.matchers(|column| (column == "pod").then_some("label"));
        let matching: Vec<_> = ["ab", "b", "a.b"]
            .into_iter()
            .filter(|pod| matchers.iter().all(|one| one.name == "label" && one.matches(pod)))
            .collect();
        assert_eq!(matching, pods, "{filters:?}");
    }
}

#[test]
fn a_regular_expression_holds_anywhere_in_a_text() {
    let filter =
        Expr::BinaryExpr(BinaryExpr::new(Box::new(col("pod")), Operator::RegexMatch, Box::new(lit("^a|c"))));
    let wanted = Wanted::of(&[filter]);
    let taken: Vec<_> = ["ab", "bc", "ba"].into_iter().filter(|pod| wanted.takes("pod", pod)).collect();
    assert_eq!(taken, ["ab", "bc"]);
    assert!(wanted.names("pod") && !wanted.names("namespace"));
}

#[test]
fn times_are_rounded_so_that_none_is_missed() {
    let wanted = Wanted::of(&[col("time").gt(at(1999)), col("time").lt(at(2001))]);
    assert_eq!(wanted.millis(), 1..3);
    assert!(wanted.overlaps(0, 1999) && !wanted.overlaps(0, 1998));
    assert!(wanted.overlaps(2001, 9000) && !wanted.overlaps(2002, 9000));
    assert_eq!(Wanted::default().millis(), ALL);
}

#[test]
fn labels_that_are_not_there_are_nothing() {
    let none = Wanted::of(&[col("pod").eq(lit(""))]).matchers(|_| Some("pod"));
    assert!(!none.iter().all(|one| one.matches("")) && !none.iter().all(|one| one.matches("x")));
    let other = Wanted::of(&[col("labels").eq(lit("{}")), col("value").gt(lit(1))]);
    assert!(other.matchers(|column| (column == "pod").then_some("pod")).is_empty());
}

/// `column->>'key'`, or with `->`.
fn member(column: &str, key: &str, as_text: bool) -> Expr {
    ScalarUDF::from(JsonGet::new(as_text)).call(vec![col(column), lit(key)])
}

#[test]
fn members_of_json_narrow_labels() {
    let code = || member("labels", "code", true);
    let all: &[&str] = &["200", "404", "4"];
    let table: [(Expr, &[&str]); 12] = [
        (code().eq(lit("200")), &["200"]),
        (lit("404").eq(code()), &["404"]),
        (in_list(code(), vec![lit("200"), lit("4")], false), &["200", "4"]),
        (code().eq(lit("200")).or(code().eq(lit("4"))), &["200", "4"]),
        (code().like(lit("4%")), &["404", "4"]),
        (code().eq(lit("200")).and(code().eq(lit("404"))), &[]),
        (code().eq(lit("")), &[]),
        // What isn't understood, or is of something else, narrows nothing.
        (code().not_eq(lit("200")), all),
        (code().eq(lit("200")).or(member("labels", "pod", true).eq(lit("200"))), all),
        (member("labels", "code", false).eq(lit("200")), all),
        (member("histogram", "code", true).eq(lit("200")), all),
        (member("labels", NAMELESS, true).eq(lit("200")), all),
    ];
    for (filter, expected) in table {
        let wanted = Wanted::of(std::slice::from_ref(&filter));
        let matchers = wanted.matchers_in("labels", |label| label != NAMELESS);
        let matching = |code: &&str| matchers.iter().all(|one| one.name == "code" && one.matches(code));
        let found: Vec<_> = all.iter().copied().filter(matching).collect();
        assert_eq!(found, expected, "{filter}");
        assert!(wanted.takes("labels", "200") && wanted.takes("code", "x"), "{filter}");
        assert!(!wanted.names("labels") && wanted.matchers(|_| Some("label")).is_empty(), "{filter}");
    }
}

#[test]
fn abuse_35_a_long_row_of_alternatives_takes_no_stack() {
    let pod = |number: usize| col("pod").eq(lit(number.to_string()));
    let all = (1..50_000).fold(pod(0), |all, number| all.or(pod(number)));
    let wanted = Wanted::of(std::slice::from_ref(&all));
    assert_eq!(wanted.values("pod").map(BTreeSet::len), Some(50_000));
    // Nor does its end, which is the engine's own.
    std::mem::forget(all);
}

#[test]
fn a_pattern_of_sql_is_a_regular_expression() {
    assert_eq!(like("a%b_.\\%"), "a.*b.\\.%");
}

#[test]
fn texts_can_be_wanted_without_a_statement() {
    let wanted = Wanted::among("trace_id", ["a".to_owned(), "b".to_owned()].into());
    let taken: Vec<_> = ["a", "b", "c"].into_iter().filter(|id| wanted.takes("trace_id", id)).collect();
    assert_eq!((taken, wanted.micros()), (vec!["a", "b"], ALL));
    assert!(wanted.takes("service", "c"));
    assert_eq!(wanted.within(&(5..9)).within(&(7..20)).micros(), 7..9);
}
