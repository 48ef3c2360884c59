//! `tiphys logs`: search the logs of all nodes, follow them, count them, take them away.

use std::{path::PathBuf, process::ExitCode};

use tiphys_api::names::SYSTEM_NAMESPACE;
use tiphys_logging::{
    follow::{Event, Follower},
    query::{Expr, Hits},
    render, time,
    wire::SearchRequest,
};

use super::{Global, connect::Connect};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

mod around;
mod as_kubectl;
mod bars;
mod collectors;
mod counts_file;
mod delete;
mod facets;
mod figures;
pub mod file;
pub mod interrupt;
mod missing;
mod out;
mod over_time;
mod pages;
mod previous;
mod print;
mod range;
mod scope;
#[cfg(test)]
pub mod signalled;
mod tails;
mod template;
mod whose;
mod workload;
mod zone;

use around::{Around, Groups};
use as_kubectl::AsKubectl;
use collectors::DaemonSet;
use facets::Facets;
use figures::Figures;
use interrupt::Signals;
use missing::Missing;
use out::Out;
use print::{Format, Printer, When};
use scope::Scope;
use tails::Tail;
use template::Template;
use zone::{End, Zone};

/// What to try when a search was refused.
const NEXT: &str = "tiphys logs --help";
/// Records that are shown when nobody says how many.
const LIMIT: usize = 100;

