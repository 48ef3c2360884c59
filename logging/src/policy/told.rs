//! Which mistakes in annotations were told already. Annotations are read again and again, by streams
//! and by passes over all namespaces; each of their mistakes is told when it is new.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Owners of mistakes that are remembered; beyond it all are told once more.
const MAX_OWNERS: usize = 10_000;

/// Mistakes that were told, by whose annotations they are in.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<String, Vec<String>>>);

impl Told {
    /// Those of an owner's mistakes that were not told since it made them. One that is gone, and comes
    /// back, is new.
    pub fn news(&self, owner: &str, mistakes: &[String]) -> Vec<String> {
        let mut told = self.0.lock();
        if mistakes.is_empty() {
            told.remove(owner);
            return Vec::new();
        }
        if told.len() >= MAX_OWNERS && !told.contains_key(owner) {
            told.clear();
        }
        let before = told.insert(owner.to_owned(), mistakes.to_vec()).unwrap_or_default();
        mistakes.iter().filter(|mistake| !before.contains(mistake)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_when_it_is_new() {
        let told = Told::default();
        let check = |owner: &str, mistakes: &[&str], expected: &[&str]| {
            let mistakes: Vec<String> = mistakes.iter().map(|mistake| (*mistake).to_owned()).collect();
            assert_eq!(told.news(owner, &mistakes), expected, "{owner}: {mistakes:?}");
        };
        check("shop", &["a"], &["a"]);
        check("shop", &["a"], &[]);
        check("ops", &["a"], &["a"]);
        check("shop", &["a", "b"], &["b"]);
        check("shop", &["b"], &[]);
        check("shop", &[], &[]);
        check("shop", &["b"], &["b"]);
        check("ops", &["a"], &[]);
    }

    #[test]
    fn only_so_many_owners_are_remembered() {
        let (told, mistakes) = (Told::default(), ["a".to_owned()]);
        for owner in 0..=MAX_OWNERS {
            assert_eq!(told.news(&owner.to_string(), &mistakes).len(), 1, "{owner}");
        }
        assert_eq!(told.0.lock().len(), 1);
    }
}
