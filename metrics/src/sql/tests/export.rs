//! What others bring into SQL, what an answer says of itself, and Parquet.

use axum::body::{Body, to_bytes};
use datafusion::{
    arrow::{
        array::{Int64Array, RecordBatch, StringArray},
        util::pretty::pretty_format_batches,
    },
    common::DataFusionError,
    datasource::MemTable,
    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
};
use futures::TryStreamExt;
use tower::ServiceExt;

use super::*;

/// A table `toy` with the user's name, and a note that it is one.
struct Toy;

impl Extension for Toy {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let name = StringArray::from_iter_values((0..3).map(|_| &asker.user.name));
        let rows = RecordBatch::try_from_iter([
            ("name", Arc::new(name) as _),
            ("n", Arc::new(Int64Array::from_iter(0..3)) as _),
        ])?;
        session.register_table("toy", Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))?;
        asker.notes.add("\"toy\" has no more".into());
        asker.notes.add("\"toy\" has no more".into());
        Ok(())
    }
}

fn engine(folder: &tempfile::TempDir, tasks: &Tasks) -> Engine {
    let decisions = Decisions::open(folder.path().join("decisions"), tasks).expect("opened");
    Engine::new(Arc::default(), decisions, vec![Arc::new(Toy)])
}

fn shown(file: &[u8]) -> String {
    let file = Bytes::copy_from_slice(file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|reader| reader.build());
    let batches: Vec<_> = reader.expect("a Parquet file").map(|batch| batch.expect("rows")).collect();
    pretty_format_batches(&batches).expect("shown").to_string()
}

#[tokio::test]
async fn a_statement_as_a_parquet_file() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let engine = engine(&folder, &tasks);
    let asker = || Asker::new(UserInfo::named("ada", &[]), Arc::new(ByName));
    let file = engine.export("select name, n from toy where n > 0", asker()).await.expect("a file");
    let file = file.try_collect::<Vec<_>>().await.expect("whole").concat();
    assert_eq!(
        shown(&file),
        "+------+---+\n| name | n |\n+------+---+\n| ada  | 1 |\n| ada  | 2 |\n+------+---+"
    );
    assert_eq!(notes_of(&file), ["\"toy\" has no more"]);
    assert_eq!(notes_of(&file[file.len() - 4..]), Vec::<String>::new());
    assert!(matches!(engine.export("select x from toy", asker()).await.err(), Some(SqlError::Invalid(_))));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn columns_are_described() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let asker = Asker::new(UserInfo::named("ada", &[]), Arc::new(ByName));
    let statement = "select * from columns where table_name in ('toy', 'node') and column_name in ('n', 'time', 'cpu_cores')";
    let answer = engine(&folder, &tasks).answer(statement, Format::Csv, asker).await.expect("answered");
    assert_eq!(
        answer.text,
        "table_name,column_name,type,description\nnode,time,timestamp,when the figures were read\n\
         node,cpu_cores,number,\"CPU use since the sample before, cores\"\ntoy,n,integer,\n"
    );
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[test]
fn a_large_file_is_written_in_pieces() {
    // Texts that no dictionary and no compression makes small.
    let text = |row: u64| -> String {
        let mut seed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let letter = |_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            char::from(b' ' + u8::try_from(seed % 95).expect("small"))
        };
        (0..1000).map(letter).collect()
    };
    let batch = |from: u64| {
        let texts = StringArray::from_iter_values((from..from + 1000).map(text));
        RecordBatch::try_from_iter([("text", Arc::new(texts) as _)]).expect("rows")
    };
    let mut parquet = ParquetFile::new(batch(0).schema()).expect("a file");
    let (mut file, mut longest) = (Vec::new(), 0);
    for at in 0..40 {
        let piece = parquet.write(&batch(at * 1000)).expect("written");
        longest = longest.max(piece.len());
        file.extend(piece);
    }
    let before = file.len();
    let rest = parquet.finish(&[]).expect("finished");
    assert!(before > 20 << 20 && longest < 20 << 20 && rest.len() < 20 << 20, "{before} {longest}");
    file.extend(rest);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).expect("a Parquet file");
    let mut rows = reader.build().expect("a reader").flat_map(|rows| {
        let rows = rows.expect("rows");
        let texts = rows.column(0).as_any().downcast_ref::<StringArray>().expect("texts").clone();
        texts.iter().map(|text| text.expect("no null").to_owned()).collect::<Vec<_>>()
    });
    assert!((0..40_000).all(|row| rows.next() == Some(text(row))) && rows.next().is_none());
}

#[tokio::test]
async fn what_an_answer_lacks_is_in_its_head() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let routes = routes("/sql", engine(&folder, &tasks), Arc::new(ByName));
    let ask = async |body: &'static str| {
        let request = http_request(body);
        let response = routes.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let warning = head.headers.get("warning").map(|value| value.to_str().expect("text").to_owned());
        (head.status.as_u16(), warning, to_bytes(body, 1 << 20).await.expect("a body"))
    };
    let (status, warning, body) = ask(r#"{"sql": "select n from toy limit 1"}"#).await;
    assert_eq!((status, &*body), (200, &b"[{\"n\":0}]\n"[..]));
    assert_eq!(warning.as_deref(), Some(r#"299 - "\"toy\" has no more""#));
    let (_, _, body) = ask(r#"{"sql": "select n from toy limit 1", "format": "columns"}"#).await;
    let columns: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(columns["notes"], serde_json::json!(["\"toy\" has no more"]));
    let (status, _, body) = ask(r#"{"sql": "select n from toy", "format": "parquet"}"#).await;
    assert_eq!((status, notes_of(&body).len()), (200, 1));
    assert_eq!(ask(r#"{"sql": "select", "format": "parquet"}"#).await.0, 400);
    let (status, _, body) = ask(r#"{"sql": "select 1", "format": "runes"}"#).await;
    assert!(status == 400 && body.windows(7).any(|text| text == b"parquet"), "the formats are named");
    tasks.shutdown(Duration::from_secs(120)).await;
}

fn http_request(body: &'static str) -> ::http::Request<Body> {
    let mut request = ::http::Request::post("/sql")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    request.extensions_mut().insert(UserInfo::named("ada", &[]));
    request
}
