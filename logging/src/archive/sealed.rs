//! Small files of the archive, in the form of [`crate::index::sealed`], of the kind
//! `tiphys-archive`.

use serde::{Serialize, de::DeserializeOwned};

use crate::index::sealed::{BadFile, Form};

const FORM: Form = Form { kind: "tiphys-archive", version: 1 };

pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadFile> {
    FORM.read(bytes)
}

pub fn write(content: &impl Serialize) -> Vec<u8> {
    FORM.write(content).expect("strings and numbers have a JSON form")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{ArchivedSplit, NodeIndex, wire::Part},
        *,
    };
    use crate::index::{
        FileSum,
        old_tests::{folders, to_write},
    };

    const NAME: &str = "archive-index";

    /// An index with a split that it has and one that it let go.
    fn index() -> NodeIndex {
        let split = |id| ArchivedSplit {
            store: "00c0ffee".into(),
            id,
            revision: 1,
            created: 1_767_225_600_000_000_001,
            records: 7,
            raw_bytes: 700,
            min_time: -1,
            max_time: i64::MAX,
            namespaces: [("shop".to_owned(), Part { min_time: -1, max_time: 9, bytes: 70 })].into(),
            files: vec![FileSum { name: "words/meta.json".into(), size: 9, crc: u32::MAX }],
        };
        let mut index = NodeIndex::default();
        index.splits.extend([split(3), split(4)]);
        index.let_go(&split(4));
        index
    }

    #[test]
    fn an_index_that_old_versions_wrote_is_read() {
        if let Some(to) = to_write() {
            let path = to.join(NAME);
            assert!(!path.exists(), "what a version wrote stays as it is: name another folder");
            fs::create_dir_all(&to).and_then(|()| fs::write(&path, write(&index()))).expect("written");
        }
        for folder in folders() {
            let path = folder.join(NAME);
            let bytes = fs::read(&path).expect("read");
            assert_eq!(read(&bytes), Ok(index()), "{}", path.display());
        }
    }
}
