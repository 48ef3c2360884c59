//! Counts lines that are longer than a record: each once, however many records it became.

use std::{collections::HashSet, sync::Arc};

use crate::{
    parse,
    record::{Source, StreamInfo},
    tail::Batch,
};

/// Lines whose end has not come: one for each output of a stream at most.
#[derive(Debug, Default)]
pub struct LongLines(HashSet<(Arc<StreamInfo>, Source)>);

impl LongLines {
    /// Takes in the next records of a stream; gives how many long lines begin in them.
    pub fn begun_in(&mut self, batch: &Batch) -> u64 {
        let mut begun = 0;
        for record in &batch.records {
            let goes_on = parse::part(&record.body).is_some();
            if !goes_on && self.0.is_empty() {
                continue;
            }
            let output = (batch.info.clone(), record.source);
            if goes_on {
                begun += u64::from(self.0.insert(output));
            } else {
                self.0.remove(&output);
            }
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::tests::info,
        record::{Level, Record},
    };

    #[test]
    fn a_long_line_counts_once_over_its_records_and_batches() {
        let mut lines = LongLines::default();
        let mut begun = |pod: &str, records: &[(Source, &[u8])]| {
            let record = |(source, body): &(Source, &[u8])| Record {
                time: 0,
                seq: 0,
                level: Level::Info,
                source: *source,
                body: bytes::Bytes::copy_from_slice(body),
            };
            let records = records.iter().map(record).collect();
            lines.begun_in(&Batch { info: info(pod), records })
        };
        let (out, err) = (Source::Stdout, Source::Stderr);
        let long = parse::parts(vec![b'x'; 2 * parse::MAX_BODY]);
        let (part, end) = (long[0].as_slice(), b"end".as_slice());
        assert_eq!(begun("a", &[(out, end), (out, part), (err, end), (out, part)]), 1);
        // It goes on here, and in another output and another Pod one begins.
        assert_eq!(begun("a", &[(out, part), (err, part)]), 1);
        assert_eq!(begun("b", &[(out, part)]), 1);
        assert_eq!(begun("a", &[(out, end), (out, part), (out, end), (out, end)]), 1);
        assert_eq!(begun("a", &[(err, part), (err, end)]), 0);
        assert_eq!(begun("b", &[(out, end)]), 0);
        assert!(lines.0.is_empty());
    }
}
