//! What is how frequent among the records that match: values of fields (`--facets level,status`),
//! the names of fields (`--fields`), kinds of lines (`--patterns`). One request each, and its
//! answer as a table for people or as objects for programs.

use std::process::ExitCode;

use tiphys_logging::{
    client,
    query::Expr,
    render,
    wire::{FacetValue, FacetsAnswer, FacetsRequest},
};

use super::{
    Logs, NEXT,
    counts_file::{self, Columns},
    figures::{aligned, cell},
    print::Format,
};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// What the server counts without being asked, in the order of a table.
const OWN: [&str; 5] = ["namespace", "pod", "container", "node", "level"];
/// Values of a field when nobody says how many.
const VALUES: usize = 10;
/// The most that the server gives of anything.
const MOST: usize = 1000;
/// Characters of a value or name in a table.
const WIDTH: usize = 80;

/// The fields whose values are counted.
#[derive(Debug, PartialEq)]
pub struct Facets {
    fields: Vec<String>,
}

impl Facets {
    /// Names with commas between them; without any, those that all records have.
    ///
    /// # Errors
    /// A text that is no such list: mostly a query that stands behind the option.
    pub fn parse(text: Option<&str>) -> Outcome<Self> {
        let Some(text) = text else { return Ok(Self { fields: OWN.map(str::to_owned).into() }) };
        let mut fields: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(Failure::usage(
                    format!("`{text}` is no list of fields such as level,status"),
                    "the query stands before it: tiphys logs 'a query' --facets level,status",
                ));
            }
            if fields.iter().all(|field| field != name) {
                fields.push(name.to_owned());
            }
        }
        Ok(Self { fields })
    }

    /// Those that the server has to be asked for.
    fn asked(&self) -> Vec<String> {
        self.fields.iter().filter(|field| !OWN.contains(&field.as_str())).cloned().collect()
    }

    /// Fields and their values, in the order that was asked for, the most frequent value first.
    fn rows(&self, answer: &FacetsAnswer) -> Vec<(&str, FacetValue)> {
        let mut rows = Vec::new();
        for field in &self.fields {
            let values = answer.facets.get(field).into_iter().flatten();
            rows.extend(values.map(|value| (field.as_str(), value.clone())));
        }
        rows
    }

    /// Those that no record has.
    fn missing(&self, answer: &FacetsAnswer) -> Vec<&str> {
        let has_none = |field: &&String| answer.facets.get(*field).is_none_or(Vec::is_empty);
        self.fields.iter().filter(has_none).map(String::as_str).collect()
    }

    fn table(&self, answer: &FacetsAnswer) -> String {
        let mut table = vec![["FIELD", "VALUE", "COUNT"].map(str::to_owned).to_vec()];
        let row = |(field, value): (&str, FacetValue)| {
            vec![cell(field, WIDTH), cell(&value.value, WIDTH), value.count.to_string()]
        };
        table.extend(self.rows(answer).into_iter().map(row));
        aligned(&table, 2) + &format!("{} records\n", answer.count)
    }
}

/// Names of fields with the number of records that have them.
fn names_table(names: &[FacetValue]) -> String {
    let mut table = vec![["FIELD", "COUNT"].map(str::to_owned).to_vec()];
    table.extend(names.iter().map(|name| vec![cell(&name.value, WIDTH), name.count.to_string()]));
    aligned(&table, 1)
}

