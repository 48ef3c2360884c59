//! How a connection begins: TLS, then a certificate that the handshake has verified, or a
//! bearer token as password.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use datafusion_postgres::pgwire::{
    api::{
        ClientInfo, PgWireConnectionState, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
        auth::{
            DefaultServerParameterProvider, ServerParameterProvider, StartupHandler, finish_authentication,
            protocol_negotiation, save_startup_parameters_to_metadata,
        },
    },
    error::{PgWireError, PgWireResult},
    messages::{PgWireBackendMessage, PgWireFrontendMessage, startup::Authentication},
    types::format::FormatOptions,
};
use futures::{Sink, SinkExt};

use super::{
    connection::{Connection, Login, NOT_LET_IN, fatal},
    settings, variables,
};

/// The handler of a connection's first messages.
pub struct Startup(pub Arc<Connection>);

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                if !client.is_secure() {
                    return Err(fatal(NOT_LET_IN, "TLS is required: connect with sslmode=require"));
                }
                self.0.has_place()?;
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                settings::begin(client, &self.0.variables);
                let certificate = client
                    .client_certificates()
                    .and_then(|chain| chain.first())
                    .map(|own| own.clone().into_owned());
                if let Some(certificate) = certificate {
                    return self.enter(client, Login::Certificate(certificate)).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let ask = PgWireBackendMessage::Authentication(Authentication::CleartextPassword);
                Ok(client.send(ask).await?)
            }
            PgWireFrontendMessage::PasswordMessageFamily(password) => {
                let token = password.into_password()?.password;
                self.enter(client, Login::Token(token)).await
            }
            _ => Ok(()),
        }
    }
}

impl Startup {
    async fn enter<C>(&self, client: &mut C, login: Login) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.0.enter(login).await?;
        let (pid, secret) = RandomPidSecretKeyGenerator::default().generate(client);
        client.set_pid_and_secret_key(pid, secret.clone());
        self.0.named(pid, &secret.to_bytes());
        finish_authentication(client, &Parameters).await
    }
}

/// What clients are told of the server.
struct Parameters;

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        let mut provider = DefaultServerParameterProvider::default();
        provider.server_version = variables::server_version();
        provider.is_superuser = false;
        provider.default_transaction_read_only = true;
        provider.time_zone = "UTC".to_owned();
        // As the client has asked for it: drivers read dates by what they are told here.
        let written = FormatOptions::from_client_metadata(client.metadata());
        provider.date_style = written.date_style;
        provider.interval_style = written.interval_style;
        provider.server_parameters(client)
    }
}

#[cfg(test)]
mod tests {
    use datafusion_postgres::pgwire::api::DefaultClient;

    use super::*;

    #[test]
    fn the_handshake_tells_how_rows_are_written() {
        let mut client = DefaultClient::<()>::new(([127, 0, 0, 1], 5432).into(), true);
        let styles = |client: &DefaultClient<()>| {
            let told = Parameters.server_parameters(client).expect("parameters");
            format!("{} | {}", told["DateStyle"], told["IntervalStyle"])
        };
        assert_eq!(styles(&client), "ISO, YMD | postgres");
        let begun = [("datestyle", "German"), ("options", "-c intervalstyle=iso_8601")];
        client.metadata.extend(begun.map(|(name, value)| (name.to_owned(), value.to_owned())));
        settings::begin(&mut client, &variables::Variables::default());
        assert_eq!(styles(&client), "German | iso_8601");
    }
}
