//! Statements of a connection, by the simple and the extended protocol: planned on a
//! thread of their own, and their rows sent as they come.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::{DataType, Schema},
    common::{DFSchema, DataFusionError, ParamValues},
    logical_expr::{EmptyRelation, LogicalPlan},
    prelude::SessionContext,
    sql::{
        parser::Statement as Parsed,
        sqlparser::ast::{DiscardObject, Statement},
    },
};
use datafusion_postgres::{
    arrow_pg::datatypes::{arrow_schema_to_pg_fields, df, encode_recordbatch, into_pg_type},
    pgwire::{
        api::{
            ClientInfo, ClientPortalStore, PgWireConnectionState, Type,
            portal::{Format, Portal},
            query::{
                ExtendedQueryHandler, SimpleQueryHandler, send_execution_response, send_query_response,
                send_ready_for_query,
            },
            results::{FieldInfo, QueryResponse, Response},
            stmt::QueryParser,
            store::PortalStore,
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
        messages::{
            PgWireBackendMessage,
            extendedquery::Execute,
            response::{EmptyQueryResponse, NoticeResponse},
            simplequery::Query,
        },
        types::format::FormatOptions,
    },
};
use futures::{Sink, SinkExt, StreamExt, TryStreamExt, stream};

use super::{
    connection::Connection,
    cursors::{self, Asked, Declared},
    descriptions,
    parse::MOST_STATEMENTS,
    settings,
};
use crate::sql::{
    Asker, EXPORT_DEADLINE, Limits, SqlError, Wrong, constants, only_queries,
    run::{self, Runner},
};

/// A statement as the store of a connection holds it: its text, and what it says.
pub type Prepared = (String, Option<(Statement, LogicalPlan)>);

/// Answers the statements of one connection.
pub struct Statements {
    connection: Arc<Connection>,
    parser: Arc<Planner>,
}

impl Statements {
    pub fn of(connection: Arc<Connection>) -> Self {
        Self { parser: Arc::new(Planner(connection.clone())), connection }
    }

    fn limits<C: ClientInfo>(&self, client: &C, asker: &Asker) -> Limits {
        let deadline = settings::timeout(client).map_or(EXPORT_DEADLINE, |own| own.min(EXPORT_DEADLINE));
        Limits { cancelled: self.connection.begins(), ..Limits::of(deadline, &asker.user) }
    }

    /// Cursors end with their transaction, and all of them where all is discarded.
    fn ended<C>(&self, client: &C, statement: &Statement)
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        if matches!(statement, Statement::Commit { .. } | Statement::Rollback { savepoint: None, .. }) {
            self.connection.cursors.end_transaction(client);
        }
        if matches!(statement, Statement::Discard { object_type: DiscardObject::ALL }) {
            self.connection.cursors.close_all(client);
        }
    }

    /// What was found missing while rows were read, as notices behind them.
    async fn late_notices<C>(&self, client: &mut C) -> PgWireResult<()>
    where
        C: Sink<PgWireBackendMessage> + Unpin + Send,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (asker, _) = self.connection.session().await?;
        notices(client, &asker).await
    }

    /// Starts a plan when its rows are first asked for; what is known by then of what the answer
    /// lacks is a notice before them.
    fn response<C: ClientInfo>(
        &self,
        client: &C,
        session: SessionContext,
        plan: LogicalPlan,
        format: &Format,
        limits: Limits,
    ) -> PgWireResult<Response> {
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        let fields = Arc::new(arrow_schema_to_pg_fields(plan.schema().as_arrow(), format, Some(options))?);
        let (runner, shown) = (self.connection.shared.engine.runner.clone(), fields.clone());
        let batches = stream::once(async move {
            let rows = runner.rows(&limits, session, plan).await.map_err(|error| told(&error, ""))?;
            Ok::<_, PgWireError>(rows.map_err(|error| told(&error, "")))
        })
        .try_flatten();
        let rows = batches
            .map(move |batch| match batch {
                Ok(batch) => stream::iter(encode_recordbatch(shown.clone(), batch).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            })
            .flatten();
        Ok(Response::Query(QueryResponse::new(fields, Box::pin(rows))))
    }
}

