//! What is the etcd store's own: several servers and strangers on one etcd, the
//! past beyond what is remembered, credentials, and clear words at start.

use std::time::Duration;

use tiphys_lifecycle::Tasks;
use tiphys_store::{EtcdOptions, EtcdTls, Op, Store, StoreError, Txn};
use tiphys_tests::EtcdCluster;

use super::testbed::{Bed, LIMIT, etcd, events_until, keys, put, refusal, shorts, within};

#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_etcd_see_each_others_writes() {
    let bed = Bed::etcd().await;
    let tasks = Tasks::new();
    let other = etcd(bed.cluster.as_ref().unwrap(), &tasks, &|_| {}).await.unwrap();
    let mut watch = other.watch("/a/", 2).await.unwrap();
    put(&*bed.store, "/a/1", "x").await;
    let revision = put(&*bed.store, "/b/1", "y").await;
    assert_eq!(other.revision().await.unwrap(), revision);
    watch.progress().request();
    assert_eq!(shorts(&events_until(&mut watch, revision).await.unwrap()), ["+/a/1@2=x"]);
    put(&*other, "/a/2", "z").await;
    assert_eq!(shorts(&events_until(&mut watch, 4).await.unwrap()), ["+/a/2@4=z"]);
    assert_eq!(tasks.shutdown(LIMIT).await, Vec::<String>::new());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_beyond_the_writes_of_strangers() {
    let soon = Duration::from_millis(100);
    let change = |options: &mut EtcdOptions| {
        (options.prefix, options.event_within) = ("/one".into(), soon);
    };
    let bed = Bed::on(EtcdCluster::start(1), &change).await;
    let tasks = Tasks::new();
    let cluster = bed.cluster.as_ref().unwrap();
    let stranger = etcd(cluster, &tasks, &|options| options.prefix = "/two".into()).await.unwrap();
    let mut watch = bed.store.watch("/", 2).await.unwrap();
    put(&*stranger, "/theirs", "x").await;
    let revision = put(&*stranger, "/theirs", "y").await;
    watch.progress().request();
    assert!(events_until(&mut watch, revision).await.unwrap().is_empty());
    assert!(keys(&*bed.store, "/", None).await.is_empty());
    assert_eq!(keys(&*stranger, "", None).await, ["/theirs"]);
    assert!(!tasks.shutdown(LIMIT).await.contains(&"etcd feed".to_owned()));
    bed.close().await;
}

/// A hundred transactions of fifty keys each: more events than a server remembers.
async fn long_past(store: &dyn Store) {
    for n in 0..100 {
        let puts =
            (0..50).map(|key| Op::Put { key: format!("/{key}"), value: n.to_string().into(), lease: None });
        store.transact(Txn { success: puts.collect(), ..Txn::default() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_read_from_etcd_and_joins_the_present() {
    let bed = Bed::etcd().await;
    long_past(&*bed.store).await;
    // Else the watch may begin before the server has heard of any of it.
    let past = bed.store.revision().await.unwrap();
    let mut present = bed.store.watch("/", past).await.unwrap();
    present.progress().request();
    events_until(&mut present, past).await.unwrap();
    let mut watch = bed.store.watch("/4", 2).await.unwrap();
    let first = within(watch.next()).await.unwrap().unwrap();
    assert_eq!(first.events.first().map(|event| event.revision), Some(2));
    let last = put(&*bed.store, "/4", "end").await;
    let mut events = first.events;
    if first.revision < last {
        events.extend(events_until(&mut watch, last).await.unwrap());
    }
    // /4 and /40 to /49, a hundred times, and the last one.
    assert_eq!(events.len(), 1101);
    assert!(events.is_sorted_by_key(|event| event.revision));
    assert_eq!(events[11].previous.as_ref().map(|record| record.mod_revision), Some(2));
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_later_knows_the_past() {
    let bed = Bed::etcd().await;
    put(&*bed.store, "/a", "1").await;
    put(&*bed.store, "/a", "2").await;
    let bed = bed.reopen(tiphys_store::Options::default()).await;
    // Nothing has happened since it connected.
    let mut watch = bed.store.watch("/", 3).await.unwrap();
    assert_eq!(shorts(&events_until(&mut watch, 3).await.unwrap()), ["~/a@3=2"]);
    bed.store.compact(3).await.unwrap();
    let bed = bed.reopen(tiphys_store::Options::default()).await;
    for gone in [2, 3] {
        assert!(matches!(bed.store.watch("/", gone).await, Err(StoreError::Compacted { .. })), "{gone}");
    }
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_given_up_by_itself_by_one_of_the_servers() {
    let often = Duration::from_millis(100);
    let bed = Bed::on(EtcdCluster::start(1), &|options| options.compact_every = often).await;
    let tasks = Tasks::new();
    let cluster = bed.cluster.as_ref().unwrap();
    let other = etcd(cluster, &tasks, &|options| options.compact_every = often).await.unwrap();
    for n in 0..10 {
        put(&*bed.store, "/a", &n.to_string()).await;
    }
    within(async {
        while bed.store.get("/a", Some(5)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(keys(&*other, "/", None).await, ["/a"]);
    assert_eq!(tasks.shutdown(LIMIT).await, Vec::<String>::new());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_not_there_is_named() {
    let tasks = Tasks::new();
    let mut cluster = EtcdCluster::start(1);
    cluster.kill(0);
    let refused = refusal(&cluster, &tasks, &|_| {}).await;
    let StoreError::Unreachable { endpoints, why } = &refused else { panic!("{refused}") };
    assert_eq!(*endpoints, cluster.endpoints()[0]);
    assert!(why.contains("refused"), "{why}");
    let nowhere = refusal(&cluster, &tasks, &|options| options.endpoints.clear()).await;
    assert!(matches!(nowhere, StoreError::Unfit { .. }), "{nowhere}");
    tasks.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_spoken_to_with_certificates() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let [ca, certificate, key] = ["ca.crt", "etcd.crt", "etcd.key"].map(|name| folder.path().join(name));
    let authority = Authority::new();
    let (certificate_pem, key_pem) = authority.sign();
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&certificate, &certificate_pem).unwrap();
    std::fs::write(&key, &key_pem).unwrap();
    let cluster = EtcdCluster::start_tls(&ca, &certificate, &key);
    let identity_pem = Some((certificate_pem.into_bytes(), key_pem.into_bytes()));
    let tls = EtcdTls { ca_pem: authority.pem().into_bytes(), identity_pem };

    let tasks = Tasks::new();
    for (wrong, word) in [
        (None, "--etcd-cafile"),
        (Some(EtcdTls { identity_pem: None, ..tls.clone() }), ""),
        (Some(EtcdTls { ca_pem: Authority::new().pem().into_bytes(), ..tls.clone() }), "certificate"),
    ] {
        let refused = refusal(&cluster, &tasks, &|options| options.tls = wrong.clone()).await;
        assert!(refused.to_string().contains(word), "{refused}");
    }
    tasks.shutdown(LIMIT).await;
    let bed = Bed::on(cluster, &|options| options.tls = Some(tls.clone())).await;
    let mut watch = bed.store.watch("/", 2).await.unwrap();
    put(&*bed.store, "/a", "x").await;
    assert_eq!(shorts(&events_until(&mut watch, 2).await.unwrap()), ["+/a@2=x"]);
    bed.close().await;
}

/// An authority for one test.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for loopback, good for both sides, and its key.
    fn sign(&self) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
