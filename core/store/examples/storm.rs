//! Measures a store: 64 clients create keys of a kilobyte, one watch sees them.
//!
//! ```text
//! cargo run -p tiphys-store --example storm                              # embedded, in a temporary folder
//! cargo run -p tiphys-store --example storm -- http://127.0.0.1:2379     # etcd: an empty one
//! ```

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Etcd, EtcdOptions, Store, Txn};

const CLIENTS: usize = 64;
const LASTS: Duration = Duration::from_secs(10);
const VALUE: usize = 1024;

#[tokio::main]
async fn main() {
    let endpoints: Vec<String> = std::env::args().skip(1).collect();
    let (tasks, folder) = (Tasks::new(), tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> = if endpoints.is_empty() {
        Embedded::open(folder.path(), &tasks).await.unwrap()
    } else {
        Etcd::connect(EtcdOptions::new(endpoints), &tasks).await.unwrap()
    };
    let sent = Mutex::new(HashMap::<String, Instant>::new());
    let from = store.revision().await.unwrap() + 1;
    let mut watch = store.watch("/storm/", from).await.unwrap();
    let began = Instant::now();
    let writers = (0..CLIENTS).map(|client| {
        let (store, sent) = (&store, &sent);
        async move {
            let mut took = Vec::new();
            for n in 0.. {
                if began.elapsed() > LASTS {
                    break;
                }
                let key = format!("/storm/{client}/{n}");
                let start = Instant::now();
                sent.lock().unwrap().insert(key.clone(), start);
                store.transact(Txn::create(key, vec![b'x'; VALUE], None)).await.unwrap();
                took.push(start.elapsed());
            }
            took
        }
    });
    let watching = async {
        let mut seen = Vec::new();
        while began.elapsed() < LASTS {
            let next = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
            let Ok(batch) = next else { break };
            let sent = sent.lock().unwrap();
            seen.extend(batch.unwrap().unwrap().events.iter().map(|event| sent[&event.key].elapsed()));
        }
        seen
    };
    let (took, mut seen) = tokio::join!(futures::future::join_all(writers), watching);
    let mut took = took.concat();
    println!("creates/s         {:.0}", took.len() as f64 / LASTS.as_secs_f64());
    println!("acknowledged      {}", quantiles(&mut took));
    println!("seen by a watch   {}", quantiles(&mut seen));
    tasks.shutdown(Duration::from_secs(10)).await;
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    format!("p50 {:?}, p99 {:?}, of {}", at(0.5), at(0.99), times.len())
}