#[async_trait]
impl SimpleQueryHandler for Statements {
    /// As the library does it, with the late notices before the word that all is said: what comes
    /// behind that, clients read with their next statement, if there is one.
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let mut transaction = client.transaction_status();
        for response in SimpleQueryHandler::do_query(self, client, &query.query).await? {
            match response {
                Response::EmptyQuery => {
                    let empty = PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new());
                    client.feed(empty).await?;
                }
                Response::Query(rows) => send_query_response(client, rows, true).await?,
                Response::Execution(tag) => send_execution_response(client, tag).await?,
                Response::TransactionStart(tag) => {
                    send_execution_response(client, tag).await?;
                    transaction = transaction.to_in_transaction_state();
                }
                Response::TransactionEnd(tag) => {
                    send_execution_response(client, tag).await?;
                    transaction = transaction.to_idle_state();
                }
                Response::Error(error) => {
                    client.feed(PgWireBackendMessage::ErrorResponse((*error).into())).await?;
                    transaction = transaction.to_error_state();
                }
                Response::CopyIn(_) | Response::CopyOut(_) | Response::CopyBoth(_) => {
                    let wrong = Wrong::new("0A000", "nothing is copied here");
                    return Err(told(&SqlError::Invalid(wrong), &query.query));
                }
            }
        }
        self.late_notices(client).await?;
        client.set_state(PgWireConnectionState::ReadyForQuery);
        client.set_transaction_status(transaction);
        send_ready_for_query(client, transaction).await
    }

    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (asker, session) = self.connection.session().await?;
        // What an answer before has said late is not of this one.
        asker.notes.take();
        let limits = self.limits(client, &asker);
        let statements = parsed(&self.connection, query)?;
        prepare(&session, query).await?;
        if statements.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        if statements.len() > MOST_STATEMENTS {
            let message = format!("more than {MOST_STATEMENTS} statements in one message");
            return Err(told(&SqlError::Invalid(Wrong::new("54000", message)), query));
        }
        let mut responses = Vec::new();
        for statement in statements {
            let (variables, format) = (&self.connection.variables, &Format::UnifiedText);
            if let Some(answer) = settings::answer(&statement, &session, client, variables, format).await {
                self.ended(client, &statement);
                responses.push(answer?);
                continue;
            }
            let asked = Asked {
                connection: &self.connection,
                asker: &asker,
                session: &session,
                limits: &limits,
                values: None,
                format: &Format::UnifiedText,
                text: query,
            };
            if let Some(answer) = cursors::answer(client, &statement, asked).await {
                responses.push(answer?);
                continue;
            }
            let runner = &self.connection.shared.engine.runner;
            let plan = planned(runner, &limits, &session, &statement, None).await;
            let plan = plan.map_err(|error| told(&error, query))?;
            notices(client, &asker).await?;
            responses.push(self.response(
                client,
                session.clone(),
                plan,
                &Format::UnifiedText,
                limits.clone(),
            )?);
        }
        Ok(responses)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Statements {
    type Statement = Prepared;
    type QueryParser = Planner;

    fn query_parser(&self) -> Arc<Planner> {
        self.parser.clone()
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self._on_execute(client, message).await?;
        self.late_notices(client).await
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (text, said) = &portal.statement.statement;
        let Some((statement, plan)) = said else { return Ok(Response::EmptyQuery) };
        let (asker, session) = self.connection.session().await?;
        let (variables, format) = (&self.connection.variables, &portal.result_column_format);
        if let Some(answer) = settings::answer(statement, &session, client, variables, format).await {
            self.ended(client, statement);
            return answer;
        }
        // What an answer before has said late is not of this one.
        asker.notes.take();
        let limits = self.limits(client, &asker);
        let parameters = parameters(plan)?;
        let kinds: Vec<_> = parameters.iter().map(Option::as_ref).collect();
        let values = df::deserialize_parameters(portal, &kinds)?;
        let asked = Asked {
            connection: &self.connection,
            asker: &asker,
            session: &session,
            limits: &limits,
            values: Some(values.clone()),
            format: &portal.result_column_format,
            text,
        };
        if let Some(answer) = cursors::answer(client, statement, asked).await {
            return answer;
        }
        let runner = &self.connection.shared.engine.runner;
        // Planned anew: tables, rights and the time may have changed since it was prepared.
        let plan = planned(runner, &limits, &session, statement, Some(values)).await;
        let plan = plan.map_err(|error| told(&error, text))?;
        notices(client, &asker).await?;
        self.response(client, session, plan, &portal.result_column_format, limits)
    }
}

/// Plans what is prepared, for the types of its parameters and columns.
pub struct Planner(Arc<Connection>);

