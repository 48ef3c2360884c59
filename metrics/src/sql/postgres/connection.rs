//! One connection: whose it is, its session, what it runs, and which part of the
//! protocol is handled by whom.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};
use datafusion_postgres::{
    datafusion_pg_catalog::{
        pg_catalog::{context::EmptyContextProvider, setup_pg_catalog},
        sql::PostgresCompatibilityParser,
    },
    pgwire::{
        api::{
            PgWireServerHandlers,
            auth::StartupHandler,
            cancel::CancelHandler,
            query::{ExtendedQueryHandler, SimpleQueryHandler},
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
        messages::cancel::CancelRequest,
    },
};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tiphys_api::auth::UserInfo;
use tokio_util::sync::CancellationToken;

use super::{Shared, VERSION, answer::Statements, cursors::Cursors, regtype, startup::Startup, user};
use crate::sql::{Asker, SqlError, describe, session::CATALOG};

/// A token is looked at again when this has passed: it may have run out, or its account be gone.
const CHECKED_AFTER: Duration = Duration::from_secs(10);

/// What a client has shown.
pub enum Login {
    Token(String),
    Certificate(CertificateDer<'static>),
}

/// A connection's state.
pub struct Connection {
    pub shared: Arc<Shared>,
    pub compatible: PostgresCompatibilityParser,
    pub cursors: Cursors,
    entered: tokio::sync::Mutex<Option<Entered>>,
    key: Mutex<Option<(i32, Vec<u8>)>>,
}

struct Entered {
    login: Login,
    checked: Instant,
    asker: Asker,
    session: SessionContext,
}

impl Connection {
    pub fn new(shared: Arc<Shared>) -> Self {
        let compatible = PostgresCompatibilityParser::new();
        Self {
            shared,
            compatible,
            cursors: Cursors::default(),
            entered: tokio::sync::Mutex::default(),
            key: Mutex::default(),
        }
    }

    /// Lets a client in.
    ///
    /// # Errors
    /// Why what it has shown isn't good, as a sentence.
    pub async fn enter(&self, login: Login) -> Result<(), String> {
        let user = self.user(&login).await?;
        let (asker, session) = self.session_of(user).await.map_err(|error| error.to_string())?;
        *self.entered.lock().await = Some(Entered { login, checked: Instant::now(), asker, session });
        Ok(())
    }

    /// The session of the connection's user, who is asked for again now and then.
    ///
    /// # Errors
    /// The credentials are no longer good.
    pub async fn session(&self) -> PgWireResult<(Asker, SessionContext)> {
        let mut entered = self.entered.lock().await;
        let Some(entered) = entered.as_mut() else { return Err(fatal("there is no session")) };
        if entered.checked.elapsed() > CHECKED_AFTER {
            let user = self.user(&entered.login).await.map_err(|why| fatal(&why))?;
            if user != entered.asker.user {
                // What they were planned for may not be theirs any more.
                self.cursors.clear();
                let made = self.session_of(user).await.map_err(|error| fatal(&error.to_string()))?;
                (entered.asker, entered.session) = made;
            }
            entered.checked = Instant::now();
        }
        Ok((entered.asker.clone(), entered.session.clone()))
    }

    async fn user(&self, login: &Login) -> Result<UserInfo, String> {
        match login {
            Login::Token(token) => self.shared.credentials.token(token).await,
            Login::Certificate(certificate) => self.shared.credentials.certificate(certificate).await,
        }
    }

    async fn session_of(&self, user: UserInfo) -> Result<(Asker, SessionContext), SqlError> {
        let asker = Asker::new(user, self.shared.authorizer.clone());
        let made = async {
            let session = self.shared.engine.session(&asker)?;
            describe::register(&session).await?;
            setup_pg_catalog(&session, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
            session.register_udf(version());
            session.register_udf(regtype::to_regtype());
            // Instead of the catalog's own, which knows one name only.
            user::functions(&asker.user).into_iter().for_each(|function| session.register_udf(function));
            Ok(session)
        };
        let session = made.await.map_err(|error| SqlError::of(&error))?;
        Ok((asker, session))
    }

    /// What a request to cancel will name.
    pub fn named(&self, pid: i32, secret: &[u8]) {
        *self.key.lock() = Some((pid, secret.to_vec()));
    }

    /// A statement begins; what ends it early.
    pub fn begins(&self) -> CancellationToken {
        let cancelled = CancellationToken::new();
        self.resumes(cancelled.clone());
        cancelled
    }

    /// A statement that was begun before goes on.
    pub fn resumes(&self, cancelled: CancellationToken) {
        if let Some(key) = &*self.key.lock() {
            self.shared.running.lock().insert(key.clone(), cancelled);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(key) = self.key.get_mut() {
            self.shared.running.lock().remove(key);
        }
    }
}

/// `version()`, by whose number drivers tell which catalog they may ask for.
fn version() -> ScalarUDF {
    let text = format!("PostgreSQL {VERSION} (Tiphys {})", env!("CARGO_PKG_VERSION"));
    let value = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.clone()))));
    create_udf("version", Vec::new(), DataType::Utf8, Volatility::Stable, Arc::new(value))
}

fn fatal(why: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), "28000".to_owned(), why.to_owned())))
}

/// The parts of the protocol.
pub struct Handlers(pub Arc<Connection>);

impl PgWireServerHandlers for Handlers {
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::new(Startup(self.0.clone()))
    }

    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(Statements::of(self.0.clone()))
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(Statements::of(self.0.clone()))
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::new(Cancel(self.0.shared.clone()))
    }
}

/// A request to cancel comes on a connection of its own.
struct Cancel(Arc<Shared>);

#[async_trait]
impl CancelHandler for Cancel {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, request.secret_key.to_bytes().to_vec());
        if let Some(running) = self.0.running.lock().get(&key) {
            running.cancel();
        }
    }
}
