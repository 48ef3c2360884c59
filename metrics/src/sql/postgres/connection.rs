//! One connection: whose it is and whose places it takes, its session, and what it runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};
use datafusion_postgres::{
    datafusion_pg_catalog::pg_catalog::{context::EmptyContextProvider, setup_pg_catalog},
    pgwire::error::{ErrorInfo, PgWireError, PgWireResult},
};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tiphys_api::auth::UserInfo;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    admission::Admitted,
    cursors::Cursors,
    parse::Translator,
    regtype, user,
    variables::{self, Variables},
};
use crate::{
    places::Place,
    sql::{
        Asker, SqlError,
        bounded::{self, Sizes},
        describe,
        session::CATALOG,
    },
};

/// A token is looked at again when this has passed: it may have run out, or its account be gone.
const CHECKED_AFTER: Duration = Duration::from_secs(10);

/// Codes of errors that end a connection, as Postgres has them.
pub const NOT_LET_IN: &str = "28000";
pub const TOO_MANY: &str = "53300";
pub const IDLE: &str = "57P05";

/// What a client has shown.
pub enum Login {
    Token(String),
    Certificate(CertificateDer<'static>),
}

/// A connection's state.
pub struct Connection {
    pub shared: Arc<Shared>,
    pub translator: Translator,
    pub variables: Arc<Variables>,
    pub cursors: Cursors,
    admitted: Admitted,
    entered: tokio::sync::Mutex<Option<Entered>>,
    key: Mutex<Option<(i32, Vec<u8>)>>,
}

struct Entered {
    login: Login,
    checked: Instant,
    asker: Asker,
    session: SessionContext,
    /// Of the user's.
    _place: Place,
}

impl Connection {
    pub fn new(shared: Arc<Shared>, admitted: Admitted) -> Self {
        Self {
            shared,
            translator: Translator::default(),
            variables: Arc::default(),
            cursors: Cursors::default(),
            admitted,
            entered: tokio::sync::Mutex::default(),
            key: Mutex::default(),
        }
    }

    /// Whether there is a place for a client of its address.
    ///
    /// # Errors
    /// There is none.
    pub fn has_place(&self) -> PgWireResult<()> {
        match &self.admitted.refused {
            None => Ok(()),
            Some(why) => Err(fatal(TOO_MANY, why)),
        }
    }

    /// Lets a client in.
    ///
    /// # Errors
    /// What it has shown isn't good, or its user has as many connections as one may.
    pub async fn enter(&self, login: Login) -> PgWireResult<()> {
        let user = self.user(&login).await.map_err(|why| fatal(NOT_LET_IN, &why))?;
        let place = self.shared.admission.of_user(&user.name).map_err(|why| fatal(TOO_MANY, &why))?;
        let made = self.session_of(user).await;
        let (asker, session) = made.map_err(|error| fatal(NOT_LET_IN, &error.to_string()))?;
        let checked = Instant::now();
        *self.entered.lock().await = Some(Entered { login, checked, asker, session, _place: place });
        Ok(())
    }

    /// The session of the connection's user, who is asked for again now and then.
    ///
    /// # Errors
    /// The credentials are no longer good.
    pub async fn session(&self) -> PgWireResult<(Asker, SessionContext)> {
        let mut entered = self.entered.lock().await;
        let Some(entered) = entered.as_mut() else {
            return Err(fatal(NOT_LET_IN, "there is no session"));
        };
        if entered.checked.elapsed() > CHECKED_AFTER {
            let user = self.user(&entered.login).await.map_err(|why| fatal(NOT_LET_IN, &why))?;
            if user != entered.asker.user {
                // What they were planned for may not be theirs any more.
                self.cursors.clear();
                let made = self.session_of(user).await;
                (entered.asker, entered.session) =
                    made.map_err(|error| fatal(NOT_LET_IN, &error.to_string()))?;
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
            Sizes::register(&session);
            session.register_udf(version());
            session.register_udf(regtype::to_regtype());
            variables::functions(&self.variables).into_iter().for_each(|udf| session.register_udf(udf));
            // Instead of the catalog's own, which knows one name only.
            user::functions(&asker.user).into_iter().for_each(|function| session.register_udf(function));
            // Some of the catalog's make more than they get.
            bounded::wrap(&session)?;
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
    let text = format!("PostgreSQL {}", variables::server_version());
    let value = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.clone()))));
    create_udf("version", Vec::new(), DataType::Utf8, Volatility::Stable, Arc::new(value))
}

/// An error that ends the connection.
pub fn fatal(code: &str, why: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), why.to_owned())))
}
