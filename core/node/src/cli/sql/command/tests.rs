//! Commands as they are typed, what they mean, and what is said of those that there aren't.

use super::*;
use crate::cli::sql::{Format, settings::Expanded};

fn describe(table: &str, described: bool) -> Command {
    Command::Describe { table: table.to_owned(), described }
}

fn go(file: Option<&str>, expanded: bool) -> Command {
    Command::Go { file: file.map(str::to_owned), expanded }
}

fn watched(millis: u64, times: Option<u64>) -> Command {
    Command::Watch(Watch { every: Duration::from_millis(millis), times })
}

#[test]
fn commands_are_those_of_psql() {
    let tables = |pattern: &str| Command::Tables(pattern.to_owned());
    let table = [
        (r"\q", Command::Quit),
        (r"\?", Command::Help),
        (r"\h select", Command::SqlHelp("select".into())),
        (r"\l", Command::Databases),
        (r"\l+", Command::Databases),
        (r"\dn", Command::Schemas(String::new())),
        (r"\d", tables("")),
        (r"\d obj*", tables("obj*")),
        (r"\dt+", tables("")),
        (r"\dtS po?", tables("po?")),
        (r"\d pod;", describe("pod", false)),
        (r"\d+ objects.pods", describe("objects.pods", true)),
        (r"\df", Command::Functions(String::new())),
        (r"\df rate", Command::Functions("rate".into())),
        (r"\x", Command::Set(Setting::Expanded(None))),
        (r"\x auto", Command::Set(Setting::Expanded(Some(Expanded::Auto)))),
        (r"\a", Command::Set(Setting::Aligned)),
        (r"\t on", Command::Set(Setting::TuplesOnly(Some(true)))),
        (r"\timing on", Command::Set(Setting::Timing(Some(true)))),
        (r"\pset", Command::Settings),
        (r"\pset format csv", Command::Set(Setting::Form { format: Format::Csv, aligned: true })),
        (r"\o a b.csv", Command::Output(Some("a b.csv".into()))),
        (r"\o 'a b.csv'", Command::Output(Some("a b.csv".into()))),
        (r"\o", Command::Output(None)),
        (r"\i script.sql", Command::Input("script.sql".into())),
        (r"\e", Command::Edit),
        (r"\g", go(None, false)),
        (r"\g a.txt", go(Some("a.txt"), false)),
        (r"\gx", go(None, true)),
        (r"\r", Command::Reset),
        (r"\watch", watched(2_000, None)),
        (r"\watch 0.5", watched(500, None)),
        (r"\watch i=3 c=2", watched(3_000, Some(2))),
        (r"\conninfo", Command::Connection),
    ];
    for (line, expected) in table {
        assert_eq!(Command::parse(line), Some(expected), "{line}");
    }
    assert!(matches!(Command::parse(r"\copy pod to p.csv"), Some(Command::Copy(_))));
    assert_eq!(Command::parse("select 1"), None);
}

#[test]
fn what_there_is_not_is_said() {
    let table = [
        (r"\z", r"there is no command \z: \? lists them"),
        (r"\z+", r"there is no command \z+: "),
        (r"\f csv", r"\pset format"),
        (r"\x maybe", "neither on nor off, nor auto"),
        (r"\o |less", r"\o runs no program"),
        (r"\g |less", r"\g runs no program"),
        (r"\i", r"\i takes the name of a file"),
        (r"\e a.sql", r"\i reads one"),
        (r"\watch 0", r#""0" is neither"#),
        (r"\watch -1", r#""-1" is neither"#),
        (r"\watch nan", r#""nan" is neither"#),
        (r"\watch c=0", r#""c=0" is neither"#),
        (r"\copy pod from p.csv", "read-only"),
        (r"\pset border 2", r"\pset has no border"),
    ];
    for (line, part) in table {
        match Command::parse(line) {
            Some(Command::Wrong(said)) => assert!(said.contains(part), "{line}: {said}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn commands_become_statements() {
    let table = [
        (r"\d o'k", "'o''k'"),
        (r"\d public.pod", "table_name = 'pod'"),
        (r"\d objects.pods", "table_name = 'objects.*'"),
        (r"\d+ pod", "type, description from"),
        (r"\d pod", "column, type from"),
        (r"\df rate", "strpos(function_name, 'rate') > 0"),
        (r"\df *rate?", "function_name ~ '^.*rate.$'"),
        (r"\dt objects.a-*", "(table_schema || '.' || table_name) ~ '^objects[.]a[-].*$'"),
        (r"\dt p*'", "table_name ~ '^p.*.$'"),
        (r"\l", "table_catalog as name"),
        (r"\dn obj", "strpos(table_schema, 'obj') > 0"),
    ];
    for (line, part) in table {
        let statement = Command::parse(line).and_then(|command| command.statement()).expect(line);
        assert!(statement.contains(part), "{line}: {statement}");
    }
    let missing = Command::parse(r"\d zebra").and_then(|command| command.nothing());
    assert_eq!(missing.as_deref(), Some(r"there is no table zebra: \dt lists them"));
}
