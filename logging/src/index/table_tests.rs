//! Tables whose files are damaged: the other one of the two serves, and it is counted; without
//! both it is said what is missing. Tables of other versions.

use std::{fs, path::Path};

use super::{
    NamespaceMeta, NamespaceTable, PodMeta, PodTable, Store, Table,
    loss_tests::folder,
    table::Meta,
    tests::{commit, store},
};
use crate::policy::Annotations;

/// Where a file says its version, which is of one digit.
const VERSION: usize = "tiphys-logs-table ".len();

/// What must not change unseen: a rule of redaction, and how long records are kept.
fn annotations() -> Annotations {
    let all = [("redact", "email\n/card=\\d+/card=***/"), ("retention", "7d")];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn pod() -> PodMeta {
    let labels = std::sync::Arc::new([("app".to_owned(), "shop".to_owned())].into());
    let (namespace, name, owner) = ("shop".into(), "web-1".into(), "Deployment/web".into());
    PodMeta { namespace, name, labels, owner, node: "n1".into(), annotations: annotations(), gone: true }
}

fn namespace() -> NamespaceMeta {
    NamespaceMeta { annotations: annotations(), gone: false }
}

fn open<M: Meta>(folder: &Path) -> Table<M> {
    Table::open(folder).expect("a table")
}

/// Damages each of a table's two files in every way.
fn the_other_serves<M: Meta>(meta: &M) {
    let folder = folder();
    let table: Table<M> = open(folder.path());
    table.update("key", meta.clone());
    table.store().expect("written");
    for name in [M::FILE, M::COPY] {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).expect("read");
        let check = |damaged: &[u8], what: &str| {
            fs::write(&path, damaged).expect("written");
            let table: Table<M> = open(folder.path());
            let found = (table.get("key").as_deref() == Some(meta), table.damaged(), table.lost());
            // What says another number may be a later version's.
            let version = damaged.get(VERSION).copied();
            let is_newer = version.is_some_and(|digit| digit.is_ascii_digit() && digit != b'1');
            let (count, end) = if is_newer { (0, "newer") } else { (1, "damaged") };
            assert_eq!(found, (true, count, None), "{name}, {what}");
            assert!(folder.path().join(format!("{name}.{end}")).exists(), "{name}, {what}");
        };
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                check(&changed, &format!("byte {at}, bit {bit}"));
            }
            check(&bytes[..at], &format!("cut at {at}"));
        }
        fs::remove_file(folder.path().join(format!("{name}.damaged"))).expect("removed");
        // The next commit writes it again, whatever it brings.
        assert!(!path.exists());
        open::<M>(folder.path()).store().expect("written");
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
    }
}

#[test]
fn a_flipped_bit_in_one_file_of_a_table_costs_nothing() {
    the_other_serves(&pod());
    the_other_serves(&namespace());
}

#[test]
fn answers_say_that_a_table_is_lost() {
    let folder = folder();
    let first = store(folder.path());
    first.namespace_table().update("shop", namespace());
    first.pods().update("uid-web", pod());
    commit(&first);
    drop(first);
    for name in ["namespaces.json", "namespaces.json.copy", "pods.json"] {
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).expect("read");
        bytes[60] ^= 1;
        fs::write(&path, bytes).expect("written");
    }
    let told = |store: &Store| (store.damaged_tables(), store.broken());
    let second = store(folder.path());
    let (damaged, broken) = told(&second);
    assert_eq!((damaged, broken.len()), (3, 1), "{broken:?}");
    assert!(broken[0].starts_with("namespaces.json") && broken[0].contains("annotations"), "{broken:?}");
    assert!(second.namespace_table().get("shop").is_none());
    assert_eq!(second.pods().get("uid-web").as_deref(), Some(&pod()));
    second.namespace_table().update("shop", namespace());
    commit(&second);
    drop(second);
    let third = store(folder.path());
    assert_eq!(told(&third), (0, Vec::new()));
    assert_eq!(third.namespace_table().get("shop").as_deref(), Some(&namespace()));
}

#[test]
fn a_table_of_a_later_version_stays_beside_and_is_no_damage() {
    let folder = folder();
    let first = store(folder.path());
    first.namespace_table().update("shop", namespace());
    first.pods().update("uid-web", pod());
    commit(&first);
    drop(first);
    let names = ["namespaces.json", "namespaces.json.copy", "pods.json"];
    let later = names.map(|name| {
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).expect("read");
        bytes[VERSION] = b'2';
        fs::write(&path, &bytes).expect("written");
        bytes
    });
    let stay = || {
        for (name, bytes) in names.iter().zip(&later) {
            let path = folder.path().join(format!("{name}.newer"));
            assert_eq!(&fs::read(path).expect("it is there"), bytes, "{name}");
            assert!(!folder.path().join(format!("{name}.damaged")).exists(), "{name}");
        }
    };
    let second = store(folder.path());
    let broken = second.broken();
    assert_eq!((second.damaged_tables(), broken.len()), (0, 1), "{broken:?}");
    let is_said = broken[0].starts_with("namespaces.json") && broken[0].contains("is of a later version");
    assert!(is_said, "{broken:?}");
    assert!(second.namespace_table().get("shop").is_none());
    assert_eq!(second.pods().get("uid-web").as_deref(), Some(&pod()));
    stay();
    second.namespace_table().update("shop", namespace());
    commit(&second);
    drop(second);
    let third = store(folder.path());
    assert_eq!((third.damaged_tables(), third.broken()), (0, Vec::new()));
    assert_eq!(third.namespace_table().get("shop").as_deref(), Some(&namespace()));
    stay();
}

#[test]
fn tables_of_versions_without_checksums_are_read_and_get_them() {
    let folder = folder();
    let pods = r#"{"uid-old":{"namespace":"shop","name":"old"},"uid-web":{"namespace":"shop","name":"web-1","labels":{"app":"shop"},"owner":"Deployment/web","node":"n1","annotations":{"redact":"email\n/card=\\d+/card=***/","retention":"7d"},"gone":true}}"#;
    fs::write(folder.path().join("pods.json"), pods).expect("written");
    fs::write(folder.path().join("namespaces.json"), r#"{"shop":{}}"#).expect("written");
    for round in 0..2 {
        let pods = PodTable::open(folder.path()).expect("a table");
        let namespaces = NamespaceTable::open(folder.path()).expect("a table");
        assert_eq!(pods.get("uid-web").as_deref(), Some(&pod()), "round {round}");
        assert_eq!(pods.get("uid-old").map(|pod| pod.name.clone()).as_deref(), Some("old"));
        assert_eq!(namespaces.get("shop").as_deref(), Some(&NamespaceMeta::default()));
        assert_eq!((pods.damaged(), namespaces.damaged()), (0, 0));
        pods.store().and_then(|()| namespaces.store()).expect("written");
        for name in ["pods.json", "pods.json.copy", "namespaces.json", "namespaces.json.copy"] {
            let bytes = fs::read(folder.path().join(name)).expect("read");
            assert!(bytes.starts_with(b"tiphys-logs-table 1 "), "round {round}: {name}");
        }
    }
    // Without a checksum a cut is all that shows.
    for name in ["pods.json", "pods.json.copy"] {
        fs::remove_file(folder.path().join(name)).expect("removed");
    }
    fs::write(folder.path().join("pods.json"), &pods[..90]).expect("written");
    let pods = PodTable::open(folder.path()).expect("a table");
    assert!(pods.damaged() == 1 && pods.lost().is_some_and(|why| why.starts_with("pods.json")));
}
