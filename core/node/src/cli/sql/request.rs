//! A statement on its way to the API server, and its answer as it comes. Dropped, the server gives
//! the statement up.

use http_body_util::BodyExt;
use kube::Client;

use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// What to try when a statement was refused.
pub const NEXT: &str = "tiphys sql 'show tables'";
/// The metadata of a Parquet file is looked for in so many bytes of its end.
const NOTES_WITHIN: usize = 1 << 20;

/// Gives an answer piece by piece, however long it is; what it lacks goes to `warn`.
///
/// # Errors
/// What the server refused, why it broke off, or what `take` returned.
pub async fn stream(
    client: &Client,
    statement: &str,
    format: &str,
    warn: fn(&str),
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Outcome<()> {
    let body = serde_json::to_vec(&serde_json::json!({"sql": statement, "format": format}))?;
    let request = http::Request::post("/tiphys/v1/sql")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(kube::client::Body::from(body))?;
    let answer = client.send(request).await.or_asked(NEXT)?;
    let (head, mut body) = answer.into_parts();
    if !head.status.is_success() {
        return Err(refused(&body.collect().await.or_asked(NEXT)?.to_bytes()));
    }
    // Said before the answer scrolls away, and not in it.
    warnings(&head.headers).iter().for_each(|warning| warn(warning));
    while let Some(frame) = body.frame().await {
        match frame.or_asked(NEXT)?.into_data() {
            Ok(piece) => take(&piece)?,
            // What turned out later to be missing.
            Err(frame) => {
                let late = frame.into_trailers().map(|trailers| warnings(&trailers)).unwrap_or_default();
                late.iter().for_each(|warning| warn(warning));
            }
        }
    }
    Ok(())
}

/// The same of a Parquet file, whose end says what it lacks.
///
/// # Errors
/// As [`stream`].
pub async fn parquet(
    client: &Client,
    statement: &str,
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Outcome<()> {
    let mut end = Vec::new();
    let mut both = |piece: &[u8]| {
        end.extend_from_slice(piece);
        end.drain(..end.len().saturating_sub(NOTES_WITHIN));
        take(piece)
    };
    stream(client, statement, "parquet", |_| {}, &mut both).await?;
    tiphys_metrics::notes_of(&end).iter().for_each(|note| output::warning(note));
    Ok(())
}

/// The texts of `Warning: 299 - "text"`.
fn warnings(headers: &http::HeaderMap) -> Vec<String> {
    let values = headers.get_all(http::header::WARNING).iter().filter_map(|value| value.to_str().ok());
    let texts = values.filter_map(|value| value.strip_prefix("299 - \"")?.strip_suffix('"'));
    texts.map(|text| text.replace("\\\"", "\"").replace("\\\\", "\\")).collect()
}

fn refused(body: &[u8]) -> Failure {
    let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = status.as_ref().and_then(|status| status["message"].as_str());
    Failure::new(message.unwrap_or("the server did not say what is wrong"), NEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_lacks_is_read_from_its_head() {
        let mut headers = http::HeaderMap::new();
        for value in ["299 - \"n3 is \\\"down\\\" in C:\\\\\"", "110 other", "299 - \"b\""] {
            headers.append(http::header::WARNING, value.parse().expect("a value"));
        }
        assert_eq!(warnings(&headers), ["n3 is \"down\" in C:\\", "b"]);
        assert_eq!(refused(br#"{"message": "no"}"#).message(), "no");
    }
}
