//! `query`, `query_range` and `format_query`.

use std::time::Duration;

use axum::response::Response;

use super::{
    super::{self as promql, Answer, Grid, Limits, Outcome, QueryError},
    Asked,
    json::Writing,
    parameters::Parameters,
    reply::{Data, Refusal, Reply, answer, quoted},
};

pub async fn instant(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let time = parameters.time("time")?.unwrap_or_else(now);
        let query = parameters.wanted("query")?;
        let limits = limits(&asked, &parameters)?;
        let _place = asked.place(limits.deadline).await?;
        let answer = promql::instant(&asked.source, query, time, &limits).await.map_err(of_query)?;
        reply(&asked, query, answer, parameters.limit()?)
    };
    let response = answer(work.await);
    asked.sent(response)
}

pub async fn range(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let time = |name| parameters.time(name)?.ok_or_else(|| Refusal::parameter(name, "it is missing"));
        let (start, end) = (time("start")?, time("end")?);
        if end < start {
            return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
        }
        parameters.wanted("step")?;
        let step = parameters.duration("step")?.unwrap_or_default();
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step == 0 {
            let sentence =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Refusal::parameter("step", sentence));
        }
        let query = parameters.wanted("query")?;
        let limits = limits(&asked, &parameters)?;
        let grid = Grid::range(start, end, step);
        let _place = asked.place(limits.deadline).await?;
        let answer = promql::range(&asked.source, query, grid, &limits).await.map_err(of_query)?;
        reply(&asked, query, answer, parameters.limit()?)
    };
    let response = answer(work.await);
    asked.sent(response)
}

pub async fn format(parameters: Parameters) -> Response {
    let work = async {
        let query = parameters.wanted("query")?;
        let expr = promql::parse(query).map_err(of_query)?;
        Ok(Reply::of(quoted(&expr.prettify())))
    };
    answer(work.await)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A query's own errors name the parameter.
pub fn of_query(error: QueryError) -> Refusal {
    match error {
        QueryError::Invalid(sentence) if sentence.contains(": parse error: ") => {
            Refusal::parameter("query", sentence)
        }
        error => error.into(),
    }
}

/// The limits, shorter or with another lookback where that is asked for.
fn limits(asked: &Asked, parameters: &Parameters) -> Result<Limits, Refusal> {
    let mut limits = asked.limits.clone();
    if let Some(timeout) = parameters.duration("timeout")? {
        limits.deadline = limits.deadline.min(timeout.max(Duration::from_millis(1)));
    }
    if let Some(lookback) = parameters.duration("lookback_delta")? {
        limits.lookback = lookback;
    }
    Ok(limits)
}

fn reply(asked: &Asked, query: &str, mut answer: Answer, most: usize) -> Result<Reply, Refusal> {
    if shorten(&mut answer.outcome, most) {
        answer.notes.warnings.insert("results truncated due to limit".to_owned());
    }
    if is_empty(&answer.outcome) {
        answer.notes.infos.extend(asked.source.suggestions(query));
    }
    Ok(Reply { data: Data::of(Writing::new(answer.outcome)), notes: answer.notes })
}

fn shorten(outcome: &mut Outcome, most: usize) -> bool {
    let length = match outcome {
        Outcome::Vector(_, columns) | Outcome::Matrix(_, columns) => {
            let length = columns.len();
            columns.truncate(most);
            length
        }
        Outcome::Samples(series) => {
            let length = series.len();
            series.truncate(most);
            length
        }
        Outcome::Scalar(..) | Outcome::Text(..) => 0,
    };
    length > most
}

fn is_empty(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Vector(_, columns) | Outcome::Matrix(_, columns) => columns.is_empty(),
        Outcome::Samples(series) => series.is_empty(),
        Outcome::Scalar(..) | Outcome::Text(..) => false,
    }
}
