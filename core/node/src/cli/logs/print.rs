//! Records on stdout or in a file, in the form that was asked for.
//!
//! On a terminal nothing foreign is sent as it is; `raw` gives exact bytes to files
//! and pipes only.

use std::{borrow::Cow, cell::Cell, io::IsTerminal};

use tiphys_logging::{
    query::Hits,
    render::{self, Sgr, Style},
    time,
    wire::LogRecord,
};

use super::{out::Out, template::Template, zone::Zone};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for people
    Text,
    /// What the containers wrote, nothing added
    Raw,
    /// One JSON object a line
    Jsonl,
    /// One JSON array with all that is known; with --follow one object after another
    Json,
    /// A Parquet file, for --file or >
    Parquet,
}

impl Format {
    /// Whether records are objects.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl When {
    pub fn now(self) -> bool {
        match self {
            Self::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How records are written.
pub struct Printer {
    pub format: Format,
    pub colour: bool,
    pub namespace: bool,
    pub hits: Option<Hits>,
    /// In the place of the text's own form.
    pub template: Option<Template>,
    /// The zone of times that are for people; objects have theirs in UTC.
    pub zone: Zone,
    /// The most bytes that are written; what would go beyond them isn't, nor what follows.
    pub limit_bytes: Option<u64>,
    out: Out,
    written: Cell<u64>,
    /// The day whose records have no date; empty: all have theirs.
    today: String,
    terminal: bool,
}

impl Printer {
    /// Records in this form; what else there is to say of it is in the fields.
    pub fn new(format: Format, zone: Zone, out: Out) -> Self {
        // Who reads a file doesn't know of which day it is.
        let today = match out.is_file() {
            true => String::new(),
            false => zone.shown(&time::format(time::now())).chars().take(10).collect(),
        };
        let terminal = out.is_terminal();
        Self {
            format,
            colour: false,
            namespace: false,
            hits: None,
            template: None,
            zone,
            limit_bytes: None,
            out,
            written: Cell::new(0),
            today,
            terminal,
        }
    }

    /// Writes a record and its line end. `aside`: it stands beside a hit.
    ///
    /// # Errors
    /// A closed stdout, a full disk.
    pub fn print(&self, record: &LogRecord, aside: bool) -> std::io::Result<()> {
        let mut line = self.line(record, aside);
        line.push(b'\n');
        if self.has_room_for(line.len()) { self.out.write(&line) } else { Ok(()) }
    }

    /// Writes what stands between records.
    ///
    /// # Errors
    /// A closed stdout, a full disk.
    pub fn between(&self, text: &str) -> std::io::Result<()> {
        self.out.write(text.as_bytes())
    }

    /// Whether `--limit-bytes` has ended the output.
    pub fn is_full(&self) -> bool {
        self.limit_bytes.is_some_and(|most| self.written.get() > most)
    }

    /// Counts so many bytes in. Once there was no room there is none for less, either: what is shown
    /// has no gaps.
    fn has_room_for(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.written.set(self.written.get().saturating_add(bytes));
        !self.is_full()
    }

    fn line(&self, record: &LogRecord, aside: bool) -> Vec<u8> {
        let sgr = if self.colour { Sgr::Kept } else { Sgr::Dropped };
        let body = || match self.terminal {
            true => render::shown_body(record, sgr).into_bytes(),
            false => render::raw_body(record),
        };
        let local = (!self.zone.is_utc()).then(|| self.zone.shown(&record.time));
        match self.format {
            Format::Text => {
                if let Some(template) = &self.template {
                    let time = local.map_or(Cow::Borrowed(record.time.as_str()), Cow::Owned);
                    return template.line(record, &time, &body());
                }
                let style = Style {
                    colour: self.colour,
                    namespace: self.namespace,
                    time: true,
                    local: local.as_deref(),
                    today: &self.today,
                    hits: self.hits.as_ref(),
                    aside,
                    sgr,
                };
                render::line(record, style).into_bytes()
            }
            Format::Raw => body(),
            Format::Json => render::json(record).into_bytes(),
            Format::Jsonl | Format::Parquet => render::jsonl(record).into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_and_what_is_shown_has_no_gaps() {
        let mut printer = Printer::new(Format::Text, Zone::default(), Out::default());
        assert!(printer.has_room_for(usize::MAX) && !printer.is_full());
        printer.written.set(0);
        printer.limit_bytes = Some(10);
        let room: Vec<_> = [4, 6, 1, 1].into_iter().map(|bytes| printer.has_room_for(bytes)).collect();
        assert_eq!(room, [true, true, false, false]);
        assert!(printer.is_full());
    }

    #[test]
    fn a_template_takes_the_place_of_the_form() {
        let mut printer = Printer::new(Format::Text, Zone::default(), Out::default());
        let record = LogRecord {
            time: "2026-01-31T12:00:00.000000000Z".into(),
            pod: "web".into(),
            body: "\x1b[31mred".into(),
            ..LogRecord::default()
        };
        printer.template = Some("{time} {pod}: {message}".parse().expect("a template"));
        printer.terminal = true;
        let line = |printer: &Printer| String::from_utf8(printer.line(&record, false)).expect("text");
        assert_eq!(line(&printer), "2026-01-31T12:00:00.000000000Z web: red");
        printer.colour = true;
        assert!(line(&printer).ends_with("web: \x1b[31mred\x1b[0m"));
        printer.terminal = false;
        assert!(line(&printer).ends_with("web: \x1b[31mred"));
    }

    #[test]
    fn a_file_has_the_date_of_records_of_today() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Out::open(&folder.path().join("answer")).expect("a file");
        let printer = |out| Printer::new(Format::Text, Zone::default(), out);
        let (stdout, file) = (printer(Out::default()), printer(file));
        let record =
            LogRecord { time: format!("{}T12:00:00.000000000Z", stdout.today), ..LogRecord::default() };
        let line = |printer: &Printer| String::from_utf8(printer.line(&record, false)).expect("text");
        assert!(line(&stdout).starts_with("12:00:00.000Z "), "{}", line(&stdout));
        assert!(line(&file).starts_with(&format!("{}T12:00:00.000Z ", stdout.today)), "{}", line(&file));
    }
}
