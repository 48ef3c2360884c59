//! Whether a template's records may have a token with a digit, told by the columns
//! of its variables, without putting a body together.
//!
//! Such a token is made of *runs* of letters and digits. A run with a digit never
//! stands in a template: it is a variable, or a variable with the letters of the
//! template that follow it at once (`12` and `ms`). What is told less surely is a
//! yes, so that a no is certain.

use super::{
    Piece, class,
    join::{Column, Template, range},
    times,
};
use crate::{block::varint::unzigzag, query::required::Letters};

/// The runs of letters and digits of a token that have a digit, in lower case as it is.
pub fn runs(token: &[u8]) -> impl Iterator<Item = &[u8]> {
    let runs = token.split(|byte| !byte.is_ascii_alphanumeric());
    runs.filter(|run| run.iter().any(u8::is_ascii_digit))
}

impl Template<'_> {
    /// Sets `rows` of the records that may have this run, of the template's own records in
    /// order; `time` gives the time of each.
    pub fn mark(&self, run: &[u8], time: &dyn Fn(usize) -> i64, rows: &mut [bool]) {
        let mut columns = self.columns.iter();
        for (at, piece) in self.pieces.iter().enumerate() {
            let Piece::Slot(class) = piece else { continue };
            let Some(column) = columns.next() else { return };
            let (true, Some(behind)) = (is_alone(&self.pieces[..at]), behind(&self.pieces[at + 1..])) else {
                rows.fill(true);
                continue;
            };
            // What follows at once belongs to the variable's last run; times and addresses have others.
            let value = run.len().checked_sub(behind.len()).map(|at| run.split_at(at));
            let last = value.filter(|(_, end)| end.eq_ignore_ascii_case(behind)).map(|(value, _)| value);
            column.mark(*class, last, run, time, rows);
        }
    }
}

impl Template<'_> {
    /// Whether these are JSON objects with numbers that a reader may show in other digits than
    /// they are written in: `1.50` as `1.5`, `5e2` as `500.0`.
    pub fn may_respell(&self) -> bool {
        let is_json = match self.pieces.first() {
            Some(Piece::Literal(text)) => text.trim_ascii_start().first() == Some(&b'{'),
            _ => false,
        };
        let mut columns = self.columns.iter();
        is_json
            && self.pieces.iter().enumerate().any(|(at, piece)| {
                let Piece::Slot(class) = piece else { return false };
                let Some(column) = columns.next() else { return true };
                let before = match at.checked_sub(1).map(|before| &self.pieces[before]) {
                    Some(Piece::Literal(text)) => text.trim_ascii_end().last(),
                    _ => None,
                };
                let is_bare = *class == class::TOKEN && before.is_none_or(|byte| b":[,-".contains(byte));
                let is_whole = matches!(column, Column::Number { prefix: [], widths: None, .. });
                let goes_on = matches!(self.pieces.get(at + 1), Some(Piece::Literal([b'.', ..])));
                is_bare && (goes_on || !is_whole)
            })
    }
}

impl Template<'_> {
    /// Whether a record may have these letters beside what stands there.
    pub fn may_spell(&self, wanted: &Letters) -> bool {
        let whole: Vec<u8> =
            wanted.before.iter().chain(&wanted.letters).chain(&wanted.after).copied().collect();
        let literals = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(*text),
            Piece::Slot(_) => None,
        });
        if literals.clone().any(|text| memchr::memmem::find(text, &whole).is_some()) {
            return true;
        }
        let mut columns = self.columns.iter();
        self.pieces.iter().enumerate().any(|(at, piece)| {
            let Piece::Slot(class) = piece else { return false };
            let Some(column) = columns.next() else { return true };
            // Letters may begin in the variable and end behind it, or the other way round.
            let runs_on = behind(&self.pieces[at + 1..]).is_none_or(|behind| !behind.is_empty());
            runs_on && column.may_end_in_letter()
                || !is_alone(&self.pieces[..at]) && column.may_begin_with_letter()
                || column.may_spell(*class, wanted)
        })
    }
}

