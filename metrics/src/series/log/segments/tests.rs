//! What was written is read again, whatever a kill, a full disk or damage leaves of it.

use std::ops::Range;

use super::*;
use crate::{
    append::tests::durable,
    series::{Labels, NAME, Value, chunk::Form},
};

fn records(slot: u32, times: &[i64]) -> Records {
    let mut records = Records::default();
    records.define(slot, &Labels::new([(NAME, format!("m{slot}"))]));
    for time in times {
        records.sample(slot, *time, &Value::Number(1.0), Form::Decimals(0));
    }
    records
}

fn times(folder: &Path) -> (Vec<(u32, i64)>, Segments, Replayed) {
    let mut found = Vec::new();
    let (segments, replayed) = Segments::open(folder, |segment, record| {
        if let Record::Sample { time, .. } = record {
            found.push((segment, time));
        }
    })
    .expect("opened");
    (found, segments, replayed)
}

#[test]
fn what_was_flushed_is_read_again_and_what_is_written_out_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    log.push(&records(1, &[10, 11]));
    log.flush().expect("written");
    log.begin_next().expect("the next");
    log.push(&records(1, &[20]));
    log.flush().expect("written");
    log.push(&records(1, &[30]));
    let (found, mut log, replayed) = times(folder.path());
    assert_eq!(found, [(0, 10), (0, 11), (1, 20)]);
    assert!(replayed.damaged.is_empty() && log.number() == 2);
    log.forget_before(20).expect("removed");
    assert_eq!(times(folder.path()).0, [(1, 20)]);
}

#[test]
fn a_torn_end_is_normal_and_a_damaged_segment_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    log.push(&records(1, &[10]));
    log.push(&records(2, &[11]));
    log.flush().expect("written");
    let path = path_of(folder.path(), 0);
    let whole = fs::read(&path).expect("there");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("torn");
        let (found, _, replayed) = times(folder.path());
        assert!(found.len() <= 1 && replayed.damaged.is_empty(), "{cut}");
    }
    let mut changed = whole.clone();
    changed[whole.len() - 2] ^= 1;
    fs::write(&path, &changed).expect("damaged");
    fs::write(path_of(folder.path(), 1), &whole).expect("a second");
    let (found, _, replayed) = times(folder.path());
    assert_eq!(found, [(0, 10), (1, 10), (1, 11)]);
    assert_eq!(replayed.damaged.len(), 1);
}

#[test]
fn a_frame_whose_checksum_is_wrong_is_passed_over_where_another_stands_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    let mut begins = vec![0];
    for time in 0..4 {
        log.push(&records(time as u32, &[time]));
        log.flush().expect("written");
        begins.push(log.size() as usize);
    }
    let path = path_of(folder.path(), 0);
    let whole = fs::read(&path).expect("there");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("damaged");
        let (found, _, replayed) = times(folder.path());
        let passed: Vec<_> = replayed.passed.iter().map(|(_, it)| (it.frames, it.bytes, it.at)).collect();
        assert!(replayed.damaged.is_empty() && replayed.passed.iter().all(|(of, _)| *of == path));
        (found.into_iter().map(|(_, time)| time).collect::<Vec<_>>(), passed)
    };
    let bytes = |frames: Range<usize>| (begins[frames.end] - begins[frames.start]) as u64;
    type Damage<'a> = (&'a [usize], &'a [i64], &'a [(u64, u64, u64)]);
    let table: [Damage<'_>; 5] = [
        (&[0], &[1, 2, 3], &[(1, bytes(0..1), 0)]),
        (&[1], &[0, 2, 3], &[(1, bytes(1..2), bytes(0..1))]),
        (&[1, 2], &[0, 3], &[(2, bytes(1..3), bytes(0..1))]),
        (&[0, 2], &[1, 3], &[(2, bytes(0..1) + bytes(2..3), 0)]),
        // Behind the last one stands nothing.
        (&[3], &[0, 1, 2], &[]),
    ];
    for (frames, times, passed) in table {
        let mut damaged = whole.clone();
        frames.iter().for_each(|frame| damaged[begins[frame + 1] - 1] ^= 1);
        assert_eq!(read(&damaged), (times.to_vec(), passed.to_vec()), "{frames:?}");
    }
    // Where the length is wrong, what follows it is no frame; and zeros are none.
    let mut damaged = whole.clone();
    damaged[begins[1]] ^= 1;
    assert_eq!(read(&damaged), (vec![0], vec![]));
    let mut damaged = whole.clone();
    damaged[begins[2] - 1] ^= 1;
    damaged[begins[2]..].fill(0);
    assert_eq!(read(&damaged), (vec![0], vec![]));
}

