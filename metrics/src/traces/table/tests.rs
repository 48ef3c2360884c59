//! What a statement reads of files of spans, and that it finds all that it looks for: in files that say
//! which traces they have, and in those of a version before.

use std::{path::Path, time::Duration};

use datafusion::{
    arrow::array::AsArray,
    prelude::{Expr, col, lit},
    scalar::ScalarValue,
};
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::Tasks;

use super::*;
use crate::{
    decisions::Decisions,
    sql::{Engine, Format, ParquetFile, tests::ByName},
    traces::{SpansConfig, file},
};

const GROUP: i64 = 8192;
const GROUPS: i64 = 3;
/// When the first span began; each of the others a microsecond later.
const BEGIN: i64 = 1_800_000_000_000_000;

/// Ids in no order, so that the least and the greatest of a group say nothing.
fn trace_id(number: i64) -> String {
    format!("{:016x}{number:016x}", number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn span(number: i64) -> Arc<Span> {
    Arc::new(Span {
        time: BEGIN + number,
        duration_us: number,
        trace_id: trace_id(number),
        span_id: format!("{number:016x}"),
        name: format!("op{}", number % 3),
        service: if number == 2 * GROUP + 5 { "a-rare-one".into() } else { "cart".into() },
        namespace: if number % 2 == 0 { "shop".into() } else { "bank".into() },
        attributes: "{}".into(),
        ..Span::default()
    })
}

fn all() -> Vec<Arc<Span>> {
    (0..GROUPS * GROUP).map(span).collect()
}

/// A file as versions before wrote it: without filters, and with one group.
fn write_former(folder: &Path, spans: &[Arc<Span>]) {
    let mut parquet = ParquetFile::new(schema()).expect("a schema");
    let rows = batch(spans.iter().map(|span| &**span)).expect("rows");
    let mut bytes = parquet.write(&rows).expect("written");
    bytes.extend(parquet.finish(&[]).expect("written"));
    let name = format!("{BEGIN}-{}-1.parquet", BEGIN + GROUPS * GROUP - 1);
    std::fs::write(folder.join(name), bytes).expect("written");
}

fn load(folder: &Path) -> Arc<Spans> {
    let keep = Duration::from_secs(3600);
    let config = SpansConfig { folder: folder.to_owned(), keep, keep_bytes: 1 << 30 };
    Arc::new(Spans::load(config).expect("opened"))
}

fn asker(user: &str) -> Asker {
    Asker::new(UserInfo::named(user, &[]), Arc::new(ByName))
}

/// How many rows are found, and how many groups were read for it.
fn found(spans: &Spans, user: &str, filters: &[Expr]) -> (usize, usize) {
    let asked = Arc::new(schema().project(&[1]).expect("a column"));
    let mut rows = Rows::new(spans, &asker(user), Wanted::of(filters), asked).expect("begun");
    let mut count = 0;
    for batch in &mut rows {
        let batch = batch.expect("sound");
        assert_eq!(batch.num_columns(), 1);
        count += batch.num_rows();
    }
    (count, rows.groups)
}

fn since(number: i64) -> Expr {
    let time = ScalarValue::TimestampMicrosecond(Some(BEGIN + number), Some("UTC".into()));
    col("time").gt_eq(lit(time))
}

#[tokio::test]
async fn groups_that_have_nothing_of_what_is_looked_for_are_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    file::write(folder.path(), &all(), 1).expect("written");
    let spans = load(folder.path());
    let group = usize::try_from(GROUP).expect("few");
    let table: [(&str, Vec<Expr>, (usize, usize)); 8] = [
        ("admin", vec![], (3 * group, 3)),
        ("admin", vec![since(2 * GROUP + 10)], (group - 10, 1)),
        ("admin", vec![since(GROUP)], (2 * group, 2)),
        ("admin", vec![col("service").eq(lit("a-rare-one"))], (1, 1)),
        ("admin", vec![col("service").eq(lit("zebra"))], (0, 0)),
        ("admin", vec![col("trace_id").eq(lit("zz"))], (0, 0)),
        ("bank", vec![since(2 * GROUP)], (group / 2, 1)),
        ("nobody", vec![since(2 * GROUP)], (0, 1)),
    ];
    for (user, filters, expected) in table {
        assert_eq!(found(&spans, user, &filters), expected, "{user} {filters:?}");
    }
    // Of a hundred a filter may be wrong about one or two; without one it would be all groups.
    let ids = (0..40).map(|nth| trace_id(nth * 600));
    let groups: usize = ids
        .map(|id| {
            let (rows, groups) = found(&spans, "admin", &[col("trace_id").eq(lit(id.as_str()))]);
            assert_eq!(rows, 1, "{id}");
            groups
        })
        .sum();
    assert!((40..60).contains(&groups), "{groups} groups were read for 40 traces");
    let (rows, groups) = found(&spans, "admin", &[col("trace_id").eq(lit(format!("5{}", "0".repeat(31))))]);
    assert!(rows == 0 && groups < 3, "{groups} groups were read for what is in none");
}

#[tokio::test]
async fn what_is_in_memory_and_in_files_of_before_is_found_too() {
    let folder = tempfile::tempdir().expect("a folder");
    write_former(folder.path(), &all());
    let spans = load(folder.path());
    let number = 3 * GROUP - 7;
    let of_trace = |number: i64| vec![col("trace_id").eq(lit(trace_id(number)))];
    assert_eq!(found(&spans, "admin", &of_trace(number)), (1, 1));
    assert_eq!(found(&spans, "admin", &of_trace(5_000_000)).0, 0);
    assert_eq!(found(&spans, "bank", &of_trace(8)).0, 0, "it is of shop");
    let newer: Vec<Span> = [100_000, 100_001].map(|number| (*span(number)).clone()).into();
    spans.take(newer).expect("taken");
    assert_eq!(found(&spans, "admin", &of_trace(100_001)).0, 1);
    assert_eq!(found(&spans, "bank", &of_trace(100_000)).0, 0, "it is of shop");
}

#[tokio::test]
async fn statements_find_what_they_look_for_whatever_columns_they_name() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let path = folder.path().join("spans");
    std::fs::create_dir_all(&path).expect("a folder");
    file::write(&path, &all(), 1).expect("written");
    let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
    let engine = Engine::new(Arc::default(), decisions, vec![Arc::new(SpansTable::new(load(&path)))])
        .with_default_range(None);
    let id = trace_id(20_000);
    let table = [
        ("count(*) as n from spans".to_owned(), (GROUPS * GROUP).to_string()),
        (format!("duration_us as n from spans where trace_id = '{id}'"), "20000".to_owned()),
        (format!("name as n from spans where trace_id = '{id}' and service = 'cart'"), "op2".to_owned()),
        (format!("count(*) as n from spans where trace_id in ('{id}', '{}')", trace_id(9)), "2".to_owned()),
        (format!("count(*) as n from spans where trace_id = '{id}' or duration_us = 3"), "2".to_owned()),
        ("count(*) as n from spans where service like 'a-%'".to_owned(), "1".to_owned()),
        ("count(*) as n from spans where attributes ~ 'nothing'".to_owned(), "0".to_owned()),
        ("max(duration_us) as n from spans where name = 'op0'".to_owned(), "24573".to_owned()),
    ];
    for (asked, expected) in table {
        let statement = format!("select {asked}");
        let answer = engine.answer(&statement, Format::Csv, asker("admin")).await.expect("answered");
        assert_eq!(answer.text, format!("n\n{expected}\n"), "{statement}");
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn a_file_that_cant_be_read_now_is_read_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let few: Vec<_> = (0..3).map(span).collect();
    file::write(folder.path(), &few, 1).expect("written");
    let spans = load(folder.path());
    let sound = file::list(folder.path()).expect("listed").remove(0).path;
    let (hidden, name) = (sound.with_extension("hidden"), sound.file_name().expect("a name").to_owned());
    // Too many links: the system's error, and not the file's.
    std::fs::rename(&sound, &hidden).expect("renamed");
    std::os::unix::fs::symlink(&name, &sound).expect("linked");
    let asker = asker("admin");
    let mut rows = Rows::new(&spans, &asker, Wanted::of(&[]), schema()).expect("begun");
    assert!(rows.next().is_none());
    let notes = asker.notes.take();
    let missing = format!("spans of a file that can't be read now are missing: {}", name.display());
    assert_eq!(notes, [missing]);
    let gaps = spans.visit(&(i64::MIN..i64::MAX), |_| true).expect("listed");
    let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert!(gap.to_string().ends_with("are missing: their file can't be read now"), "{gap}");
    std::fs::rename(&hidden, &sound).expect("it is where it was");
    assert_eq!(found(&spans, "admin", &[]).0, 3);
    // One that is damaged is named without its folder, too.
    std::fs::write(&sound, b"no parquet").expect("written");
    let mut rows = Rows::new(&spans, &asker, Wanted::of(&[]), schema()).expect("begun");
    assert!(rows.next().is_none() && !sound.exists());
    assert_eq!(asker.notes.take(), [format!("spans of a damaged file are missing: {}", name.display())]);
}

#[test]
fn a_column_that_a_file_has_not_is_empty() {
    let rows = batch([span(1), span(2)].iter().map(|span| &**span)).expect("rows");
    let of_before = rows.project(&[0, 1, 5]).expect("columns");
    assert_eq!(of_before.schema().field(2).name(), "name");
    let found = as_asked(&of_before, &schema()).expect("rows");
    assert_eq!((found.num_rows(), found.schema()), (2, schema()));
    let text = |column: &str| {
        let texts = found.column_by_name(column).expect("a column");
        texts.as_string::<i32>().value(1).to_owned()
    };
    assert_eq!((text("name"), text("service")), ("op2".to_owned(), String::new()));
}