impl Column<'_> {
    fn may_end_in_letter(&self) -> bool {
        !matches!(self, Self::Number { .. } | Self::Time { .. } | Self::Address(_))
    }

    fn may_begin_with_letter(&self) -> bool {
        !matches!(self, Self::Number { prefix: [], .. } | Self::Time { .. } | Self::Address(_))
    }

    /// Whether a variable may have these letters: at its end if something else follows
    /// them, at its begin if something stands before.
    fn may_spell(&self, class: u8, wanted: &Letters) -> bool {
        let letters = &wanted.letters[..];
        let fits = |text: &[u8]| match (wanted.before, wanted.after) {
            // A variable has a digit: it is not these letters alone.
            (Some(_), Some(_)) => false,
            (Some(_), None) => text.starts_with(letters),
            (None, Some(_)) => text.ends_with(letters),
            (None, None) => memchr::memmem::find(text, letters).is_some(),
        };
        match self {
            _ if class == class::WHOLE => true,
            Self::Text { ends, text } | Self::Codes { ends, text, .. } => {
                (0..ends.len()).any(|at| range(ends, at).is_none_or(|place| fits(&text[place])))
            }
            // Letters, then digits only.
            Self::Number { prefix, .. } => wanted.after.is_none() && fits(prefix),
            Self::Hex { prefix, .. } => letters.iter().all(u8::is_ascii_hexdigit) || !prefix.is_empty(),
            Self::Uuid { .. } => letters.iter().all(u8::is_ascii_hexdigit),
            Self::Address(_) => false,
            // A month; the `T` is one letter.
            Self::Time { .. } => letters.len() <= 3,
        }
    }
}

/// No letter or digit stands before the slot.
fn is_alone(before: &[Piece<'_>]) -> bool {
    match before.last() {
        None => true,
        Some(Piece::Literal(text)) => text.last().is_none_or(|byte| !byte.is_ascii_alphanumeric()),
        Some(Piece::Slot(_)) => false,
    }
}

/// The letters that stand behind a slot at once; `None` when it can't be said where they end.
fn behind<'a>(after: &[Piece<'a>]) -> Option<&'a [u8]> {
    let text = match after.first() {
        None => return Some(&[]),
        Some(Piece::Slot(_)) => return None,
        Some(Piece::Literal(text)) => text,
    };
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    // Letters up to the next slot may go on there.
    (letters < text.len() || after.len() == 1).then(|| &text[..letters])
}

impl Column<'_> {
    /// Sets the rows whose variable may be or end in the value `last`, or have `inner` as one of more runs.
    fn mark(
        &self,
        class: u8,
        last: Option<&[u8]>,
        inner: &[u8],
        time: &dyn Fn(usize) -> i64,
        rows: &mut [bool],
    ) {
        if is_part(class, inner) {
            return rows.fill(true);
        }
        if let Self::Address(addresses) = self {
            return mark_octets(addresses, [Some(inner), last], rows);
        }
        let Some(value) = last else { return };
        match self {
            Self::Text { ends, text } => set(rows, |at| same_text(ends, text, at, value)),
            Self::Codes { ends, text, codes } => {
                let is_it: Vec<bool> =
                    (0..ends.len()).map(|code| same_text(ends, text, code, value)).collect();
                if is_it.contains(&true) {
                    set(rows, |at| is_it.get(codes[at] as usize).copied().unwrap_or(true));
                }
            }
            Self::Number { prefix, numbers, widths } => {
                let Some((number, width)) = decimal(prefix, value) else { return };
                let canonical = value.len() == prefix.len() + width_of(number);
                match widths {
                    None if !canonical => {}
                    None => set(rows, |at| numbers[at] == number),
                    Some(widths) => {
                        set(rows, |at| {
                            numbers[at] == number && widths[at].max(width_of(number) as u64) == width as u64
                        });
                    }
                }
            }
            Self::Hex { prefix, ends, digits, .. } => {
                let Some(rest) = without(prefix, value) else { return };
                let Some(wanted) = rest.iter().map(|digit| hex(*digit)).collect::<Option<Vec<u8>>>() else {
                    return;
                };
                let half = |at: usize| digits[at / 2] >> (if at.is_multiple_of(2) { 4 } else { 0 }) & 15;
                set(rows, |at| {
                    range(ends, at).is_none_or(|place| {
                        place.len() == wanted.len()
                            && place.zip(&wanted).all(|(at, wanted)| half(at) == *wanted)
                    })
                });
            }
            Self::Time { class, unit, distances } => {
                let digits = usize::from(class & 0x0f);
                if let Some((number, width)) = decimal(b"", value)
                    && width == digits
                    && let Some(scale) = times::unit(*class).map(|unit| 1_000_000_000 / unit)
                {
                    set(rows, |at| {
                        let units = unzigzag(distances[at]).wrapping_add(time(at).div_euclid(*unit));
                        units.rem_euclid(scale) as u64 == number
                    });
                }
            }
            Self::Uuid { .. } | Self::Address(_) => {}
        }
    }
}

