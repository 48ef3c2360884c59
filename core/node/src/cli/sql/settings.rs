//! How answers are shown: what `\x`, `\a`, `\t`, `\timing` and `\pset` change, in psql's words. Pure.

use clap::ValueEnum;

use super::Format;

/// Whether each value has a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expanded {
    Off,
    On,
    /// Where the table is wider than the terminal.
    Auto,
}

/// What answers look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub format: Format,
    /// Whether a table has columns of equal width, or cells with `|` between them.
    pub aligned: bool,
    pub expanded: Expanded,
    /// Without a header and the number of rows.
    pub tuples_only: bool,
    /// The number of rows below a table.
    pub footer: bool,
    /// Whether what is longer than the terminal goes through a pager.
    pub pager: bool,
    /// Whether it is told how long a statement took.
    pub timing: bool,
}

/// A change; without a value the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Form { format: Format, aligned: bool },
    Aligned,
    Expanded(Option<Expanded>),
    TuplesOnly(Option<bool>),
    Footer(Option<bool>),
    Pager(Option<bool>),
    Timing(Option<bool>),
}

impl Setting {
    /// The change that `\pset NAME VALUE` means.
    ///
    /// # Errors
    /// The sentence that says what there is in its place.
    pub fn parse(name: &str, value: &str) -> Result<Self, String> {
        Ok(match name {
            "format" => Self::form(value)?,
            "expanded" | "x" => Self::Expanded(expanded(value)?),
            "tuples_only" | "t" => Self::TuplesOnly(switch(value)?),
            "footer" => Self::Footer(switch(value)?),
            "pager" => Self::Pager(switch(value)?),
            _ => {
                return Err(format!("\\pset has no {name}: format, expanded, tuples_only, footer and pager"));
            }
        })
    }

    fn form(value: &str) -> Result<Self, String> {
        let table = |aligned| Self::Form { format: Format::Table, aligned };
        match value {
            "aligned" => Ok(table(true)),
            "unaligned" => Ok(table(false)),
            _ => match Format::from_str(value, true) {
                Ok(format) => Ok(Self::Form { format, aligned: true }),
                Err(_) => Err(format!(
                    "there is no format {value:?}: aligned, unaligned, csv, json, jsonl and parquet"
                )),
            },
        }
    }
}

/// The words that switch something; none is the other way round.
pub fn switch(word: &str) -> Result<Option<bool>, String> {
    match word {
        "" => Ok(None),
        "on" | "true" | "yes" | "1" => Ok(Some(true)),
        "off" | "false" | "no" | "0" => Ok(Some(false)),
        _ => Err(format!("{word:?} is neither on nor off")),
    }
}

/// As [`switch`], with `auto` beside.
pub fn expanded(word: &str) -> Result<Option<Expanded>, String> {
    if word == "auto" {
        return Ok(Some(Expanded::Auto));
    }
    let on = switch(word).map_err(|error| format!("{error}, nor auto"))?;
    Ok(on.map(|on| if on { Expanded::On } else { Expanded::Off }))
}

impl Settings {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            aligned: true,
            expanded: Expanded::Off,
            tuples_only: false,
            footer: true,
            pager: true,
            timing: false,
        }
    }

    /// Changes it, and gives the sentence that says how it is now.
    pub fn set(&mut self, setting: Setting) -> String {
        match setting {
            Setting::Form { format, aligned } => {
                (self.format, self.aligned) = (format, aligned);
                self.of_format()
            }
            Setting::Aligned => {
                let aligned = !(self.aligned && self.format == Format::Table);
                self.set(Setting::Form { format: Format::Table, aligned })
            }
            Setting::Expanded(value) => {
                let other = if self.expanded == Expanded::Off { Expanded::On } else { Expanded::Off };
                self.expanded = value.unwrap_or(other);
                self.of_expanded()
            }
            Setting::TuplesOnly(on) => {
                self.tuples_only = on.unwrap_or(!self.tuples_only);
                told("Tuples only", self.tuples_only)
            }
            Setting::Footer(on) => {
                self.footer = on.unwrap_or(!self.footer);
                told("Footer", self.footer)
            }
            Setting::Pager(on) => {
                self.pager = on.unwrap_or(!self.pager);
                told("Pager", self.pager)
            }
            Setting::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                told("Timing", self.timing)
            }
        }
    }

    /// All of them, a line each.
    pub fn all(&self) -> String {
        [
            self.of_format(),
            self.of_expanded(),
            told("Tuples only", self.tuples_only),
            told("Footer", self.footer),
            told("Pager", self.pager),
            told("Timing", self.timing),
        ]
        .join("\n")
    }

    fn of_format(&self) -> String {
        let name = match (self.format, self.aligned) {
            (Format::Table, true) => "aligned",
            (Format::Table, false) => "unaligned",
            (other, _) => other.name(),
        };
        format!("Output format is {name}.")
    }

    fn of_expanded(&self) -> String {
        match self.expanded {
            Expanded::Auto => "Expanded display is used automatically.".to_owned(),
            other => told("Expanded display", other == Expanded::On),
        }
    }
}

fn told(what: &str, on: bool) -> String {
    format!("{what} is {}.", if on { "on" } else { "off" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_and_say_so() {
        let mut settings = Settings::new(Format::Table);
        let table = [
            (Setting::Expanded(None), "Expanded display is on."),
            (Setting::Expanded(Some(Expanded::Auto)), "Expanded display is used automatically."),
            (Setting::Expanded(None), "Expanded display is off."),
            (Setting::Aligned, "Output format is unaligned."),
            (Setting::Aligned, "Output format is aligned."),
            (Setting::Form { format: Format::Csv, aligned: true }, "Output format is csv."),
            (Setting::Aligned, "Output format is aligned."),
            (Setting::TuplesOnly(None), "Tuples only is on."),
            (Setting::Footer(Some(true)), "Footer is on."),
            (Setting::Pager(Some(false)), "Pager is off."),
            (Setting::Timing(None), "Timing is on."),
        ];
        for (setting, expected) in table {
            assert_eq!(settings.set(setting), expected, "{setting:?}");
        }
        let all = settings.all();
        assert!(all.contains("Pager is off.") && all.lines().count() == 6, "{all}");
    }

    #[test]
    fn what_pset_has_not_is_said() {
        let table = [
            ("format", "unaligned", Ok(Setting::Form { format: Format::Table, aligned: false })),
            ("format", "CSV", Ok(Setting::Form { format: Format::Csv, aligned: true })),
            ("expanded", "auto", Ok(Setting::Expanded(Some(Expanded::Auto)))),
            ("pager", "off", Ok(Setting::Pager(Some(false)))),
            ("format", "html", Err("there is no format \"html\"")),
            ("pager", "maybe", Err("neither on nor off")),
            ("border", "2", Err("\\pset has no border")),
        ];
        for (name, value, expected) in table {
            match (Setting::parse(name, value), expected) {
                (Err(said), Err(part)) => assert!(said.contains(part), "{name} {value}: {said}"),
                (setting, expected) => {
                    assert_eq!(setting, expected.map_err(str::to_owned), "{name} {value}");
                }
            }
        }
    }
}
