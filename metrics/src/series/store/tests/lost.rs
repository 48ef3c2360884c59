//! A frame of the log whose checksum is wrong takes along its own samples and those whose series it defined,
//! which is counted, and nothing else.

use super::*;

#[tokio::test]
async fn a_damaged_frame_of_the_log_takes_along_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let [a, b] = ["a", "b"].map(|name| store.resolve(&up(name)).expect("made"));
    let path = folder.path().join("log").join("00000000.log");
    let mut ends = Vec::new();
    for (minute, series) in [(0, vec![a]), (1, vec![b]), (2, vec![a, b]), (3, vec![a, b])] {
        let samples: Vec<_> =
            series.into_iter().map(|one| number(one, START + minute * MINUTE, 1.0)).collect();
        assert_eq!(store.append(&samples).taken, samples.len() as u64);
        store.flush_log().expect("flushed");
        ends.push(std::fs::metadata(&path).expect("there").len() as usize);
    }
    drop(store);
    let whole = std::fs::read(&path).expect("there");
    // Which frame is damaged, samples whose definition it had, and the minutes that each series has left.
    let table = [
        (0, 2, vec![("b", vec![1, 2, 3])]),
        (1, 2, vec![("a", vec![0, 2, 3])]),
        (2, 0, vec![("a", vec![0, 3]), ("b", vec![1, 3])]),
    ];
    for (frame, undefined, left) in table {
        let mut bytes = whole.clone();
        bytes[ends[frame] - 1] ^= 1;
        std::fs::write(&path, bytes).expect("damaged");
        let store = Store::recover(&config).expect("opened again");
        let counts = store.counts();
        let told = (counts.damaged_frames.get(), counts.undefined.get(), counts.damaged_segments.get());
        assert_eq!(told, (1, undefined, 0), "frame {frame}");
        let mut expected = Vec::new();
        for (name, minutes) in left {
            let samples = minutes.into_iter().map(|minute| (START + minute * MINUTE, Value::Number(1.0)));
            expected.push((up(name), samples.collect::<Vec<_>>()));
        }
        assert_eq!(all(&store, &[], 0..i64::MAX).await, expected, "frame {frame}");
    }
}
