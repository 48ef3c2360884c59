//! Rows for people: a table with the number of its rows below, cells with `|` between them, or each
//! value on a line of its own. Pure.

use std::sync::Arc;

use datafusion::arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::reader::StreamReader,
    util::{
        display::{ArrayFormatter, FormatOptions},
        pretty::pretty_format_batches_with_schema,
    },
};

use super::{
    expanded,
    settings::{Expanded, Settings},
};

/// An answer that is whole.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Rows {
    /// # Errors
    /// Bytes that are no whole stream of Arrow's.
    pub fn read(bytes: &[u8]) -> Result<Self, ArrowError> {
        let reader = StreamReader::try_new(bytes, None)?;
        let schema = reader.schema();
        Ok(Self { schema, batches: reader.collect::<Result<_, _>>()? })
    }

    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// As the settings say, with a line feed at the end; `columns` is how wide the terminal is.
    ///
    /// # Errors
    /// A value that can't be shown.
    pub fn shown(&self, settings: &Settings, columns: Option<usize>) -> Result<String, ArrowError> {
        if settings.expanded == Expanded::On {
            return self.records(settings);
        }
        let mut text = if settings.aligned { self.aligned(settings)? } else { self.unaligned(settings)? };
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        if settings.expanded == Expanded::Auto && columns.is_some_and(|columns| widest > columns) {
            return self.records(settings);
        }
        if settings.footer && !settings.tuples_only {
            text.push_str(&match self.count() {
                1 => "(1 row)\n".to_owned(),
                count => format!("({count} rows)\n"),
            });
        }
        Ok(text)
    }

    fn names(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    fn records(&self, settings: &Settings) -> Result<String, ArrowError> {
        Ok(expanded::shown(&self.names(), &self.cells()?, settings.tuples_only))
    }

    fn aligned(&self, settings: &Settings) -> Result<String, ArrowError> {
        let text = pretty_format_batches_with_schema(Arc::clone(&self.schema), &self.batches)?.to_string();
        if !settings.tuples_only {
            return Ok(format!("{text}\n"));
        }
        // A border begins with +, and a row with |: the rows stand between the second and the last.
        let mut borders = 0;
        let rows = text.lines().filter(|line| {
            let border = line.starts_with('+');
            borders += usize::from(border);
            !border && borders >= 2
        });
        Ok(rows.map(|row| format!("{row}\n")).collect())
    }

    fn unaligned(&self, settings: &Settings) -> Result<String, ArrowError> {
        let mut lines = Vec::new();
        if !settings.tuples_only {
            lines.push(self.names().join("|"));
        }
        lines.extend(self.cells()?.into_iter().map(|row| row.join("|")));
        Ok(lines.into_iter().map(|line| line + "\n").collect())
    }

    /// The texts of all values, row by row.
    fn cells(&self) -> Result<Vec<Vec<String>>, ArrowError> {
        let options = FormatOptions::default().with_display_error(true);
        let mut rows = Vec::with_capacity(self.count());
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<Result<_, _>>()?;
            rows.extend(
                (0..batch.num_rows()).map(|row| {
                    columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()
                }),
            );
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{
        array::{ArrayRef, Float64Array, StringArray},
        ipc::writer::StreamWriter,
    };

    use super::*;
    use crate::cli::sql::Format;

    fn rows(count: usize) -> Rows {
        let names = StringArray::from(vec![Some("a\nb"), None]);
        let values = Float64Array::from(vec![f64::NAN, 1.5]);
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(names) as ArrayRef),
            ("value", Arc::new(values) as ArrayRef),
        ])
        .expect("a batch");
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
        if count > 0 {
            writer.write(&batch.slice(0, count)).expect("written");
        }
        writer.finish().expect("finished");
        Rows::read(writer.get_ref()).expect("rows")
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::new(Format::Table);
        change(&mut settings);
        settings
    }

    #[test]
    fn rows_are_counted_below_them() {
        let shown = |count| rows(count).shown(&with(|_| {}), None).expect("shown");
        assert_eq!(
            shown(2),
            "+------+-------+\n| name | value |\n+------+-------+\n| a    | NaN   |\n| b    |       |\n\
             |      | 1.5   |\n+------+-------+\n(2 rows)\n"
        );
        assert!(shown(1).ends_with("+\n(1 row)\n"));
        assert!(
            shown(0).starts_with("+") && shown(0).contains("| name |") && shown(0).ends_with("\n(0 rows)\n")
        );
    }

    #[test]
    fn settings_say_what_a_table_has() {
        let table = [
            (with(|settings| settings.aligned = false), None, "name|value\na\nb|NaN\n|1.5\n(2 rows)\n"),
            (
                with(|settings| (settings.aligned, settings.tuples_only) = (false, true)),
                None,
                "a\nb|NaN\n|1.5\n",
            ),
            (
                with(|settings| settings.tuples_only = true),
                None,
                "| a    | NaN   |\n| b    |       |\n|      | 1.5   |\n",
            ),
            (
                with(|settings| (settings.aligned, settings.footer) = (false, false)),
                None,
                "name|value\na\nb|NaN\n|1.5\n",
            ),
            (
                with(|settings| settings.expanded = Expanded::Auto),
                Some(15),
                "-[ RECORD 1 ]-----\nname  | a\n      | b\nvalue | NaN\n-[ RECORD 2 ]-----\nname  | \nvalue | 1.5\n",
            ),
        ];
        for (settings, columns, expected) in table {
            assert_eq!(rows(2).shown(&settings, columns).expect("shown"), expected, "{settings:?}");
        }
        let auto = with(|settings| settings.expanded = Expanded::Auto);
        assert!(rows(2).shown(&auto, Some(16)).expect("shown").ends_with("(2 rows)\n"));
    }

    #[test]
    fn what_broke_off_is_no_answer() {
        assert!(Rows::read(b"").is_err());
    }
}
