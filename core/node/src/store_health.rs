//! The store among the components that ComponentStatus shows: `store` if it is embedded, else
//! the members of etcd, each asked by itself.

use std::sync::Arc;

use async_trait::async_trait;
use tiphys_apiserver::{ApiServer, HealthCheck};
use tiphys_store::Store;

struct Part {
    store: Arc<dyn Store>,
    at: usize,
}

#[async_trait]
impl HealthCheck for Part {
    async fn check(&self) -> Result<String, String> {
        self.store.probe(self.at).await.map(|()| "ok".to_owned()).map_err(|error| error.to_string())
    }
}

pub fn watch_over(api: &ApiServer, store: &Arc<dyn Store>) {
    for (at, name) in store.parts().into_iter().enumerate() {
        api.watch_over(name, Arc::new(Part { store: store.clone(), at }));
    }
}
