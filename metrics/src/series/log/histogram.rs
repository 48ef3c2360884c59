//! A native histogram as bytes.
//!
//! What was written is read, however large it is: how large one may be is said where it comes in.

use crate::series::{
    Buckets, Histogram,
    chunk::{put_varint, take_varint, unzigzag, zigzag},
};

pub fn write(bytes: &mut Vec<u8>, histogram: &Histogram) {
    put_varint(bytes, zigzag(i64::from(histogram.schema)));
    bytes.push(u8::from(histogram.gauge));
    for number in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        put_number(bytes, number);
    }
    for buckets in [&histogram.positive, &histogram.negative] {
        put_varint(bytes, buckets.spans.len() as u64);
        for (offset, length) in &buckets.spans {
            put_varint(bytes, zigzag(i64::from(*offset)));
            put_varint(bytes, u64::from(*length));
        }
        put_numbers(bytes, &buckets.counts);
    }
    put_numbers(bytes, &histogram.custom_bounds);
}

/// The histogram at the front, which is taken away.
pub fn read(bytes: &mut &[u8]) -> Option<Histogram> {
    let schema = i32::try_from(unzigzag(take_varint(bytes))).ok()?;
    let (gauge, rest) = bytes.split_first()?;
    *bytes = rest;
    let mut histogram = Histogram { schema, gauge: *gauge == 1, ..Histogram::default() };
    histogram.zero_threshold = take_number(bytes)?;
    histogram.zero_count = take_number(bytes)?;
    histogram.count = take_number(bytes)?;
    histogram.sum = take_number(bytes)?;
    histogram.positive = buckets(bytes)?;
    histogram.negative = buckets(bytes)?;
    histogram.custom_bounds = numbers(bytes)?;
    Some(histogram)
}

/// How many follow of what takes so many bytes each, or more; absent where there can't be so many.
fn count(bytes: &mut &[u8], each: u64) -> Option<u64> {
    let count = take_varint(bytes);
    (count <= bytes.len() as u64 / each).then_some(count)
}

fn buckets(bytes: &mut &[u8]) -> Option<Buckets> {
    let spans = (0..count(bytes, 2)?)
        .map(|_| {
            let offset = i32::try_from(unzigzag(take_varint(bytes))).ok()?;
            Some((offset, u32::try_from(take_varint(bytes)).ok()?))
        })
        .collect::<Option<_>>()?;
    Some(Buckets { spans, counts: numbers(bytes)? })
}

/// Whole numbers short, as counts are; others as they are, behind a one.
fn put_number(bytes: &mut Vec<u8>, number: f64) {
    if number.is_sign_positive() && number < 9e15 && number.trunc().to_bits() == number.to_bits() {
        put_varint(bytes, (number as u64) << 1);
    } else {
        put_varint(bytes, 1);
        bytes.extend_from_slice(&number.to_bits().to_le_bytes());
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<f64> {
    let code = take_varint(bytes);
    if code & 1 == 0 {
        return Some((code >> 1) as f64);
    }
    let (eight, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(f64::from_bits(u64::from_le_bytes(*eight)))
}

fn put_numbers(bytes: &mut Vec<u8>, numbers: &[f64]) {
    put_varint(bytes, numbers.len() as u64);
    numbers.iter().for_each(|number| put_number(bytes, *number));
}

fn numbers(bytes: &mut &[u8]) -> Option<Vec<f64>> {
    (0..count(bytes, 1)?).map(|_| take_number(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_buckets() -> impl Strategy<Value = Buckets> {
        let spans = prop::collection::vec((-20i32..20, 0u32..5), 0..4);
        (spans, prop::collection::vec(prop_oneof![(0u32..1000).prop_map(f64::from), any::<f64>()], 0..8))
            .prop_map(|(spans, counts)| Buckets { spans, counts })
    }

    #[test]
    fn what_was_written_is_read_however_large() {
        let many = 150_000;
        let buckets = |odd: f64| Buckets {
            spans: vec![(1, 1); many],
            counts: (0..many).map(|n| n as f64 + odd).collect(),
        };
        let histogram = Histogram {
            positive: buckets(0.0),
            negative: buckets(0.5),
            custom_bounds: vec![f64::INFINITY; many],
            ..Histogram::default()
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &histogram);
        bytes.push(7);
        let mut rest = bytes.as_slice();
        assert!(read(&mut rest).is_some_and(|again| again == histogram));
        assert_eq!(rest, [7]);
        // One that says that it has more than follows.
        let mut few = Vec::new();
        write(&mut few, &Histogram::default());
        let bounds = few.len() - 1;
        few.truncate(bounds);
        put_varint(&mut few, 2);
        few.push(0);
        assert_eq!(read(&mut few.as_slice()), None);
    }

    proptest! {
        #[test]
        fn it_comes_back(schema in -53i32..9, sum in -1e9f64..1e9, count in 0u32.., positive in some_buckets(),
                negative in some_buckets(), custom_bounds in prop::collection::vec(-1e3f64..1e3, 0..4), gauge in any::<bool>()) {
            let histogram = Histogram { schema, zero_threshold: 1e-128, zero_count: 3.0, count: f64::from(count), sum,
                positive, negative, custom_bounds, gauge };
            let mut bytes = Vec::new();
            write(&mut bytes, &histogram);
            let mut rest = bytes.as_slice();
            let again = read(&mut rest).expect("its own bytes");
            // NaNs are equal by their bits only.
            prop_assert_eq!(format!("{again:?}"), format!("{histogram:?}"));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut bytes.as_slice());
        }
    }
}
