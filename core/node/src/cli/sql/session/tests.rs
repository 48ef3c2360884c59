//! Scripts that are carried out on a real API server: their answers in a file, their first mistake
//! with its line.

use std::fs;

use super::*;
use crate::cli::sql::test_world::World;

impl World {
    /// Carries out a script in a format; what its file has, if it came to be, and the outcome.
    async fn script(
        &self,
        format: Format,
        text: &str,
        name: Option<&str>,
    ) -> (Option<String>, Outcome<Flow>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answer");
        let mut session = Session::new(self.client.clone(), format, Sink::whole(&path).expect("opened"));
        let outcome = session.script(text, name).await;
        if outcome.is_ok() {
            session.finish().expect("finished");
        }
        (fs::read_to_string(path).ok(), outcome)
    }

    async fn told(&self, format: Format, text: &str) -> String {
        let (file, outcome) = self.script(format, text, None).await;
        if let Err(error) = outcome {
            panic!("{text}: {}", error.message());
        }
        file.expect("a file")
    }
}

#[tokio::test]
async fn a_script_is_carried_out_in_its_order() {
    let world = World::start().await;
    let table = [
        ("select 1 as a;\n-- a comment;\nselect ';' as b", "a\n1\nb\n;\n"),
        ("select 1 as a \\g\n\\g", "a\n1\na\n1\n"),
        ("select 1 as a;\n\\q\nselect 2 as a;", "a\n1\n"),
        ("select 1 as a \\r\nselect 2 as b;", "b\n2\n"),
        ("\\pset format aligned\n\\t\nselect 1 as a;", "| 1 |\n"),
        ("\\a\nselect 1 as a \\gx", "-[ RECORD 1 ]-\n"),
        ("\\pset format unaligned\nselect 1 as a \\watch 0.1 c=2", "a\n1\n(1 row)\na\n1\n(1 row)\n"),
        ("\\pset format unaligned\n\\l", "name\ntiphys\n(1 row)\n"),
    ];
    for (text, expected) in table {
        let told = world.told(Format::Csv, text).await;
        let told = if text.contains("gx") { told.split_inclusive('\n').take(1).collect() } else { told };
        assert_eq!(told, expected, "{text}");
    }
    for (text, names) in [("\\dt dec*", "public|decisions"), ("\\d decisions", "desired_replicas|integer")] {
        let told = world.told(Format::Csv, &format!("\\pset format unaligned\n{text}")).await;
        assert!(told.lines().any(|line| line == names), "{text}: {told}");
    }
    let described = world.told(Format::Csv, "\\pset format unaligned\n\\d+ decisions").await;
    assert!(described.starts_with("column|type|description\n"), "{described}");
    world.end().await;
}

#[tokio::test]
async fn the_first_mistake_ends_a_script_and_has_its_line() {
    let world = World::start().await;
    let table = [
        ("select 1;\n\nselec 2;\nselect 3;", Some("a.sql"), "a.sql:3: "),
        ("selec 2", Some("stdin"), "stdin:1: "),
        ("select 1; selec 2", None, "line 1: "),
        ("select 1;\n\\z", None, "line 2: there is no command \\z: "),
        ("\\e", None, "\\e is for the prompt"),
        ("\\d zebra", None, "there is no table zebra"),
        ("\\i /nowhere/a.sql", None, "/nowhere/a.sql can't be read: "),
        ("\\g", None, "there is no statement yet"),
    ];
    for (text, name, expected) in table {
        let (file, outcome) = world.script(Format::Table, text, name).await;
        let error = outcome.expect_err(text);
        assert!(error.message().starts_with(expected), "{text}: {}", error.message());
        assert_eq!((error.exit_code(), file), (1, None), "{text}");
    }
    let (_, outcome) = world.script(Format::Parquet, "select 1 as a; select 2 as a", None).await;
    let error = outcome.expect_err("two answers");
    assert!(error.message().starts_with("line 1: a Parquet file is one answer"), "{}", error.message());
    world.end().await;
}

#[tokio::test]
async fn answers_go_into_files_of_their_own() {
    let world = World::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let text = |name: &str| fs::read_to_string(at(name)).expect("a file");
    let (inner, outer) = (at("inner.sql"), at("outer.sql"));
    fs::write(at("o"), "what was there before\n").expect("written");
    fs::write(&inner, "select 3 as c;\n\\q\nselect 4 as d;").expect("written");
    fs::write(&outer, format!("\\i {outer}\n")).expect("written");
    let script = format!(
        "select 1 as a;\n\\o {}\nselect 2 as b;\n\\i {inner}\n\\g {}\n\\o\n\
         \\copy (select 5 as e, ';' as f) to {}\n\\copy (select 5 as e) to {} csv header\n\
         \\copy (select 5 as e) to {}\n",
        at("o"),
        at("g"),
        at("bare.csv"),
        at("full.csv"),
        at("p.parquet"),
    );
    assert_eq!(world.told(Format::Csv, &script).await, "a\n1\n");
    assert_eq!((text("o"), text("g")), ("b\n2\nc\n3\n".to_owned(), "c\n3\n".to_owned()));
    assert_eq!((text("bare.csv"), text("full.csv")), ("5,;\n".to_owned(), "e\n5\n".to_owned()));
    let parquet = fs::read(Path::new(&at("p.parquet"))).expect("a file");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    // A file that reads itself ends.
    let (_, outcome) = world.script(Format::Csv, &format!("\\i {outer}"), None).await;
    let error = outcome.expect_err("no end");
    assert!(error.message().ends_with("is the file of a file of a file"), "{}", error.message());
    world.end().await;
}
