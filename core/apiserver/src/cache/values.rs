//! The values of an object's selectable fields, in one piece of memory: there are some of every object.

use std::fmt;

/// How many, where each ends (u32, little-endian, all of them), then the texts. Nothing for no fields.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(Box<[u8]>);

const NUMBER: usize = size_of::<u32>();

impl Values {
    /// In the order of their fields; what is absent is empty.
    pub fn new<T: AsRef<str>>(values: &[T]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let texts = || values.iter().map(|value| value.as_ref().as_bytes());
        let mut bytes =
            Vec::with_capacity(NUMBER * (1 + values.len()) + texts().map(<[u8]>::len).sum::<usize>());
        bytes.extend_from_slice(&(values.len() as u32).to_le_bytes());
        let mut end = 0u32;
        for text in texts() {
            end += text.len() as u32;
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        texts().for_each(|text| bytes.extend_from_slice(text));
        Self(bytes.into())
    }

    fn len(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.number(0) }
    }

    /// The value of the field at this place; `None` beyond the last.
    pub fn get(&self, at: usize) -> Option<&str> {
        if at >= self.len() {
            return None;
        }
        let texts = &self.0[NUMBER * (1 + self.len())..];
        let start = if at == 0 { 0 } else { self.number(at) };
        // The bytes were texts, and are cut where those met.
        Some(std::str::from_utf8(&texts[start..self.number(at + 1)]).unwrap_or_default())
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    fn number(&self, at: usize) -> usize {
        let bytes = &self.0[at * NUMBER..][..NUMBER];
        bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_their_order() {
        let long = "ü".repeat(300);
        for values in [vec![], vec![""], vec!["a"], vec!["", "node-1", "", &long, "\0"]] {
            let held = Values::new(&values);
            assert_eq!(held.iter().collect::<Vec<_>>(), values);
            assert_eq!(held.get(values.len()), None);
        }
        assert_eq!(Values::new::<&str>(&[]).get(0), None);
    }
}
