//! Lines around hits, in groups as grep has them: how many, and where they are from.

use std::{collections::HashSet, convert::Infallible, str::FromStr};

use futures::{StreamExt, TryStreamExt, stream};
use tiphys_logging::{
    client, render,
    wire::{ContextRequest, ContextScope, LogRecord},
};

use super::{
    NEXT,
    missing::Missing,
    print::{Format, Printer},
};
use crate::failure::{Failure, OrAsked, Outcome};

/// Searches for the lines around hits that run at once.
const AT_ONCE: usize = 4;

/// Options for the lines around hits.
#[derive(Debug, Clone, clap::Args)]
pub struct Around {
    /// So many lines before and after each record
    #[arg(short = 'C', long, value_name = "N", conflicts_with = "follow")]
    around: Option<usize>,
    /// So many lines before
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    before: Option<Before>,
    /// So many lines after
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    after: Option<usize>,
    /// Where the lines around are from [default: stream]
    #[arg(long, value_name = "PLACE", value_enum, conflicts_with = "follow")]
    around_in: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Place {
    /// The record's container, in the order of writing
    Stream,
    /// All containers of its Pod, by time
    Pod,
    /// All on its node that you may read, by time
    Node,
}

/// What stands behind `--before`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    Lines(usize),
    /// A time, as `tiphys logs delete` takes it.
    Other(String),
}

impl FromStr for Before {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse::<usize>().map_or_else(|_| Self::Other(text.to_owned()), Self::Lines))
    }
}

impl Around {
    /// What `--before` has in the place of a number of lines.
    pub fn other_before(&self) -> Option<&str> {
        match self.before.as_ref()? {
            Before::Lines(_) => None,
            Before::Other(text) => Some(text),
        }
    }

    pub fn is_asked(&self) -> bool {
        self.sides().is_some()
    }

    /// Whether lines of other Pods and namespaces may stand around a record.
    pub fn is_wide(&self) -> bool {
        self.around_in == Some(Place::Node)
    }

    /// # Errors
    /// A place of lines that nobody asked for; no number of lines.
    pub fn check(&self) -> Outcome<()> {
        if let Some(other) = self.other_before() {
            return Err(Failure::usage(
                format!("--before is so many lines before each record, and `{other}` is no number"),
                "--before 5; the records up to a time are those of --until",
            ));
        }
        if self.around_in.is_some() && !self.is_asked() {
            return Err(Failure::usage(
                "--around-in says where the lines around records are from, and none are asked for",
                "add -C 5, or --before 5, or --after 5",
            ));
        }
        Ok(())
    }

    /// Lines before and after, if there are to be any.
    fn sides(&self) -> Option<(usize, usize)> {
        let before = match &self.before {
            Some(Before::Lines(lines)) => Some(*lines),
            _ => None,
        };
        self.around.or(before).or(self.after)?;
        let side = |side: Option<usize>| side.or(self.around).unwrap_or_default();
        Some((side(before), side(self.after)))
    }

    fn scope(&self) -> ContextScope {
        match self.around_in {
            None | Some(Place::Stream) => ContextScope::Stream,
            Some(Place::Pod) => ContextScope::Pod,
            Some(Place::Node) => ContextScope::Node,
        }
    }

    /// A hit with what stands around it, oldest first.
    async fn ask(
        &self,
        client: &kube::Client,
        hit: &LogRecord,
        missing: &Missing,
        within: Option<&str>,
    ) -> Outcome<Vec<LogRecord>> {
        let (before, after) = self.sides().unwrap_or_default();
        let (id, scope) = (hit.id.clone(), self.scope());
        let within = within.map(str::to_owned);
        let request = ContextRequest { id, before: Some(before), after: Some(after), scope, within };
        let answer = client::context(client, &request).await.or_asked(NEXT)?;
        missing.tell(&answer.partial);
        let hit = answer.record.unwrap_or_else(|| hit.clone());
        Ok(answer.before.into_iter().chain([hit]).chain(answer.after).collect())
    }
}

/// Prints hits with what stands around them.
pub struct Groups<'a> {
    around: &'a Around,
    printer: &'a Printer,
    missing: &'a Missing,
    /// How long each node may look.
    within: Option<&'a str>,
    shown: Shown,
    /// Objects so far: an array has commas between them.
    objects: usize,
}

impl<'a> Groups<'a> {
    pub fn new(
        around: &'a Around,
        printer: &'a Printer,
        missing: &'a Missing,
        within: Option<&'a str>,
    ) -> Self {
        Self { around, printer, missing, within, shown: Shown::default(), objects: 0 }
    }

