//! What functions make, planned and run: no more than they may, and what it is without a bound.

use futures::StreamExt;

use super::*;

fn asker() -> Asker {
    Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName))
}

async fn refused(engine: &Engine, statement: &str) -> String {
    match engine.answer(statement, Format::Json, asker()).await {
        Err(SqlError::Invalid(wrong)) => format!("{} {wrong}", wrong.code),
        other => panic!("{statement:.200}: {other:?}"),
    }
}

/// Refuses each of the statements, and says why.
async fn check(table: &[(&str, &str)]) {
    let world = World::new();
    for (statement, expected) in table {
        let why = refused(&world.engine, statement).await;
        assert!(why.contains(expected), "{statement:.200}: {why}");
    }
    world.end().await;
}

#[tokio::test]
async fn abuse_35_no_constant_is_larger_than_a_plan_may_have() {
    check(&[
        ("select range(0, 2000000000)", "53200 Resources exhausted: range makes a constant of more than"),
        ("select generate_series(1, 2000000000)", "generate_series makes a constant"),
        ("select range(date '1900-01-01', date '9000-01-01', interval '1 day')", "range makes a constant"),
        ("select length(repeat('x', 2000000000))", "repeat makes a constant"),
        ("select length(lpad('x', 2000000000))", "lpad makes a constant"),
        ("select length(rpad('x', 2000000000, 'ab'))", "rpad makes a constant"),
        ("select array_length(array_repeat(1, 2000000000))", "array_repeat makes a constant"),
        ("select array_length(list_repeat('a', 2000000000))", "array_repeat makes a constant"),
        ("select array_length(array_resize([1], 2000000000))", "array_resize makes a constant"),
        ("select length(replace(repeat('a', 1000000), 'a', repeat('b', 100)))", "replace makes a constant"),
        (
            "select length(regexp_replace(repeat('a', 1000000), '', repeat('b', 1000), 'g'))",
            "regexp_replace makes a constant",
        ),
        ("select array_to_string(range(0, 100000), repeat('x', 1000))", "array_to_string makes a constant"),
        ("select string_to_array(repeat('x,', 5000000), ',')", "string_to_array makes a constant"),
        ("select arrays_zip(range(0, 1000000), [1], [1], [1])", "arrays_zip makes a constant"),
        (
            "select array_replace_all(array_repeat('a', 100000), 'a', repeat('b', 1000))",
            "array_replace_all makes a constant",
        ),
        ("select length(encode(repeat('x', 10000000), 'hex'))", "encode makes a constant"),
        // The dates of a step that comes to nothing have no end.
        ("select range(date '2024-04-01', date '2025-04-01', interval '1 month -30 days')", "go one way"),
    ])
    .await;
}

/// A statement that applies an expression of `s` forty times.
fn repeated(begin: &str, expression: &str) -> String {
    let steps = (0..40).map(|step| format!(", t{} as (select {expression} as s from t{step})", step + 1));
    format!("with t0 as ({begin}){} select s from t40", steps.collect::<String>())
}

/// Waits until what was made is gone.
async fn given_back(engine: &Engine) {
    let gone = async {
        while engine.common.held() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone).await.expect("nothing is held any more");
}

#[tokio::test]
async fn abuse_35_what_doubles_ends_soon() {
    let world = World::new();
    let texts = "select cast(value as text) as s from generate_series(100, 199)";
    let lists = "select [value] as s from generate_series(100, 199)";
    let table = [
        (texts, "s || s", "||"),
        (texts, "concat(s, s)", "concat"),
        (texts, "concat_ws(s, s, s)", "concat_ws"),
        (texts, "replace(s, '1', '11')", "replace"),
        (texts, "overlay(s placing s from 1 for 0)", "overlay"),
        (texts, "encode(s, 'hex')", "encode"),
        (texts, "array_to_string([s, s], '')", "53200"),
        (lists, "array_concat(s, s)", "array_concat"),
        (lists, "s || s", "array_concat"),
        (lists, "[s, s]", "make_array"),
        (lists, "named_struct('a', s, 'b', s)", "named_struct gives a type of more than 1000 types"),
        (lists, "row(s, s)", "struct gives a type of more than 1000 types"),
        // Nothing is read: part of it is made while the statement is planned.
        ("select 'x' as s", "s || s", "|| makes"),
        ("select [1] as s", "array_concat(s, s)", "array_concat makes"),
    ];
    for (begin, expression, expected) in table {
        let why = refused(&world.engine, &repeated(begin, expression)).await;
        assert!(why.contains(expected), "{expression}: {why}");
    }
    world.end().await;
}

