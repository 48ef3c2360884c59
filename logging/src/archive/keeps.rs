//! What namespaces keep, remembered for those that are gone.
//!
//! ```text
//! <place>/<cluster>/keeps      what each namespace that has logs here said last
//! ```
//!
//! An annotation goes with its Namespace, the logs stay for a while: what it said holds
//! until the archive has none of them. A Namespace that is there speaks for itself, also
//! when it says nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Archive, ArchiveError, Objects, catalog::Known, sealed};
use crate::index::Keep;

const NAME: &str = "keeps";

/// What is remembered.
pub type Kept = BTreeMap<String, Keep>;

pub async fn read(objects: &Objects) -> Result<Kept, ArchiveError> {
    let Some(bytes) = objects.read(NAME).await? else { return Ok(Kept::new()) };
    Ok(sealed::read(&bytes).unwrap_or_else(|error| {
        tracing::error!(%error, "what deleted namespaces keep of their logs can't be read: the archive's own age holds");
        Kept::new()
    }))
}

pub async fn write(objects: &Objects, kept: &Kept) -> Result<(), ArchiveError> {
    Ok(objects.replace(NAME, sealed::write(kept)).await?)
}

/// What holds: what namespaces that are there say, and the last word of the others.
pub fn holding(remembered: &Kept, said: &Kept) -> Kept {
    let mut holding = remembered.clone();
    for (namespace, keep) in said {
        match *keep == Keep::default() {
            true => holding.remove(namespace),
            false => holding.insert(namespace.clone(), *keep),
        };
    }
    holding
}

/// What is worth remembering of it: of namespaces that are there, and of those that are gone
/// while there are logs of them.
fn worth(holding: Kept, said: &Kept, with_logs: &BTreeSet<&String>) -> Kept {
    let is_worth = |namespace: &String| said.contains_key(namespace) || with_logs.contains(namespace);
    holding.into_iter().filter(|(namespace, _)| is_worth(namespace)).collect()
}

impl Archive {
    /// All namespaces that there are, with logs or without.
    pub fn namespaces(&self) -> Vec<String> {
        (self.inner.keeps)().into_keys().collect()
    }

    /// What namespaces keep, now.
    pub(super) fn keeps(&self, known: &Known) -> Kept {
        holding(&known.keeps, &(self.inner.keeps)())
    }

    /// Writes down what changed.
    pub(super) async fn remember_keeps(&self) -> Result<(), ArchiveError> {
        let known = self.inner.catalog.known();
        let splits = known.nodes.values().flat_map(|index| &index.splits);
        let with_logs: BTreeSet<&String> = splits.flat_map(|split| split.namespaces.keys()).collect();
        let said = (self.inner.keeps)();
        let worth = worth(holding(&known.keeps, &said), &said, &with_logs);
        if worth != known.keeps {
            self.inner.catalog.put_keeps(worth).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_word_of_a_namespace_holds_while_there_are_logs_of_it() {
        let keep = |days: u64| Keep { age: Some(Duration::from_secs(days * 86_400)), bytes: None };
        let kept = |all: &[(&str, Keep)]| -> Kept {
            all.iter().map(|(name, keep)| ((*name).to_owned(), *keep)).collect()
        };
        let remembered =
            kept(&[("gone", keep(1)), ("empty", keep(2)), ("there", keep(3)), ("plain", keep(4))]);
        let said = kept(&[("there", keep(30)), ("plain", Keep::default()), ("new", keep(5))]);
        let holding = holding(&remembered, &said);
        assert_eq!(
            holding,
            kept(&[("gone", keep(1)), ("empty", keep(2)), ("there", keep(30)), ("new", keep(5))])
        );
        let gone = "gone".to_owned();
        let worth = worth(holding, &said, &[&gone].into());
        assert_eq!(worth, kept(&[("gone", keep(1)), ("there", keep(30)), ("new", keep(5))]));
    }
}