    /// The hits of a page. One of the next page that stands beside these is shown there once
    /// more: as the hit that it is.
    pub async fn print(&mut self, client: &kube::Client, hits: &[LogRecord]) -> Outcome<()> {
        let (around, missing, within) = (self.around, self.missing, self.within);
        let ids: HashSet<&str> = hits.iter().map(|record| record.id.as_str()).collect();
        self.shown.ids.clear();
        let asked = stream::iter(hits).map(|hit| around.ask(client, hit, missing, within));
        let mut asked = std::pin::pin!(asked.buffered(AT_ONCE));
        while let Some(group) = asked.try_next().await? {
            let before = self.shown.group;
            let new = self.shown.add(group);
            if before > 0 && self.shown.group > before && !self.printer.format.is_json() {
                self.printer.between("--\n")?;
            }
            new.iter().try_for_each(|record| self.one(record, ids.contains(record.id.as_str())))?;
        }
        Ok(())
    }

    fn one(&mut self, record: &LogRecord, is_hit: bool) -> std::io::Result<()> {
        let object = match self.printer.format {
            Format::Json => render::json(record),
            Format::Jsonl => render::jsonl(record),
            _ => return self.printer.print(record, !is_hit),
        };
        let object = in_group(&object, is_hit, self.shown.group);
        let (gap, end) = match self.printer.format {
            Format::Json if self.objects > 0 => (",\n", ""),
            Format::Json => ("", ""),
            _ => ("", "\n"),
        };
        self.objects += 1;
        self.printer.between(&format!("{gap}{object}{end}"))
    }
}

/// Which records were shown, and the number of the group that they stand in.
#[derive(Debug, Default)]
struct Shown {
    ids: HashSet<String>,
    group: usize,
}

impl Shown {
    /// What of some records is new. They are a group of their own if all are, and else go on
    /// with the last.
    fn add(&mut self, records: Vec<LogRecord>) -> Vec<LogRecord> {
        let count = records.len();
        let new: Vec<_> = records.into_iter().filter(|record| self.ids.insert(record.id.clone())).collect();
        self.group += usize::from(new.len() == count);
        new
    }
}

/// A record's JSON object with two more keys: whether it was searched for, and its group.
fn in_group(object: &str, is_hit: bool, group: usize) -> String {
    let open = object.strip_suffix('}').unwrap_or(object);
    format!("{open},\"hit\":{is_hit},\"group\":{group}}}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Option<Around> {
        let words = ["tiphys", "logs"].into_iter().chain(arguments.iter().copied());
        match Cli::try_parse_from(words).ok()?.command {
            Command::Logs(logs) => Some(logs.around.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn how_many_lines_and_where_they_are_from() {
        let check = |arguments: &[&str], sides: Option<(usize, usize)>, scope: ContextScope| {
            let around = parsed(arguments).expect("an option");
            assert!(around.check().is_ok(), "{arguments:?}");
            assert_eq!((around.sides(), around.scope()), (sides, scope), "{arguments:?}");
        };
        check(&["x"], None, ContextScope::Stream);
        check(&["x", "-C", "5"], Some((5, 5)), ContextScope::Stream);
        check(&["x", "-C", "5", "--after", "1", "--around-in", "pod"], Some((5, 1)), ContextScope::Pod);
        check(&["x", "--before", "2", "--around-in", "node"], Some((2, 0)), ContextScope::Node);
        let alone = parsed(&["x", "--around-in", "node"]).expect("an option");
        assert!(alone.check().expect_err("refused").message().contains("none are asked for"));
        let time = parsed(&["x", "-C", "1", "--before", "30d"]).expect("an option");
        assert!(time.check().expect_err("refused").message().contains("`30d` is no number"));
        for wrong in [&["x", "-C", "1", "-f"][..], &["x", "-C", "1", "--around-in", "moon"]] {
            assert!(parsed(wrong).is_none(), "{wrong:?}");
        }
    }

    fn records(ids: &[&str]) -> Vec<LogRecord> {
        let record = |id: &&str| LogRecord { id: (*id).to_owned(), ..LogRecord::default() };
        ids.iter().map(record).collect()
    }

    #[test]
    fn groups_that_overlap_are_one_and_show_each_record_once() {
        let mut shown = Shown::default();
        let mut add = |ids: &[&str]| {
            let new: String = shown.add(records(ids)).iter().map(|record| record.id.as_str()).collect();
            (shown.group, new)
        };
        assert_eq!(add(&["a", "b", "c"]), (1, "abc".to_owned()));
        assert_eq!(add(&["c", "d"]), (1, "d".to_owned()));
        assert_eq!(add(&["b", "c"]), (1, String::new()));
        assert_eq!(add(&["x"]), (2, "x".to_owned()));
    }

    #[test]
    fn objects_say_which_is_the_hit() {
        let record = LogRecord { body: "a \"}\"".into(), ..LogRecord::default() };
        for object in [render::json(&record), render::jsonl(&record)] {
            let object: serde_json::Value =
                serde_json::from_str(&in_group(&object, true, 3)).expect("an object");
            assert_eq!((&object["hit"], &object["group"]), (&true.into(), &3.into()));
            assert_eq!(object["body"], "a \"}\"");
        }
    }
}