/// Whether a run is such as variables of this class are made of, and nothing more is looked at.
fn is_part(class: u8, run: &[u8]) -> bool {
    match class {
        class::WHOLE => true,
        class::TOKEN | class::ADDRESS => false,
        class::UUID | class::UUID_UPPER => {
            matches!(run.len(), 4 | 8 | 12) && run.iter().all(u8::is_ascii_hexdigit)
        }
        // Years, days, minutes; day and hour with a `T` between them; seconds with what follows them.
        class::CLF_TIME => run.len() <= 4 || !run.iter().all(u8::is_ascii_digit),
        _ => {
            let digits = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
            matches!(digits, 2 | 4) && (digits == run.len() || class & 0x0f == 0 || run.get(2) == Some(&b't'))
        }
    }
}

fn mark_octets(addresses: &[u64], runs: [Option<&[u8]>; 2], rows: &mut [bool]) {
    for run in runs.into_iter().flatten() {
        if let Some((number, _)) = decimal(b"", run)
            && let Ok(octet) = u8::try_from(number)
        {
            set(rows, |at| (addresses[at] as u32).to_be_bytes().contains(&octet));
        }
    }
}

fn set(rows: &mut [bool], is_it: impl Fn(usize) -> bool) {
    for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| !**row) {
        *row = is_it(at);
    }
}

fn same_text(ends: &[usize], text: &[u8], at: usize, value: &[u8]) -> bool {
    range(ends, at).is_none_or(|place| text[place].eq_ignore_ascii_case(value))
}

fn without<'a>(prefix: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (first, rest) = value.split_at_checked(prefix.len())?;
    first.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The number behind the prefix, and its digits; a number that doesn't fit is in no column.
fn decimal(prefix: &[u8], value: &[u8]) -> Option<(u64, usize)> {
    let digits = without(prefix, value)?;
    let is_number = !digits.is_empty() && digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    Some((number, digits.len()))
}