#[tokio::test]
async fn abuse_35_no_batch_is_larger_than_a_function_may_make() {
    check(&[
        ("select max(length(repeat(cast(value as text), 5000))) from generate_series(1000, 9000)", "repeat"),
        ("select max(array_length(range(0, value * 1000))) from generate_series(1, 8000)", "range"),
        ("select max(length(lpad('x', value))) from generate_series(100000, 108000)", "lpad"),
        (
            "select max(array_length(array_repeat('abc', value))) from generate_series(100000, 108000)",
            "array_repeat",
        ),
    ])
    .await;
    let world = World::new();
    let columns: Vec<String> =
        (0..20).map(|column| format!("max(length(repeat(s, {})))", 1000 + column)).collect();
    let texts = "select cast(value as text) as s from generate_series(1000, 9000)";
    let statement = format!("select {} from ({texts})", columns.join(", "));
    let asked = world.engine.answer(&statement, Format::Json, asker()).await;
    asked.expect("a column at a time is much less than a statement may hold");
    given_back(&world.engine).await;
    world.end().await;
}

#[tokio::test]
async fn abuse_35_what_functions_have_made_counts_as_long_as_somebody_has_it() {
    let world = World::new();
    let columns: Vec<String> =
        (0..20).map(|column| format!("repeat(s, {}) as c{column}", 1000 + column)).collect();
    let texts = "select cast(value as text) as s from generate_series(1000, 9000)";
    let statement = format!("select {} from ({texts})", columns.join(", "));
    let limits = Limits::of(Duration::from_secs(300), &asker().user);
    let mut rows = world.engine.rows(&statement, &asker(), &limits).await.expect("planned");
    let why = rows.next().await.expect("an end").expect_err("more than a statement may hold");
    assert_eq!(why.code(), "53200", "{why}");
    drop(rows);
    let few = format!("select {} from ({texts})", columns[..3].join(", "));
    let mut rows = world.engine.rows(&few, &asker(), &limits).await.expect("planned");
    let batch = rows.next().await.expect("a batch").expect("within what it may hold");
    let held = world.engine.common.held();
    assert!(held >= batch.num_rows() * 3 * 4000, "{held} of {} rows", batch.num_rows());
    drop((rows, batch));
    given_back(&world.engine).await;
    world.end().await;
}

#[tokio::test]
async fn abuse_35_a_long_constant_in_each_row_makes_small_batches() {
    let world = World::new();
    let limits = Limits::of(Duration::from_secs(300), &asker().user);
    let statement = "select repeat('x', 1000000) as s, value from generate_series(1, 300)";
    let mut rows = world.engine.rows(statement, &asker(), &limits).await.expect("planned");
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.expect("sound");
        assert!(batch.num_rows() <= 67, "{} rows of a megabyte", batch.num_rows());
        count += batch.num_rows();
    }
    assert_eq!(count, 300);
    let joined = "select max(length(concat(s, cast(value as text)))) as l \
        from (select repeat('x', 1000000) as s, value from generate_series(1, 300))";
    let answer = world.engine.answer(joined, Format::Json, asker()).await.expect("answered");
    assert_eq!(answer.text.trim(), r#"[{"l":1000003}]"#);
    world.end().await;
}

#[tokio::test]
async fn abuse_35_what_has_no_bound_is_refused() {
    let text = "x".repeat(1 << 20);
    let many = format!("select concat({}) from (select '{text}' as s)", vec!["s"; 300].join(", "));
    check(&[
        ("select array_agg(value) over (order by value) from generate_series(1, 9)", "use it with GROUP BY"),
        (
            "select string_agg('a', ',') over (order by value) from generate_series(1, 9)",
            "use it with GROUP BY",
        ),
        (
            "select string_agg(cast(value as text), repeat('x', 1000)) from generate_series(1, 9)",
            "the separator of string_agg",
        ),
        (
            "select count(*) from generate_series(1, 9) where 'a' ~ ('a{' || value || '}')",
            "the pattern of ~ and of SIMILAR TO is the same for all rows",
        ),
        (
            "select count(*) from generate_series(1, 99) where regexp_like('a', 'a{' || value || '}')",
            "at most 8 different ones at once",
        ),
        ("select cast(null as bigint[2000000000])", "has more than 1024 elements"),
        ("select cast(null as bigint[1000][1000])", "has more than 1024 elements"),
        ("select arrow_cast(null, 'FixedSizeBinary(2000000000)')", "a type of more than 32 KiB a row"),
        (many.as_str(), "in a statement that names 300 columns"),
    ])
    .await;
}

