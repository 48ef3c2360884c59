//! Asks the collectors for counts, in as few questions as the range of time takes.
//!
//! A range without an end is first looked at coarsely, so that only spans with records
//! are asked for finely. What the collectors can't tell apart (too many groups, too many
//! spans) is counted here from the records' names and times, without their bodies.

use std::collections::BTreeMap;

use datafusion::common::Result;
use futures::{StreamExt, TryStreamExt, stream};
use tiphys_logging::{
    time,
    wire::{MAX_GROUPS, MAX_LIMIT, MAX_STEPS, SearchRequest, StatsAnswer, StatsRequest},
};

use super::{
    super::{bounds::Bounds, columns},
    Key,
    bins::Bins,
    table::Question,
};

/// The span that can be cut into steps: what is before or after it (the years to 1823
/// and from 2116) is counted from its records.
const FIRST: i64 = -(1 << 62);
const LAST: i64 = 1 << 62;
/// Questions for one statement; what takes more is counted from its records.
const MOST_QUESTIONS: usize = 64;
/// Questions at once.
const AT_ONCE: usize = 2;
/// Longer names come cut from the collectors.
const LONGEST_NAME: usize = 200;

/// What a row of counts stands for: its names in the order of the keys, its span's begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub time: i64,
    pub names: Vec<String>,
}

type Groups = BTreeMap<Group, u64>;

/// All groups with their counts.
pub async fn groups(question: &Question) -> Result<Vec<(Group, u64)>> {
    let Bounds { since, until } = question.pushed.bounds;
    let inner = Bounds {
        since: Some(since.map_or(FIRST, |since| since.max(FIRST))),
        until: Some(until.map_or(LAST, |until| until.min(LAST))),
    };
    let before = Bounds { since, until: Some(FIRST) }.and(question.pushed.bounds);
    let after = Bounds { since: Some(LAST), until }.and(question.pushed.bounds);
    let (inner, before, after) =
        futures::try_join!(within(question, inner), counted(question, before), counted(question, after),)?;
    let mut groups = inner;
    for (group, count) in before.into_iter().chain(after) {
        *groups.entry(group).or_default() += count;
    }
    Ok(groups.into_iter().collect())
}

/// Groups of a range that has both ends.
async fn within(question: &Question, range: Bounds) -> Result<Groups> {
    let (Some(since), Some(until)) = (range.since, range.until) else { return Ok(Groups::new()) };
    if range.are_empty() {
        return Ok(Groups::new());
    }
    let bins = question.keys.iter().find_map(|key| match key {
        Key::Time(bins) => Some(*bins),
        _ => None,
    });
    let pieces = match bins {
        None => vec![(since, until)],
        Some(bins) => match pieces(question, bins, since, until).await? {
            Some(pieces) => pieces,
            None => return counted(question, range).await,
        },
    };
    let answers = stream::iter(pieces).map(|piece| piece_of(question, bins, piece)).buffered(AT_ONCE);
    let answers: Vec<Option<Groups>> = answers.try_collect().await?;
    let mut groups = Groups::new();
    for answer in answers {
        let Some(answer) = answer else { return counted(question, range).await };
        for (group, count) in answer {
            *groups.entry(group).or_default() += count;
        }
    }
    Ok(groups)
}