/// Search the logs of all nodes, follow them, count them.
///
/// A query is words, and fields with values; all of them must be there:
///   tiphys logs 'error timeout'              both words, in any order
///   tiphys logs '"connection reset" -retry'  a phrase, and a word not there
///   tiphys logs 'time* OR /5[0-9]{2}/'       wildcards, regular expressions
///   tiphys logs 'status:>=500 took:>1s'      fields of JSON and key=value lines
///   tiphys logs 'level:>=warn ns:shop pod:web-*'
///   tiphys logs 'error time:[now-1h TO now-5m]'
///
/// Whose logs:
///   tiphys logs deploy/web -n shop -f        a workload, its next rollouts too
///   tiphys logs -l app=web error             labels and a word
///   tiphys logs -l app=web --tail 20 -f      the last 20 of each container, and on
///   tiphys logs --pod 'web-*' -c app --since 15m
///   tiphys logs web-7f9c8-x2x4p              a Pod by its name, as in kubectl
///   tiphys logs web-7f9c8-x2x4p app          its container of that name
///   tiphys logs web-7f9c8-x2x4p error -p     a word, before it was restarted
///
/// What to make of them:
///   tiphys logs error -C 5                   five lines before and after each hit
///   tiphys logs error -C 5 --around-in node  the same, of all that is on its node
///   tiphys logs --level error --since 1h --patterns
///   tiphys logs error --facets level,status  how often fields have which values
///   tiphys logs --fields -l app=web          which fields there are
///   tiphys logs error --histogram --since 6h
///   tiphys logs --histogram --by status --top 3
///   tiphys logs --stats 'p99(took), count by pod every 5m' --since 1h
///   tiphys logs -n shop --since 1d -o parquet --file shop.parquet
///
/// Take logs away:
///   tiphys logs delete -n shop --before 30d
///
/// A first word that is a workload as deploy/NAME, or the name of a Pod that there
/// is or was, is taken as such, and it is said which; to search for its text quote
/// it twice: '"deploy/web"'. Exit codes: 1 failed, 2 wrong usage, 3 see --strict.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub struct Logs {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to search for, in one word or several; nothing finds all
    #[arg(value_name = "QUERY")]
    words: Vec<String>,
    /// What the answers lacked.
    #[arg(skip)]
    missing: Missing,
    /// Where the answer goes.
    #[arg(skip)]
    out: Out,
    /// Only this namespace, or of a query several: shop,billing
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces that you may read (also the default)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only the Pods of a workload or Service: deploy/web, sts/db, ds/agent, job/x, svc/web
    #[arg(long = "for", value_name = "KIND/NAME", conflicts_with = "all_namespaces")]
    of: Option<String>,
    #[command(flatten)]
    scope: Scope,
    /// From this time on: RFC 3339, back from now such as 15m, 2h, 7d, or in the zone of --timezone
    /// 10:30, today, yesterday, 2026-01-31, 2026-01-31T10:30
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this time; a clock is the first after --since, or today's (though it may be yet to come)
    /// if that is days ago as a span
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<String>,
    /// The zone that times are shown in and days and clocks are meant in: Europe/Berlin, local, UTC;
    /// objects have theirs in UTC, and bars begin at its round times
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: Zone,
    /// The most records of all together, patterns, fields or groups, 0 or -1 for all; a Parquet file
    /// has all unless it is said; of --facets the most values of a field, 10 unless it is said
    /// [default: 100]
    #[arg(long, value_name = "N", value_parser = as_kubectl::limit, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// The last records of each container, as in kubectl and stern; -1 is all. Of Pods that are gone
    /// if none lives, and of 100 containers at most
    #[arg(
        long,
        value_name = "N",
        value_parser = as_kubectl::tail,
        allow_negative_numbers = true,
        conflicts_with_all = ["limit", "patterns", "facets", "fields", "histogram", "stats"]
    )]
    tail: Option<Tail>,
    /// Go on with new records as they are written
    #[arg(
        short,
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    follow: bool,
    #[command(flatten)]
    around: Around,
    /// Kinds of lines with their count, those that differ only in numbers, ids, times and addresses
    /// as one; with --since, those that the same span before had not are marked new
    #[arg(long, conflicts_with_all = ["follow", "histogram", "stats"])]
    patterns: bool,
    /// How often these fields have which values: names such as pod or level, labels, fields of JSON
    /// and key=value lines, with commas between them; the query stands before it
    /// [default: namespace,pod,container,node,level]
    #[arg(long, value_name = "FIELDS", conflicts_with_all = ["follow", "histogram", "stats", "patterns"])]
    facets: Option<Option<String>>,
    /// The names of the labels and fields that there are, with the records that have them
    #[arg(long, conflicts_with_all = ["follow", "histogram", "stats", "patterns", "facets"])]
    fields: bool,
    /// Counts over time as bars; of the last hour without --since
    #[arg(long, conflicts_with_all = ["follow", "stats"])]
    histogram: bool,
    /// With --histogram: the counts of this field's values in columns: a name such as pod or level,
    /// a label, a field of JSON and key=value lines
    #[arg(long, value_name = "FIELD", requires = "histogram")]
    by: Option<String>,
    /// With --by: so many values, the most frequent; the rest is one column
    #[arg(long, value_name = "N", requires = "by", default_value_t = 5)]
    top: usize,
    /// Counts and measures: 'count by pod, level', 'p99(took), max(took) by container every 5m';
    /// of the last hour without --since
    #[arg(long, value_name = "FIGURES", conflicts_with = "follow")]
    stats: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// A line for people as you lay it out, '{time} {pod} {message}': these, and namespace,
    /// container, node, stream, level
    #[arg(
        long,
        value_name = "TEMPLATE",
        conflicts_with_all = ["output", "patterns", "facets", "fields", "histogram", "stats"]
    )]
    template: Option<Template>,
    /// How long each node may look, such as 30s; what it has by then is the answer [default: 8s]
    #[arg(long, value_name = "SPAN", conflicts_with = "follow")]
    within: Option<String>,
    /// With exit code 3 if the answer is partial, as when a node could not be asked
    #[arg(long, conflicts_with = "follow")]
    strict: bool,
    #[command(flatten)]
    as_kubectl: AsKubectl,
    /// Where the answer goes; the file has its name when it is whole
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Colours, and marks on what was searched for
    #[arg(long, value_enum, default_value_t = When::Auto)]
    color: When,
    /// The same as --color never
    #[arg(long, conflicts_with = "color")]
    no_color: bool,
    /// On a cluster without a server of Tiphys: ask the collectors themselves, those of a DaemonSet
    /// that `tiphys collector manifest` made there
    #[arg(
        long,
        value_name = "NAMESPACE[/NAME]",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = SYSTEM_NAMESPACE
    )]
    collectors: Option<DaemonSet>,
    /// Of `delete`, which is told of where it stands behind an option.
    #[arg(short, long, hide = true)]
    yes: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Delete(delete::Delete),
}