#[async_trait]
impl QueryParser for Planner {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        _client: &C,
        sql: &str,
        _types: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let (asker, session) = self.0.session().await?;
        let mut statements = parsed(&self.0, sql)?;
        prepare(&session, sql).await?;
        if statements.len() > 1 {
            let message = "a prepared statement is one statement";
            return Err(told(&SqlError::Invalid(Wrong::new("42601", message)), sql));
        }
        let Some(statement) = statements.pop() else { return Ok(None) };
        if let Some(columns) = settings::columns(&statement, &self.0.variables)? {
            let schema = DFSchema::try_from(Schema::new(columns));
            let schema = Arc::new(schema.map_err(|error| told(&SqlError::of(&error), sql))?);
            let nothing = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
            return Ok(Some((sql.to_owned(), Some((statement, nothing)))));
        }
        let asked = match &statement {
            Statement::Fetch { name, .. } => {
                let plan = cursors::described(&self.0.cursors, name)?;
                return Ok(Some((sql.to_owned(), Some((statement, plan)))));
            }
            Statement::Declare { stmts } => Declared::read(stmts)?.statement(),
            _ => statement.clone(),
        };
        let limits = Limits { cancelled: self.0.begins(), ..Limits::of(EXPORT_DEADLINE, &asker.user) };
        let planning = session.clone();
        let plan = self.0.shared.engine.runner.value(&limits, async move || logical(&planning, asked).await);
        let plan = plan.await.map_err(|error| told(&error, sql))?;
        Ok(Some((sql.to_owned(), Some((statement, plan)))))
    }

    fn get_parameter_types(&self, stmt: &Prepared) -> PgWireResult<Vec<Type>> {
        let Some((_, plan)) = &stmt.1 else { return Ok(Vec::new()) };
        // What the engine can't tell is a text, as Postgres has it.
        let kind = |kind: &Option<DataType>| kind.as_ref().map_or(Ok(Type::TEXT), into_pg_type);
        parameters(plan)?.iter().map(kind).collect()
    }

    fn get_result_schema(&self, stmt: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        let Some((statement, plan)) = &stmt.1 else { return Ok(Vec::new()) };
        if matches!(statement, Statement::Declare { .. }) {
            return Ok(Vec::new());
        }
        arrow_schema_to_pg_fields(plan.schema().as_arrow(), format.unwrap_or(&Format::UnifiedBinary), None)
    }
}

/// What only some statements ask for.
async fn prepare(session: &SessionContext, text: &str) -> PgWireResult<()> {
    if !descriptions::are_asked(text) {
        return Ok(());
    }
    descriptions::register(session).await.map_err(|error| told(&SqlError::of(&error), ""))
}

fn parsed(connection: &Connection, text: &str) -> PgWireResult<Vec<Statement>> {
    connection.translator.statements(text).map_err(|error| {
        let error = DataFusionError::SQL(Box::new(error), None);
        told(&SqlError::of(&error), text)
    })
}

fn parameters(plan: &LogicalPlan) -> PgWireResult<Vec<Option<DataType>>> {
    run::parameters(plan).map_err(|error| told(&SqlError::of(&error), ""))
}

async fn logical(session: &SessionContext, statement: Statement) -> Result<LogicalPlan, SqlError> {
    let planned = async {
        constants::begin(session);
        let plan = session.state().statement_to_plan(Parsed::Statement(Box::new(statement))).await?;
        only_queries().verify_plan(&plan)?;
        Ok(plan)
    };
    match planned.await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(SqlError::within(&error, session).await),
    }
}

/// The plan of a statement, with its parameters in it, ready to run.
pub async fn planned(
    runner: &Runner,
    limits: &Limits,
    session: &SessionContext,
    statement: &Statement,
    values: Option<ParamValues>,
) -> Result<LogicalPlan, SqlError> {
    let (session, statement) = (session.clone(), statement.clone());
    runner
        .value(limits, async move || {
            let plan = logical(&session, statement).await?;
            let plan = match values {
                Some(values) => plan.replace_params_with_values(&values),
                None => Ok(plan),
            };
            plan.and_then(|plan| constants::optimized(&session, &plan)).map_err(|error| SqlError::of(&error))
        })
        .await
}

/// What an answer lacks, as a notice that psql prints.
pub async fn notices<C>(client: &mut C, asker: &Asker) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin + Send,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    for note in asker.notes.take() {
        let info = ErrorInfo::new("NOTICE".to_owned(), "01000".to_owned(), note);
        client.feed(PgWireBackendMessage::NoticeResponse(NoticeResponse::from(info))).await?;
    }
    Ok(())
}

/// An error as the protocol tells it.
pub fn told(error: &SqlError, statement: &str) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), error.code().to_owned(), error.to_string());
    if let SqlError::Invalid(wrong) = error {
        info.message.clone_from(&wrong.message);
        info.hint.clone_from(&wrong.hint);
        info.position = wrong.position(statement).map(|position| position.to_string());
    }
    PgWireError::UserError(Box::new(info))
}