#[test]
fn what_stands_behind_a_frame_that_is_passed_over_is_not_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    for time in 0..4 {
        log.push(&records(time as u32, &[time]));
        log.flush().expect("written");
    }
    let path = path_of(folder.path(), 0);
    let mut bytes = fs::read(&path).expect("there");
    // The first one is damaged, and a kill tore the last one.
    bytes[HEAD] ^= 1;
    bytes.pop();
    fs::write(&path, bytes).expect("damaged");
    for _ in 0..2 {
        let mut order = Vec::new();
        let (log, replayed) = Segments::open(folder.path(), |_, record| {
            order.push(match record {
                Record::Series { .. } => None,
                Record::Sample { time, .. } => Some(time),
                Record::Lost => Some(-1),
            });
        })
        .expect("opened");
        assert_eq!(order, [Some(-1), None, Some(1), None, Some(2)]);
        assert!(replayed.damaged.is_empty() && replayed.passed.len() == 1);
        assert_eq!(log.size(), fs::metadata(&path).expect("there").len());
    }
}

#[test]
fn much_at_once_is_packed_and_read_again_as_far_as_it_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    let scrape = |time: i64| {
        let mut records = Records::default();
        for number in 0..1000 {
            let value = Value::Number(f64::from(number % 100));
            records.sample(number, time, &value, Form::Decimals(0));
        }
        records
    };
    let define = |log: &mut Segments| (0..1000).for_each(|slot| assert!(log.push(&records(slot, &[]))));
    define(&mut log);
    log.flush().expect("written");
    let path = path_of(folder.path(), 0);
    let defined = fs::metadata(&path).expect("there").len();
    log.push(&scrape(10));
    log.push(&scrape(20));
    log.flush().expect("written");
    let whole = fs::read(&path).expect("there");
    let packed = whole.len() as u64 - defined;
    assert!(packed < 2000, "{packed} bytes of 2,000 samples");
    let (found, ..) = times(folder.path());
    assert_eq!(found.len(), 2000);
    assert!(found.starts_with(&[(0, 10)]) && found.ends_with(&[(0, 20)]));
    for cut in [1, 7, 9, 100, packed as usize - 1] {
        fs::write(&path, &whole[..whole.len() - cut]).expect("torn");
        let (found, _, replayed) = times(folder.path());
        assert!(found.is_empty() && replayed.damaged.is_empty(), "{cut}");
    }
}

#[test]
fn what_waits_is_packed_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    let each = 1000;
    let mut pushed = 0;
    while pushed * 4 < 3 * TOGETHER {
        let mut records = Records::default();
        (0..each).for_each(|at| {
            let time = (pushed + at) as i64;
            records.sample(at as u32, time, &Value::Number(at as f64), Form::Decimals(0));
        });
        log.push(&records);
        pushed += each;
        assert!(log.pending.len() < 2 * TOGETHER && log.ready.len() < TOGETHER);
    }
    assert!(!log.ready.is_empty());
    // What a disk did not take yet is all still there.
    log.flush().expect("written");
    assert!(log.ready.is_empty() && log.pending.is_empty());
    let (found, ..) = times(folder.path());
    assert!(found.iter().map(|(_, time)| *time).eq(0..pushed as i64));
}

#[test]
fn what_comes_faster_than_it_is_flushed_is_written_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    log.ready = vec![0; PENDING];
    assert!(log.push(&records(1, &[10])) && !log.should_end());
    assert_eq!((log.ready.len(), log.size()), (0, PENDING as u64));
    log.begin_next().expect("the next");
    log.push(&records(1, &[20]));
    log.flush().expect("written");
    let there: u64 =
        [0, 1].map(|n| fs::metadata(path_of(folder.path(), n)).expect("there").len()).iter().sum();
    assert!(there > PENDING as u64 && log.size() == there);
    assert_eq!(times(folder.path()).1.size(), there);
    log.forget_before(20).expect("removed");
    assert_eq!(log.size(), fs::metadata(path_of(folder.path(), 1)).expect("there").len());
}