impl Logs {
    pub async fn run(mut self, global: &Global) -> Outcome<ExitCode> {
        if let Some(Command::Delete(delete)) = self.command {
            return delete.run(global).await;
        }
        self.settle_times();
        self.scope.take_namespaces(&mut self.namespace)?;
        self.check()?;
        let figures = self.stats.as_deref().map(Figures::parse).transpose()?;
        let facets = self.facets.as_ref().map(|fields| Facets::parse(fields.as_deref())).transpose()?;
        // What is wrong with the query is told before the cluster is asked.
        self.scope.query(&self.words.join(" "), None)?;
        let client = match &self.collectors {
            None => self.connect.client(global).await?,
            Some(daemons) => Box::pin(collectors::client(self.connect.as_kubectl().await?, daemons)).await?,
        };
        // Every page, and the tail, means the same moment by `now`.
        let query = Box::pin(self.whose(&client)).await?.at(time::now());
        Box::pin(self.answer_or_end(&client, &query, figures, facets)).await
    }

    /// What was asked for, unless a signal ends it: then nothing of it is left in a file.
    async fn answer_or_end(
        &mut self,
        client: &kube::Client,
        query: &Expr,
        figures: Option<Figures>,
        facets: Option<Facets>,
    ) -> Outcome<ExitCode> {
        let Some(path) = self.file.clone() else {
            return self.answer(client, query, figures, facets).await;
        };
        let mut signals = Signals::watch()?;
        let work = Box::pin(self.answer(client, query, figures, facets));
        let Some(done) = signals.unless(work).await else {
            self.out.abandon();
            return Err(interrupt::interrupted(&path));
        };
        done
    }

    /// What was asked for, in its place.
    async fn answer(
        &mut self,
        client: &kube::Client,
        query: &Expr,
        figures: Option<Figures>,
        facets: Option<Facets>,
    ) -> Outcome<ExitCode> {
        let file = self.file.clone().filter(|_| self.output != Format::Parquet);
        if let Some(path) = &file {
            self.out = Out::open(path)?;
        }
        let code = self.in_its_form(client, query, figures, facets).await?;
        self.out.finish()?;
        if let Some(path) = &file {
            output::line(&format!("the answer is in {}", path.display()));
        }
        Ok(code)
    }

    /// What was asked for, in its form.
    async fn in_its_form(
        &self,
        client: &kube::Client,
        query: &Expr,
        figures: Option<Figures>,
        facets: Option<Facets>,
    ) -> Outcome<ExitCode> {
        if let Some(figures) = figures {
            return self.show_figures(client, query, &figures).await;
        }
        if self.histogram {
            return self.show_histogram(client, query).await;
        }
        if self.patterns {
            return self.show_patterns(client, query).await;
        }
        if let Some(facets) = facets {
            return self.show_facets(client, query, &facets).await;
        }
        if self.fields {
            return self.show_fields(client, query).await;
        }
        if self.output == Format::Parquet {
            return self.export(client, query).await;
        }
        self.show(client, query).await
    }

    /// Clocks and days, and kubectl's option, as requests have them.
    fn settle_times(&mut self) {
        let now = time::now();
        let since = self.as_kubectl.since_time.take().or(self.since.take());
        self.since = since.map(|text| self.timezone.resolved(&text, now, End::Since));
        let begin = self.since.as_deref().and_then(|text| begin_for_clocks(text, now));
        let until = self.until.take();
        self.until = until.map(|text| self.timezone.resolved(&text, now, End::Until(begin)));
    }