impl Logs {
    pub(super) async fn show_facets(
        &self,
        client: &kube::Client,
        query: &Expr,
        facets: &Facets,
    ) -> Outcome<ExitCode> {
        let limit = match self.limit {
            None => VALUES,
            Some(_) => self.limit().unwrap_or(MOST),
        };
        let request = FacetsRequest { fields: facets.asked(), ..self.frequent(query, limit) };
        let answer = client::facets(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        if answer.count > 0 {
            for field in facets.missing(&answer) {
                output::warning(&format!(
                    "no record has `{field}`: --fields names those there are, and a query stands before --facets"
                ));
            }
        }
        let object =
            |(field, value): (&str, FacetValue)| render::facet_json(field, Some(&value.value), value.count);
        let columns = counts_file::of_facets(&facets.rows(&answer));
        let objects: Vec<_> = facets.rows(&answer).into_iter().map(object).collect();
        let text = if objects.is_empty() { String::new() } else { facets.table(&answer) };
        self.show_counts(&objects, &text, columns)?;
        self.say_none(usize::from(answer.count > 0));
        Ok(self.exit_code())
    }

    pub(super) async fn show_fields(&self, client: &kube::Client, query: &Expr) -> Outcome<ExitCode> {
        let limit = self.limit().unwrap_or(MOST);
        let request = FacetsRequest { names: true, ..self.frequent(query, limit) };
        let mut answer = client::facets(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        let names = answer.facets.remove("field").unwrap_or_default();
        let object = |name: &FacetValue| render::facet_json(&name.value, None, name.count);
        let objects: Vec<_> = names.iter().map(object).collect();
        let text = if objects.is_empty() { String::new() } else { names_table(&names) };
        self.show_counts(&objects, &text, counts_file::of_names(&names))?;
        match answer.count {
            0 => self.say_none(0),
            _ if names.is_empty() => output::line("no record that matches has a label or a field"),
            _ => {}
        }
        Ok(self.exit_code())
    }

    /// The most frequent pattern first.
    pub(super) async fn show_patterns(&self, client: &kube::Client, query: &Expr) -> Outcome<ExitCode> {
        let request = FacetsRequest {
            patterns: true,
            // With a begin, there is a time before it to compare with.
            compare: self.since.as_ref().map(|_| "same".to_owned()),
            ..self.frequent(query, self.limit().unwrap_or(MOST))
        };
        let mut answer = client::facets(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        let patterns = answer.facets.remove("pattern").unwrap_or_default();
        let objects: Vec<_> = patterns.iter().map(render::pattern_json).collect();
        let line = |pattern: &FacetValue| format!("{}\n", render::pattern(pattern));
        let text: String = patterns.iter().map(line).collect();
        self.show_counts(&objects, &text, counts_file::of_patterns(&patterns))?;
        self.say_none(patterns.len());
        Ok(self.exit_code())
    }

    /// What is asked of the records that match, without what is to be counted of them.
    fn frequent(&self, query: &Expr, limit: usize) -> FacetsRequest {
        FacetsRequest {
            query: query.to_string(),
            since: self.since.clone(),
            until: self.until.clone(),
            namespace: self.namespace.clone(),
            limit: Some(limit.min(MOST)),
            within: self.within.clone(),
            ..FacetsRequest::default()
        }
    }

    /// Objects as an array or a line each, columns as a file, or the text.
    fn show_counts(&self, objects: &[String], text: &str, columns: Columns) -> Outcome<()> {
        let text = match self.output {
            Format::Parquet => return self.save_counts(columns),
            Format::Json => format!("[{}]\n", objects.join(",\n")),
            Format::Jsonl => objects.iter().map(|object| format!("{object}\n")).collect(),
            _ => text.to_owned(),
        };
        Ok(self.out.write(text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn fields_are_a_list_and_a_query_is_none() {
        let check = |text: Option<&str>, fields: &[&str], asked: &[&str]| {
            let facets = Facets::parse(text).expect("a list");
            assert_eq!(facets.fields, fields, "{text:?}");
            assert_eq!(facets.asked(), asked, "{text:?}");
        };
        check(None, &OWN, &[]);
        check(Some("status"), &["status"], &["status"]);
        check(
            Some("level, http.path,level,@label.tier"),
            &["level", "http.path", "@label.tier"],
            &["http.path", "@label.tier"],
        );
        for wrong in ["", "a,,b", "error timeout", "a b,c"] {
            let error = Facets::parse(Some(wrong)).expect_err(wrong);
            assert!(error.next().contains("stands before"), "{wrong}: {}", error.message());
        }
    }

    fn answer() -> FacetsAnswer {
        let value = |value: &str, count| FacetValue { value: value.into(), count, ..FacetValue::default() };
        let facets = [
            ("level", vec![value("info", 120), value("error", 3)]),
            ("status", vec![value("2\x1b0", 7), value(&"x".repeat(100), 1)]),
            ("none", Vec::new()),
        ];
        FacetsAnswer {
            facets: facets.map(|(field, values)| (field.to_owned(), values)).into(),
            count: 123,
            ..FacetsAnswer::default()
        }
    }

    #[test]
    fn values_stand_in_the_order_that_was_asked_for() {
        let facets = Facets::parse(Some("status,level,none,other")).expect("a list");
        let table = facets.table(&answer());
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let cut = format!("{}…", "x".repeat(WIDTH));
        let expected: [&[&str]; 6] = [
            &["FIELD", "VALUE", "COUNT"],
            &["status", "2\\x1b0", "7"],
            &["status", &cut, "1"],
            &["level", "info", "120"],
            &["level", "error", "3"],
            &["123", "records"],
        ];
        assert_eq!(lines, expected);
        assert_eq!(facets.missing(&answer()), ["none", "other"]);
        let names = [("status", 8), ("took", 12)].map(|(name, count)| FacetValue {
            value: name.into(),
            count,
            ..FacetValue::default()
        });
        assert_eq!(names_table(&names), "FIELD   COUNT\nstatus      8\ntook       12\n");
    }

    #[test]
    fn the_option_stands_with_and_without_fields() {
        let parsed = |arguments: &[&str]| {
            let words = ["tiphys", "logs"].into_iter().chain(arguments.iter().copied());
            match Cli::try_parse_from(words).ok()?.command {
                Command::Logs(logs) => Some((logs.words.join(" "), logs.facets.clone())),
                other => panic!("{other:?}"),
            }
        };
        let check = |arguments: &[&str], query: &str, facets: Option<Option<&str>>| {
            let facets = facets.map(|fields| fields.map(str::to_owned));
            assert_eq!(parsed(arguments), Some((query.to_owned(), facets)), "{arguments:?}");
        };
        check(&["error"], "error", None);
        check(&["error", "--facets"], "error", Some(None));
        check(&["error", "--facets", "status,pod"], "error", Some(Some("status,pod")));
        check(&["--facets", "--since", "1h"], "", Some(None));
        for wrong in
            [["--facets", "a", "--fields"], ["--facets", "a", "-f"], ["--fields", "--stats", "count"]]
        {
            assert_eq!(parsed(&wrong), None, "{wrong:?}");
        }
    }
}