/// The range in questions; `None` when it takes too many.
async fn pieces(question: &Question, bins: Bins, since: i64, until: i64) -> Result<Option<Vec<(i64, i64)>>> {
    let steps = MAX_STEPS as i64 - 1;
    let few = |pieces: Vec<(i64, i64)>| (pieces.len() <= MOST_QUESTIONS).then_some(pieces);
    let length = i128::from(until) - i128::from(since);
    if length / i128::from(bins.width) <= i128::from(steps) * 8 {
        return Ok(few(bins.pieces(since, until, steps)));
    }
    // Where are records at all?
    let step = i64::try_from(length / i128::from(steps) + 1).unwrap_or(i64::MAX);
    let request = StatsRequest { step: Some(format!("{step}ns")), ..request(question, since, until) };
    let answer = stats(question, &request).await?;
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for point in answer.series.iter().flat_map(|series| &series.points) {
        let Some(from) = time::parse(&point.time) else { continue };
        let end = from.saturating_add(step).min(until);
        match ranges.last_mut() {
            Some(last) if last.1 >= bins.begin(from) => last.1 = end,
            _ => ranges.push((bins.begin(from).max(since), end)),
        }
    }
    if ranges.len() > MOST_QUESTIONS {
        return Ok(None);
    }
    // Ends of ranges are put on spans, so that none is asked for twice.
    let most = |(from, end): &(i64, i64)| {
        (i128::from(*end) - i128::from(*from)) / i128::from(bins.width) / i128::from(steps)
    };
    if ranges.iter().map(most).sum::<i128>() > MOST_QUESTIONS as i128 {
        return Ok(None);
    }
    Ok(few(ranges.into_iter().flat_map(|(from, end)| bins.pieces(from, end, steps)).collect()))
}

/// One question; `None` when the collectors had more groups than they tell apart.
async fn piece_of(
    question: &Question,
    bins: Option<Bins>,
    (since, until): (i64, i64),
) -> Result<Option<Groups>> {
    let mut request = request(question, since, until);
    request.by = question.keys.iter().filter_map(|key| key.name()).map(str::to_owned).collect();
    request.step = bins.map(|bins| format!("{}ns", bins.width));
    let answer = stats(question, &request).await?;
    let mut groups = Groups::new();
    for series in &answer.series {
        let names: Option<Vec<String>> =
            request.by.iter().map(|key| series.group.get(key).cloned()).collect();
        let Some(names) = names.filter(|names| names.iter().all(|name| name.len() <= LONGEST_NAME)) else {
            return Ok(None);
        };
        for point in series.points.iter().filter(|point| point.count > 0) {
            let time = bins.map_or(0, |bins| bins.begin(time::parse(&point.time).unwrap_or(since)));
            *groups.entry(Group { time, names: names.clone() }).or_default() += point.count;
        }
    }
    Ok((answer.other.is_none() && !answer.capped).then_some(groups))
}

fn request(question: &Question, since: i64, until: i64) -> StatsRequest {
    StatsRequest {
        query: question.pushed.query.to_string(),
        since: Some(time::format(since)),
        until: Some(time::format(until)),
        limit: Some(MAX_GROUPS),
        ..StatsRequest::default()
    }
}

async fn stats(question: &Question, request: &StatsRequest) -> Result<StatsAnswer> {
    let source = &question.source;
    let answer = source.stats(request.clone()).await?;
    source.note(&answer.partial, answer.restricted);
    Ok(answer)
}

/// Groups counted from records.
async fn counted(question: &Question, range: Bounds) -> Result<Groups> {
    let mut groups = Groups::new();
    if range.are_empty() {
        return Ok(groups);
    }
    let source = &question.source;
    let mut request = SearchRequest {
        query: question.pushed.query.to_string(),
        since: range.since.map(time::format),
        until: range.until.map(time::format),
        limit: Some(MAX_LIMIT),
        without_body: true,
        ..SearchRequest::default()
    };
    loop {
        let answer = source.search(request.clone()).await?;
        source.note(&answer.partial, answer.restricted);
        for record in &answer.records {
            let mut group = Group::default();
            for key in &question.keys {
                match key {
                    Key::Time(bins) => group.time = bins.begin(time::parse(&record.time).unwrap_or_default()),
                    Key::Restart => group.names.push(record.restart.to_string()),
                    Key::Severity => group.names.push(record.level.clone()),
                    Key::Name(name) => group.names.push(columns::text_of(name, record).to_owned()),
                }
            }
            *groups.entry(group).or_default() += 1;
        }
        request.cursor = answer.cursor;
        if request.cursor.is_none() {
            return Ok(groups);
        }
    }
}