    /// Options that can't be meant together.
    fn check(&self) -> Outcome<()> {
        let wrong = |message: &str, next: &str| Err(Failure::usage(message, next));
        let around = self.around.is_asked();
        let counts =
            self.patterns || self.fields || self.facets.is_some() || self.histogram || self.stats.is_some();
        self.check_delete()?;
        self.around.check()?;
        match self.output {
            Format::Parquet if self.follow => {
                wrong("a Parquet file has an end, and --follow has none", "-o jsonl")
            }
            Format::Raw if counts => wrong("counts have no raw form", "-o text, or -o json"),
            Format::Parquet if around => {
                wrong("lines around hits are not written as Parquet", "-o jsonl, which marks the hits")
            }
            Format::Parquet | Format::Json if self.as_kubectl.limit_bytes.is_some() => {
                wrong("--limit-bytes ends the output between two lines, and this form has none", "-o jsonl")
            }
            _ if self.as_kubectl.limit_bytes.is_some() && (counts || around) => {
                wrong("--limit-bytes is for records one after another", "--limit, which counts them")
            }
            _ if around && counts => wrong("counts have no lines around them", NEXT),
            _ if self.file.is_some() && self.follow => {
                wrong("--file is whole at its end, and --follow has none", "send it there with >")
            }
            _ => Ok(()),
        }
    }

    fn colour(&self) -> bool {
        let is_meant = match self.file {
            // A terminal has nothing of it.
            Some(_) => self.color == When::Always,
            None => self.color.now(),
        };
        is_meant && !self.no_color
    }

    fn limit(&self) -> Option<usize> {
        Some(self.limit.unwrap_or(LIMIT)).filter(|limit| *limit > 0)
    }

    fn request(&self, query: &Expr) -> SearchRequest {
        SearchRequest {
            query: query.to_string(),
            since: self.since.clone(),
            until: self.until.clone(),
            namespace: self.namespace.clone(),
            within: self.within.clone(),
            ..SearchRequest::default()
        }
    }

    fn printer(&self, query: &Expr) -> Printer {
        let mut printer = Printer::new(self.output, self.timezone.clone(), self.out.clone());
        printer.colour = self.colour();
        printer.namespace = self.namespace.is_none() || self.around.is_wide();
        printer.hits = Hits::of(query);
        printer.template = self.template.clone();
        printer.limit_bytes = self.as_kubectl.limit_bytes;
        printer
    }

    fn exit_code(&self) -> ExitCode {
        self.missing.exit_code(self.strict)
    }

    async fn show(&self, client: &kube::Client, query: &Expr) -> Outcome<ExitCode> {
        let printer = self.printer(query);
        let within = self.within.as_deref();
        let groups = || Groups::new(&self.around, &printer, &self.missing, within);
        let mut groups = self.around.is_asked().then(groups);
        // Connected first, searched afterwards: together they miss nothing.
        let mut follower = match self.follow {
            true => Some(Follower::connect(client, &self.request(query)).await.or_asked(NEXT)?),
            false => None,
        };
        let mut pages = Box::pin(self.pages(client, query, self.limit())).await?;
        // While following, an array would have no end.
        let array = self.output == Format::Json && !self.follow;
        printer.between(if array { "[" } else { "" })?;
        let mut count = 0;
        while let Some(records) = pages.next(NEXT).await? {
            if let Some(groups) = &mut groups {
                groups.print(client, &records).await?;
            } else if array {
                let lines: Vec<_> = records.iter().map(render::json).collect();
                let gap = if count > 0 && !lines.is_empty() { ",\n" } else { "" };
                printer.between(&format!("{gap}{}", lines.join(",\n")))?;
            } else {
                records.iter().try_for_each(|record| printer.print(record, false))?;
            }
            if printer.is_full() {
                return Ok(self.ended(&printer));
            }
            count += records.len();
            if let Some(follower) = &mut follower {
                follower.had(records.into_iter().map(|record| record.id));
            }
        }
        if array {
            printer.between("]\n")?;
        }
        match follower {
            Some(follower) => self.go_on(follower, &printer).await,
            None => {
                self.say_none(count);
                Ok(self.exit_code())
            }
        }
    }

    /// New records until the user has enough, or may not read them any more.
    async fn go_on(&self, mut follower: Follower, printer: &Printer) -> Outcome<ExitCode> {
        loop {
            match follower.next().await.or_asked("tiphys status")? {
                Event::Record(record) => printer.print(&record, false)?,
                Event::Dropped { dropped, node } => {
                    output::warning(&format!(
                        "{dropped} records of {node} were passed over: more than can be caught up with"
                    ));
                }
                Event::Partial(said) => output::warning(&format!("{}: {}", said.node, said.error)),
                Event::Broken(cause) => {
                    output::warning(&format!("the stream of records broke off ({cause}) and is made again"));
                }
                Event::Ended(why) => return Err(Failure::new(why, "kubectl auth can-i get pods/log")),
            }
            if printer.is_full() {
                return Ok(self.ended(printer));
            }
        }
    }