/// Digits of a number without zeros in front.
fn width_of(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        block::{Reader, SealedBlock},
        query::{required, text},
        record::{Level, Record, Source, StreamInfo},
    };

    /// A variable of a kind, told by a number.
    fn variable(kind: usize, n: u64) -> String {
        match kind {
            0 => (n % 30).to_string(),
            1 => format!("{:04}", n % 300),
            2 => n.to_string(),
            3 => format!("{:x}", n % 4000 + 0xa0),
            4 => format!("0x{n:X}"),
            5 => format!("blk{}", n % 9),
            6 => format!("Node{}b{}", n % 9, ["", "c", "took"][n as usize % 3]),
            7 => format!("{}ms", n % 40),
            8 => format!("{}h{}m", n % 40, n % 7),
            9 => format!("10.0.{}.25", n % 40),
            10 => format!("2026-01-02T03:04:05.{:03}Z", n % 50 * 20),
            11 => format!("2026-01-{:02} 03:04:05,{:03}x", n % 28 + 1, n % 50),
            12 => format!("02/Jan/2026:03:04:{:02} +0000", n % 50),
            13 => format!("{:08x}-0000-4000-8000-{n:012x}", n % 9).chars().take(36).collect(),
            14 => format!("1234567890123456789012{n}"),
            15 => format!("\u{1b}[31m{}\u{1b}[0m", n % 9),
            16 => format!("\0 {}", n % 9),
            17 => format!("é{}", n % 9),
            _ => format!("9{}{}", ["took", "x", "tookx"][n as usize % 3], n % 4),
        }
    }

    /// Many lines of few forms, with all kinds of variables beside all kinds of neighbours.
    fn bodies() -> impl Strategy<Value = Vec<String>> {
        const GLUE: [&str; 8] = [" ", " took ", "_", "=", "/", "", "\":", "took"];
        let form = proptest::collection::vec((0..GLUE.len(), 0usize..19), 1..5);
        let forms = proptest::collection::vec(form, 1..4);
        (forms, proptest::collection::vec(any::<(u8, u64)>(), 1..80)).prop_map(|(forms, rows)| {
            let body = |(form, seed): (u8, u64)| {
                let form = &forms[usize::from(form) % forms.len()];
                let parts = form.iter().enumerate();
                parts
                    .map(|(at, (glue, kind))| {
                        format!("{}{}", GLUE[*glue], variable(*kind, seed.rotate_left(7 * at as u32) >> 20))
                    })
                    .collect()
            };
            rows.into_iter().map(body).collect()
        })
    }

    fn records(bodies: &[String]) -> Vec<Record> {
        let record = |(seq, body): (usize, &String)| Record {
            time: 1_767_323_045_000_000_000 + seq as i64 * 7_000_000,
            seq: seq as u64,
            level: Level::Info,
            source: Source::Stdout,
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        };
        bodies.iter().enumerate().map(record).collect()
    }

    /// Shows `look` every template with its records.
    fn each_template(records: &[Record], look: &mut crate::block::Sieve<'_>) {
        let info = StreamInfo {
            namespace: "a".into(),
            pod: "b".into(),
            uid: "c".into(),
            container: "d".into(),
            restart: 0,
            node: "e".into(),
        };
        let sealed = SealedBlock::seal(std::sync::Arc::new(info), records).expect("sealed");
        let reader = Reader::open(&sealed.data).expect("sound");
        let templates = reader.templates().expect("sound").expect("templates");
        reader.sieved(&templates, &|_| true, look).expect("sound");
    }

    proptest! {
        #[test]
        fn a_record_that_has_a_run_is_always_marked(
            bodies in bodies(), wanted in any::<prop::sample::Index>()
        ) {
            let records = records(&bodies);
            let tokens: Vec<Vec<u8>> = bodies.iter().flat_map(|body| text::tokens(body.as_bytes())).collect();
            let token: &Vec<u8> = wanted.get(&tokens);
            for run in runs(token) {
                let mut marked = vec![false; records.len()];
                each_template(&records, &mut |_, template, members| {
                    let mut rows = vec![false; members.len()];
                    template.mark(run, &|at| records[members[at] as usize].time, &mut rows);
                    for (record, row) in members.iter().zip(&rows) {
                        marked[*record as usize] = *row;
                    }
                });
                for (record, marked) in records.iter().zip(&marked) {
                    let has = text::tokens(&record.body).iter().any(|other| runs(other).any(|other| other == run));
                    prop_assert!(*marked || !has, "{:?} is not marked for {:?}", record.body, run);
                }
            }
        }

        #[test]
        fn a_template_may_spell_every_part_of_its_bodies(
            bodies in bodies(), from in any::<prop::sample::Index>(), length in 3usize..20
        ) {
            let records = records(&bodies);
            for body in bodies.iter().take(8) {
                let from = from.index(body.len());
                let Some(part) = body.get(from..(from + length).min(body.len())) else { continue };
                for wanted in required::letters(&regex::escape(part)) {
                    let mut missed = None;
                    each_template(&records, &mut |_, template, members| {
                        let has = |record: &&u32| records[**record as usize].body.windows(part.len()).any(|w| w == part.as_bytes());
                        if let Some(record) = members.iter().find(has).filter(|_| !template.may_spell(&wanted)) {
                            missed = Some(*record);
                        }
                    });
                    prop_assert_eq!(missed, None, "{:?} of {:?} in {:?}", wanted, part, body);
                }
            }
        }
    }

    #[test]
    fn runs_are_what_has_a_digit() {
        let of =
            |token: &'static str| runs(token.as_bytes()).map(String::from_utf8_lossy).collect::<Vec<_>>();
        assert_eq!(of("blk_12_ab_3c"), ["12", "3c"]);
        assert!(of("user").is_empty());
    }
}
