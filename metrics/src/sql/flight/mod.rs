//! The Flight SQL door: Arrow's own batches over gRPC, for ADBC and JDBC drivers.
//!
//! ```text
//! GetFlightInfo (statement) ─> ticket: the statement itself ─> DoGet ─> plan ─> run ─> batches
//! ```
//!
//! It is mounted in the API server, whose TLS, tokens, certificates and rights are those
//! of any request. Nothing is kept between calls: tickets and handles of prepared
//! statements hold what was asked, and are answered as whoever shows them.

mod catalog;
mod handle;

use std::pin::Pin;

use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage,
    SchemaAsIpc, Ticket,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_server::{FlightService, FlightServiceServer},
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
        ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetCrossReference,
        CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
        CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
        CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
        SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
    ipc::writer::IpcWriteOptions,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::{Message, bytes::Bytes};
use tiphys_api::auth::{AsPassword, SharedAuthorizer, UserInfo};
use tonic::{Request, Response, Status, Streaming};

use self::handle::Handle;
use super::{Asker, EXPORT_DEADLINE, Engine, Limits, SqlError};

/// Bytes of a request: a statement and its parameters.
const MOST_REQUEST: usize = 4 << 20;

type Batches = <Service as FlightService>::DoGetStream;

/// The service; the user comes in the request's extensions.
pub fn routes(engine: Engine, authorizer: SharedAuthorizer) -> axum::Router {
    let service = FlightServiceServer::new(Service { engine, authorizer });
    tonic::service::Routes::new(service.max_decoding_message_size(MOST_REQUEST)).into_axum_router()
}

struct Service {
    engine: Engine,
    authorizer: SharedAuthorizer,
}

impl From<SqlError> for Status {
    fn from(error: SqlError) -> Self {
        let message = error.to_string();
        match error {
            SqlError::Invalid(_) => Self::invalid_argument(message),
            SqlError::TooSlow(_) | SqlError::SlowReader => Self::deadline_exceeded(message),
            SqlError::TooLarge(_) => Self::resource_exhausted(message),
            SqlError::Cancelled => Self::cancelled(message),
            SqlError::Died | SqlError::Format(_) => Self::internal(message),
        }
    }
}

impl Service {
    fn asker<T>(&self, request: &Request<T>) -> Result<Asker, Status> {
        let user = request.extensions().get::<UserInfo>().cloned();
        let user = user.ok_or_else(|| Status::unauthenticated("sign in first"))?;
        Ok(Asker::new(user, self.authorizer.clone()))
    }

    /// The rows of a statement, as Flight's messages.
    async fn rows(&self, handle: Handle, asker: Asker) -> Result<Response<Batches>, Status> {
        let values = handle.values().map_err(|error| Status::invalid_argument(error.to_string()))?;
        let limits = Limits::of(EXPORT_DEADLINE, &asker.user);
        let (session, plan) = self.engine.planned(&handle.statement, &asker, &limits, values).await?;
        let rows = self.engine.runner.rows(&limits, session, plan).await?;
        let schema = rows.schema();
        Ok(encoded(schema, rows.map_err(|error| FlightError::Tonic(Box::new(error.into())))))
    }

    /// An answer without a row.
    fn none(&self, request: &Request<Ticket>, schema: SchemaRef) -> Result<Response<Batches>, Status> {
        self.asker(request)?;
        Ok(encoded(schema.clone(), stream::iter([Ok(RecordBatch::new_empty(schema))])))
    }

    async fn schema(&self, handle: &Handle, asker: &Asker) -> Result<SchemaRef, Status> {
        let limits = Limits::of(EXPORT_DEADLINE, &asker.user);
        let values = handle.values().map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (_, plan) = self.engine.planned(&handle.statement, asker, &limits, values).await?;
        Ok(std::sync::Arc::new(plan.schema().as_arrow().clone()))
    }
}

fn encoded(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Response<Batches> {
    let messages = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    Response::new(messages.map_err(Status::from).boxed())
}

/// One batch as an answer.
fn whole(batch: Result<RecordBatch, impl std::fmt::Display>) -> Result<Response<Batches>, Status> {
    let batch = batch.map_err(|error| Status::internal(error.to_string()))?;
    Ok(encoded(batch.schema(), stream::iter([Ok(batch)])))
}

/// The way to an answer: one place, which is asked by `ticket`.
fn info(
    schema: &Schema,
    ticket: impl ProstMessageExt,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()));
    let info =
        FlightInfo::new().try_with_schema(schema).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
}

fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let message = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into();
    let IpcMessage(bytes) =
        message.map_err(|error: datafusion::arrow::error::ArrowError| Status::internal(error.to_string()))?;
    Ok(bytes)
}

fn read(bytes: &[u8]) -> Result<Handle, Status> {
    Handle::read(bytes).ok_or_else(|| Status::invalid_argument("no ticket or handle of this server"))
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    /// Clients that have a name and a password begin so, and show from then on what they are told
    /// here. Who they are was found out by the API server before.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        self.asker(&request)?;
        let mut response = Response::new(stream::iter([Ok(HandshakeResponse::default())]).boxed() as _);
        if let Some(AsPassword(token)) = request.extensions().get() {
            let shown = format!("Bearer {token}").parse();
            let shown = shown.map_err(|_| Status::unauthenticated("the password is no bearer token"))?;
            response.metadata_mut().insert("authorization", shown);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asker = self.asker(&request)?;
        let handle = Handle { statement: query.query, values: Vec::new() };
        let schema = self.schema(&handle, &asker).await?;
        info(&schema, TicketStatementQuery { statement_handle: handle.bytes() }, request)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asker = self.asker(&request)?;
        let schema = self.schema(&read(&query.prepared_statement_handle)?, &asker).await?;
        info(&schema, query, request)
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.into_builder().schema(), query, request)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.clone().into_builder().schema(), query, request)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.clone().into_builder().schema(), query, request)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.into_builder().schema(), query, request)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let facts = catalog::facts().map_err(Status::from)?;
        info(&query.clone().into_builder(&facts).schema(), query, request)
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&catalog::primary_keys(), query, request)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&catalog::foreign_keys(), query, request)
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&catalog::foreign_keys(), query, request)
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&catalog::foreign_keys(), query, request)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&catalog::types().map_err(Status::from)?.schema(), query, request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let asker = self.asker(&request)?;
        self.rows(read(&ticket.statement_handle)?, asker).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let asker = self.asker(&request)?;
        self.rows(read(&query.prepared_statement_handle)?, asker).await
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.asker(&request)?;
        whole(catalog::catalogs(query))
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let session = self.engine.session(&self.asker(&request)?);
        let session = session.map_err(|error| Status::internal(error.to_string()))?;
        whole(catalog::schemas(query, &session))
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let session = self.engine.session(&self.asker(&request)?);
        let session = session.map_err(|error| Status::internal(error.to_string()))?;
        whole(catalog::tables(query, &session).await)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.asker(&request)?;
        let mut types = query.into_builder();
        types.append(catalog::TABLE);
        whole(types.build())
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.asker(&request)?;
        whole(catalog::facts().and_then(|facts| query.into_builder(&facts).build()))
    }

    async fn do_get_primary_keys(
        &self,
        _: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.none(&request, catalog::primary_keys())
    }

    async fn do_get_exported_keys(
        &self,
        _: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.none(&request, catalog::foreign_keys())
    }

    async fn do_get_imported_keys(
        &self,
        _: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.none(&request, catalog::foreign_keys())
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.none(&request, catalog::foreign_keys())
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.asker(&request)?;
        whole(catalog::types().and_then(|types| query.into_builder(&types).build()))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let asker = self.asker(&request)?;
        let described = self.engine.described(&query.query, &asker).await?;
        let handle = Handle { statement: query.query, values: Vec::new() };
        let names = described.parameters.iter().zip(1..);
        let fields = names.map(|(kind, number)| Field::new(format!("${number}"), kind.clone(), true));
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.bytes(),
            dataset_schema: ipc(&described.schema)?,
            parameter_schema: ipc(&Schema::new(fields.collect::<Vec<_>>()))?,
        })
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.asker(&request)?;
        let mut handle = read(&query.prepared_statement_handle)?;
        handle.bind(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.bytes()) })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.asker(&request).map(drop)
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

#[cfg(test)]
mod tests;