#[test]
fn an_append_that_cant_be_read_takes_nothing_else_with_it() {
    // Packed, and as it is.
    for more in [0, 200] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, mut log, _) = times(folder.path());
        let some: Vec<_> = (0..more).collect();
        log.push(&records(1, &some));
        // A sample that is said to be a histogram, and is none.
        put_frame(&mut log.pending, 0, |out| out.extend([4, 0, 1, 255, 1, 0, 1, 0, 1, 0]));
        log.push(&records(2, &[1000]));
        log.flush().expect("written");
        let (found, _, replayed) = times(folder.path());
        let expected: Vec<(u32, i64)> = some.into_iter().chain([1000]).map(|time| (0, time)).collect();
        assert_eq!(found, expected);
        let path = path_of(folder.path(), 0);
        assert_eq!(replayed.unreadable, [(path, 1, "a histogram is wrong")]);
        assert!(replayed.damaged.is_empty());
    }
}

#[test]
fn an_append_that_cant_be_read_is_said_to_be_lost() {
    // As above; and packed, with it or with nothing.
    let wrong: [u8; 10] = [4, 0, 1, 255, 1, 0, 1, 0, 1, 0];
    let mut within = Vec::new();
    put_frame(&mut within, 0, |out| out.extend(wrong));
    let packed = zstd::bulk::compress(&within, LEVEL).expect("packed");
    for (flag, body) in [(0, wrong.to_vec()), (PACKED, packed), (PACKED, b"not packed".to_vec())] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, mut log, _) = times(folder.path());
        put_frame(&mut log.pending, flag, |out| out.extend_from_slice(&body));
        log.push(&records(2, &[20]));
        log.flush().expect("written");
        let mut lost = Vec::new();
        let take = |_: u32, record: Record| lost.push(record == Record::Lost);
        let (_, replayed) = Segments::open(folder.path(), take).expect("opened");
        assert_eq!(lost, [true, false, false], "{body:?}");
        assert_eq!(replayed.unreadable.len(), 1);
    }
}

#[test]
fn what_follows_a_loss_stands_in_a_segment_that_knows_its_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    // A disk that takes nothing.
    (log.pending, log.fails) = (vec![0; PENDING], true);
    assert!(!log.push(&records(1, &[10])) && log.should_end());
    log.pending.clear();
    log.push(&records(2, &[20]));
    log.flush().expect("written");
    log.begin_next().expect("the next");
    assert!(!log.should_end());
    assert_eq!(times(folder.path()).0, [(0, 20)]);
}

#[test]
fn what_is_ended_becomes_durable_as_what_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    let paths = [0, 1].map(|number| path_of(folder.path(), number));
    for time in [10, 20] {
        log.push(&records(1, &[time]));
        log.begin_next().expect("the next");
    }
    log.push(&records(1, &[30]));
    log.flush().expect("written");
    assert_eq!(paths.each_ref().map(|path| durable::bytes(path)), [0; 2], "nobody has asked for it");
    // The disk fails.
    assert_eq!(log.unsynced().expect("asked").len(), 3);
    make_durable(log.unsynced().expect("asked")).expect("durable");
    assert_eq!(durable::lossy(folder.path()), Vec::<PathBuf>::new());
    assert!(log.unsynced().expect("asked").is_empty());
    assert!(log.ended.iter().all(|one| one.file.is_none()), "nobody needs them any more");
    // What is written out meanwhile need not be.
    log.push(&records(1, &[40]));
    log.begin_next().expect("the next");
    log.forget_before(50).expect("removed");
    assert!(log.unsynced().expect("asked").is_empty());
}

#[test]
fn what_a_kill_tore_is_no_damage_at_later_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    log.push(&records(1, &[10]));
    log.flush().expect("written");
    let whole = log.size();
    log.push(&records(2, &[11]));
    log.flush().expect("written");
    let file = File::options().write(true).open(path_of(folder.path(), 0)).expect("there");
    file.set_len(log.size() - 1).expect("torn");
    let (_, mut log, replayed) = times(folder.path());
    assert!(replayed.damaged.is_empty() && log.size() == whole);
    log.push(&records(1, &[20]));
    log.flush().expect("written");
    let (found, log, replayed) = times(folder.path());
    assert_eq!((found, replayed.damaged), (vec![(0, 10), (1, 20)], vec![]));
    let there: u64 =
        [0, 1].map(|n| fs::metadata(path_of(folder.path(), n)).expect("there").len()).iter().sum();
    assert_eq!(log.size(), there);
}

#[test]
fn a_segment_that_somebody_removed_keeps_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut log, _) = times(folder.path());
    for time in [10, 20] {
        log.push(&records(1, &[time]));
        log.begin_next().expect("the next");
    }
    fs::remove_file(path_of(folder.path(), 0)).expect("removed");
    log.forget_before(30).expect("removed");
    assert_eq!((times(folder.path()).0, log.size()), (vec![], 0));
}
