//! A real API server with the tables of SQL, for tests of the prompt and of scripts.

use std::sync::Arc;

use kube::Client;
use tiphys_api::auth::UserInfo;
use tiphys_client::in_memory;
use tiphys_metrics::{Decisions, Engine, sql_mounts};

use crate::roles::test_server::TestServer;

pub struct World {
    server: TestServer,
    pub client: Client,
}

impl World {
    pub async fn start() -> Self {
        let server = TestServer::start().await;
        let decisions =
            Decisions::open(server.folder.path().join("decisions"), &server.tasks).expect("opened");
        let engine = Engine::new(Arc::default(), decisions, Vec::new());
        for mount in sql_mounts(engine, server.api.authorizer()) {
            server.api.mount(mount);
        }
        let client = in_memory(server.api.handler(), UserInfo::master("admin"));
        Self { server, client }
    }

    pub async fn end(self) {
        self.server.end().await;
    }
}