#[tokio::test]
async fn functions_give_what_they_gave() {
    let table = [
        ("'a' || 'b'", r#""ab""#),
        ("'a' || value", r#""a7""#),
        ("'a' || cast(null as text)", "null"),
        ("[value] || [8]", "[7,8]"),
        ("[value] || 8", "[7,8]"),
        ("concat('a', value, null)", r#""a7""#),
        ("concat_ws('-', 'a', value)", r#""a-7""#),
        ("repeat('ab', 2) || repeat('c', value)", r#""ababccccccc""#),
        ("lpad(cast(value as text), 3, '0')", r#""007""#),
        ("replace('a-b-c', '-', '+')", r#""a+b+c""#),
        ("regexp_replace('a1b2', '[0-9]', '<\\0>', 'g')", r#""a<1>b<2>""#),
        ("regexp_match('a1b2', '([a-z])([0-9])')", r#"["a","1"]"#),
        ("regexp_like('a1', '^a[0-9]$')", "true"),
        ("'a1' ~ '^a[0-9]$'", "true"),
        ("range(value)", "[0,1,2,3,4,5,6]"),
        ("array_to_string(range(1, 4), ',')", r#""1,2,3""#),
        ("string_to_array('a,b', ',')", r#"["a","b"]"#),
        ("array_length(array_repeat(value, 3))", "3"),
        ("overlay('Txxxxas' placing 'hom' from 2 for 4)", r#""Thomas""#),
        ("to_char(timestamp '2026-01-31 12:00:00', '%Y-%m')", r#""2026-01""#),
    ];
    let world = World::new();
    for (expression, expected) in table {
        for from in ["generate_series(7, 7)", "(select 7 as value)"] {
            let statement = format!("select {expression} as v from {from}");
            let answer = world.engine.answer(&statement, Format::Json, asker()).await;
            let answer = answer.unwrap_or_else(|error| panic!("{statement}: {error}"));
            assert_eq!(answer.text.trim(), format!(r#"[{{"v":{expected}}}]"#), "{statement}");
        }
    }
    // What it is called without a name of its own.
    let answer = world.engine.answer("select value || 'b' from generate_series(7, 7)", Format::Json, asker());
    let answer = answer.await.expect("answered").text;
    assert!(answer.contains("||") && answer.contains("7b"), "{answer}");
    world.end().await;
}

#[tokio::test]
async fn what_looks_like_too_much_is_made_in_parts() {
    let world = World::new();
    // Were each letter replaced, it would be 800 MB.
    let statement = "select count(*) as n, max(length(s)) as longest, min(length(s)) as shortest from ( \
        select regexp_replace(repeat('ab', 500) || cast(value as text), '7$', repeat('x', 100), 'g') as s \
        from generate_series(1, 8000))";
    let answer = world.engine.answer(statement, Format::Json, asker()).await.expect("answered");
    assert_eq!(answer.text.trim(), r#"[{"n":8000,"longest":1103,"shortest":1001}]"#);
    given_back(&world.engine).await;
    world.end().await;
}

#[tokio::test]
async fn abuse_35_statements_hold_no_more_than_all_may_together() {
    let world = World::new();
    let engine = world.engine.clone().with_memory_limit(16 << 20);
    let texts = "select cast(value as text) as s from generate_series(1000, 9000)";
    let limits = |user: &str| Limits::of(Duration::from_secs(300), &UserInfo::named(user, &[]));
    let statement = format!("select repeat(s, 400) from ({texts})");
    let mut held = Vec::new();
    let mut why = None;
    // Each holds a batch of thirteen megabytes: of six, not all fit.
    for user in ["a", "b", "c", "d", "e", "f"] {
        let mut rows = engine.rows(&statement, &asker(), &limits(user)).await.expect("planned");
        match rows.next().await.expect("a batch") {
            Ok(batch) => held.push((rows, batch)),
            Err(error) => why = Some(error),
        }
    }
    assert!((1..6).contains(&held.len()), "{} hold a batch each", held.len());
    let why = why.expect("one is refused").to_string();
    assert!(why.contains("all statements together hold 64 MiB at most"), "{why}");
    assert!(engine.common.held() <= 64 << 20);
    drop(held);
    world.end().await;
}
