//! The best few of many numbers, as they pass by.
//!
//! A binary heap whose top is the worst one kept. Which of equal numbers is dropped
//! follows from how it is kept in order, and is the same as in Prometheus.

/// A number and whose it is.
pub type Entry = (f64, u32);

/// Whether `a` is worse than `b`; NaN is worse than all.
fn worse(a: f64, b: f64, largest: bool) -> bool {
    if a.is_nan() {
        return true;
    }
    if largest { a < b } else { a > b }
}

/// Takes an entry in if it is among the best `most`.
pub fn offer(heap: &mut Vec<Entry>, entry: Entry, most: usize, largest: bool) {
    if heap.len() < most {
        heap.push(entry);
        rise(heap, largest);
        return;
    }
    let Some(top) = heap.first_mut() else { return };
    let better = if largest { top.0 < entry.0 } else { top.0 > entry.0 };
    if better || (top.0.is_nan() && !entry.0.is_nan()) {
        *top = entry;
        sink(heap, largest);
    }
}

fn rise(heap: &mut [Entry], largest: bool) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !worse(heap[at].0, heap[parent].0, largest) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

fn sink(heap: &mut [Entry], largest: bool) {
    let mut at = 0;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if left >= heap.len() {
            break;
        }
        let child =
            if right < heap.len() && worse(heap[right].0, heap[left].0, largest) { right } else { left };
        if !worse(heap[child].0, heap[at].0, largest) {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_stay(numbers in prop::collection::vec(-9i32..9, 0..40), most in 1usize..6, largest: bool) {
            let mut heap = Vec::new();
            for (place, number) in (0u32..).zip(&numbers) {
                offer(&mut heap, (f64::from(*number), place), most, largest);
            }
            let mut kept: Vec<_> = heap.iter().map(|entry| entry.0 as i32).collect();
            let mut sorted = numbers;
            for list in [&mut kept, &mut sorted] {
                list.sort_unstable();
                if largest {
                    list.reverse();
                }
            }
            sorted.truncate(most);
            prop_assert_eq!(kept, sorted);
        }
    }

    #[test]
    fn nan_gives_way() {
        let mut heap = Vec::new();
        for number in [f64::NAN, 1.0, f64::NAN, 2.0] {
            offer(&mut heap, (number, 0), 2, true);
        }
        let mut kept: Vec<_> = heap.iter().map(|entry| entry.0).collect();
        kept.sort_by(f64::total_cmp);
        assert_eq!(kept, [1.0, 2.0]);
    }
}