    /// The output is as long as was asked for.
    fn ended(&self, printer: &Printer) -> ExitCode {
        let most = printer.limit_bytes.unwrap_or_default();
        output::warning(&format!("there is more: the output ends here with --limit-bytes {most}"));
        self.exit_code()
    }

    /// An empty screen leaves people in doubt.
    fn say_none(&self, count: usize) {
        if count == 0 && self.output == Format::Text && self.tail != Some(Tail::Last(0)) {
            let within = self.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
            output::line(&format!("no record matches{within}"));
        }
    }

    async fn export(&self, client: &kube::Client, query: &Expr) -> Outcome<ExitCode> {
        let mut export = file::Export::open(self.file.as_deref())?;
        let limit = self.limit.filter(|limit| *limit > 0);
        let mut pages = Box::pin(self.pages(client, query, limit)).await?;
        while let Some(records) = pages.next(NEXT).await? {
            export.add(&records)?;
        }
        let records = export.finish(&self.missing.notes())?;
        if let Some(path) = &self.file {
            output::line(&format!("{records} records are in {}", path.display()));
        }
        Ok(self.exit_code())
    }
}

/// Where a range begins whose end is the next such clock. Whoever says `7d` and a clock means today's.
fn begin_for_clocks(since: &str, now: i64) -> Option<i64> {
    const DAY: i64 = 24 * 3_600_000_000_000;
    let begin = time::resolve(since, now, "since").ok()?;
    (time::parse(since).is_some() || now - begin <= DAY).then_some(begin)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command as Of};

    pub(super) fn parsed(arguments: &[&str]) -> Box<Logs> {
        let words = ["tiphys", "logs"].into_iter().chain(arguments.iter().copied());
        match Cli::try_parse_from(words).expect("a command").command {
            Of::Logs(logs) => logs,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_may_be_several_words() {
        assert_eq!(parsed(&["ns:shop", "--limit", "2", "status:>=500"]).words, ["ns:shop", "status:>=500"]);
        assert!(parsed(&["--fields"]).words.is_empty());
        let direct = parsed(&["--collectors", "error"]);
        assert_eq!(direct.collectors, Some("tiphys-system".parse().expect("a namespace")));
        assert_eq!(direct.words, ["error"]);
        assert_eq!(parsed(&["--collectors=a/b"]).collectors, Some("a/b".parse().expect("a DaemonSet")));
        let delete = parsed(&["delete", "-n", "shop"]);
        assert!(matches!(delete.command, Some(Command::Delete(_))) && delete.words.is_empty());
    }

    #[test]
    fn spans_of_days_end_at_todays_clock() {
        let now = time::parse("2026-07-10T12:00:00Z").expect("a time");
        let day = 24 * 3_600_000_000_000;
        assert_eq!(begin_for_clocks("7d", now), None);
        assert_eq!(begin_for_clocks("24h", now), Some(now - day));
        assert_eq!(begin_for_clocks("2026-07-01T00:00:00Z", now), time::parse("2026-07-01T00:00:00Z"));
        assert_eq!(begin_for_clocks("never", now), None);
    }

    #[test]
    fn a_clock_that_is_yet_to_come_ends_a_range_of_today() {
        let mut logs = parsed(&["--since", "00:00", "--until", "23:59:59.999999999"]);
        logs.settle_times();
        let at = |text: &Option<String>| text.as_deref().and_then(time::parse).expect("a time");
        assert!(at(&logs.since) < at(&logs.until), "{:?} {:?}", logs.since, logs.until);
        // One that was before the begin is the next.
        let mut logs = parsed(&["--since", "00:00", "--until", "00:00"]);
        logs.settle_times();
        assert_eq!(at(&logs.until) - at(&logs.since), 86_400 * time::SECOND);
    }
}
