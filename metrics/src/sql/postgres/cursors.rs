//! Cursors: DECLARE, FETCH and CLOSE, by which psql's FETCH_COUNT and drivers' named cursors
//! read a large answer in pieces.
//!
//! A cursor is a statement whose rows wait for who fetches them: nothing is kept but the
//! batches on their way, so it only moves forward. It has the limits of any statement from
//! its first FETCH on, with more patience for who reads page by page, and a connection has
//! few of them. One that isn't held ends with its transaction; begun outside of one, with
//! the next that ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::{DFSchema, ParamValues},
    logical_expr::{EmptyRelation, LogicalPlan},
    prelude::SessionContext,
    sql::sqlparser::ast::{CloseCursor, Declare, FetchDirection, Ident, Query, Statement, Value},
};
use datafusion_postgres::{
    arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch},
    pgwire::{
        api::{
            ClientInfo, ClientPortalStore,
            portal::{Format, Portal},
            results::{QueryResponse, Response, Tag},
            stmt::StoredStatement,
            store::{MemPortalStore, PortalStore},
        },
        error::{PgWireError, PgWireResult},
        messages::PgWireBackendMessage,
        types::format::FormatOptions,
    },
};
use futures::{Sink, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    answer::{Prepared, notices, planned, told},
    connection::Connection,
};
use crate::sql::{Asker, Limits, Rows, SqlError, Wrong, run::Runner};

/// Cursors of a connection at once.
const MOST: usize = 4;
/// How long a cursor whose rows wait may be left alone: somebody reads what was fetched.
const PATIENCE: Duration = Duration::from_secs(300);

/// The cursors of a connection, by name.
#[derive(Default)]
pub struct Cursors(Mutex<BTreeMap<String, Arc<Cursor>>>);

pub struct Cursor {
    schema: SchemaRef,
    held: bool,
    /// Ends it, whichever statement fetches.
    cancelled: CancellationToken,
    reading: tokio::sync::Mutex<Reading>,
}

struct Reading {
    rows: Source,
    /// What was read and not asked for yet.
    left: Option<RecordBatch>,
}

enum Source {
    /// Starts with the first FETCH.
    Planned(Box<(Runner, Limits, SessionContext, LogicalPlan)>),
    Running(Rows),
    Ended,
}

impl Reading {
    async fn batch(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        if let Some(left) = self.left.take() {
            return Ok(Some(left));
        }
        // What fails has ended.
        let mut rows = match std::mem::replace(&mut self.rows, Source::Ended) {
            Source::Planned(planned) => {
                let (runner, limits, session, plan) = *planned;
                runner.rows(&limits, session, plan).await?
            }
            Source::Running(rows) => rows,
            Source::Ended => return Ok(None),
        };
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.rows = Source::Running(rows);
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The next rows, `most` of them or fewer.
    async fn take(&mut self, most: usize) -> Result<Option<RecordBatch>, SqlError> {
        let Some(batch) = self.batch().await? else { return Ok(None) };
        if batch.num_rows() <= most {
            return Ok(Some(batch));
        }
        self.left = Some(batch.slice(most, batch.num_rows() - most));
        Ok(Some(batch.slice(0, most)))
    }
}

impl Cursor {
    /// The next rows as an answer, as they come.
    fn fetch<C: ClientInfo>(
        self: &Arc<Self>,
        client: &C,
        format: &Format,
        count: usize,
    ) -> PgWireResult<Response> {
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        let fields = Arc::new(arrow_schema_to_pg_fields(&self.schema, format, Some(options))?);
        let shown = fields.clone();
        let next = |(cursor, wanted): (Arc<Self>, usize)| async move {
            if wanted == 0 {
                return Ok(None);
            }
            let batch = {
                let mut reading = cursor.reading.lock().await;
                reading.take(wanted).await.map_err(|error| told(&error, ""))?
            };
            Ok::<_, PgWireError>(batch.map(|batch| {
                let left = wanted - batch.num_rows();
                (batch, (cursor, left))
            }))
        };
        let batches = stream::try_unfold((self.clone(), count), next);
        let rows = batches
            .map_ok(move |batch| stream::iter(encode_recordbatch(shown.clone(), batch).collect::<Vec<_>>()))
            .try_flatten();
        let mut answer = QueryResponse::new(fields, Box::pin(rows));
        answer.set_command_tag("FETCH");
        Ok(Response::Query(answer))
    }
}

impl Cursors {
    fn get(&self, name: &Ident) -> PgWireResult<Arc<Cursor>> {
        let name = folded(name);
        let found = self.0.lock().get(&name).cloned();
        found.ok_or_else(|| wrong("34000", format!("cursor \"{name}\" does not exist")))
    }

    /// A transaction ends, and with it what isn't held.
    pub fn end_transaction<C>(&self, client: &C)
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let portals = portals(client);
        self.0.lock().retain(|name, cursor| {
            if let (false, Some(portals)) = (cursor.held, portals) {
                portals.rm_portal(name);
            }
            cursor.held
        });
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// All end, held or not.
    pub fn close_all<C>(&self, client: &C)
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let closed = std::mem::take(&mut *self.0.lock());
        if let Some(portals) = portals(client) {
            closed.keys().for_each(|name| portals.rm_portal(name));
        }
    }

    /// A cursor, whose rows may be described from now on.
    fn declare<C>(
        &self,
        client: &C,
        declared: &Declared<'_>,
        planned: (Runner, Limits, SessionContext, LogicalPlan),
    ) -> PgWireResult<Response>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let name = declared.name.clone();
        let (runner, limits, session, plan) = planned;
        let prepared: Prepared = (declared.query.to_string(), Some((declared.statement(), plan.clone())));
        let cursor = Cursor {
            schema: Arc::new(plan.schema().as_arrow().clone()),
            held: declared.held,
            cancelled: limits.cancelled.clone(),
            reading: tokio::sync::Mutex::new(Reading {
                rows: Source::Planned(Box::new((
                    runner,
                    Limits { patience: PATIENCE, ..limits },
                    session,
                    plan,
                ))),
                left: None,
            }),
        };
        {
            let mut cursors = self.0.lock();
            if cursors.contains_key(&name) {
                return Err(wrong("42P03", format!("cursor \"{name}\" already exists")));
            }
            if cursors.len() >= MOST {
                let message = format!("a connection has {MOST} cursors at most; close one");
                return Err(wrong("53400", message));
            }
            cursors.insert(name.clone(), Arc::new(cursor));
        }
        if let Some(portals) = portals(client) {
            let stored = StoredStatement::new(name.clone(), prepared, Vec::new());
            portals.put_portal(Arc::new(Portal::new_cursor(name, Arc::new(stored))));
        }
        Ok(Response::Execution(Tag::new("DECLARE CURSOR")))
    }

    fn close<C>(&self, client: &C, which: &CloseCursor) -> PgWireResult<Response>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        match which {
            CloseCursor::All => self.close_all(client),
            CloseCursor::Specific { name } => {
                self.get(name)?;
                let name = folded(name);
                self.0.lock().remove(&name);
                if let Some(portals) = portals(client) {
                    portals.rm_portal(&name);
                }
            }
        }
        Ok(Response::Execution(Tag::new("CLOSE CURSOR")))
    }
}

/// What the answer to a statement rests on.
pub struct Asked<'a> {
    pub connection: &'a Connection,
    pub asker: &'a Asker,
    pub session: &'a SessionContext,
    pub limits: &'a Limits,
    pub values: Option<ParamValues>,
    pub format: &'a Format,
    pub text: &'a str,
}

/// The answer to a statement about cursors; `None` for any other. Sees transactions end.
pub async fn answer<C>(
    client: &mut C,
    statement: &Statement,
    asked: Asked<'_>,
) -> Option<PgWireResult<Response>>
where
    C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::PortalStore: PortalStore,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let cursors = &asked.connection.cursors;
    match statement {
        Statement::Declare { stmts } => Some(declare(client, stmts, asked).await),
        Statement::Fetch { name, direction, into: None, .. } => Some(cursors.get(name).and_then(|cursor| {
            // Who cancels means what the cursor runs.
            asked.connection.resumes(cursor.cancelled.clone());
            cursor.fetch(client, asked.format, count(direction)?)
        })),
        Statement::Close { cursor } => Some(cursors.close(client, cursor)),
        _ => None,
    }
}

async fn declare<C>(client: &mut C, declares: &[Declare], asked: Asked<'_>) -> PgWireResult<Response>
where
    C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::PortalStore: PortalStore,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let Asked { connection, asker, session, limits, values, text, .. } = asked;
    let declared = Declared::read(declares)?;
    let runner = connection.shared.engine.runner.clone();
    let plan = planned(&runner, limits, session, &declared.statement(), values).await;
    let plan = plan.map_err(|error| told(&error, text))?;
    notices(client, asker).await?;
    connection.cursors.declare(client, &declared, (runner, limits.clone(), session.clone(), plan))
}

/// The store of a connection, which is the same for both protocols.
fn portals<C>(client: &C) -> Option<&MemPortalStore<Prepared>>
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    client.portal_store().as_any().downcast_ref()
}

/// What a DECLARE says.
pub struct Declared<'a> {
    name: String,
    query: &'a Query,
    held: bool,
}

impl<'a> Declared<'a> {
    /// # Errors
    /// It wants what a cursor here can't do.
    pub fn read(declares: &'a [Declare]) -> PgWireResult<Self> {
        let [Declare { names, binary, scroll, hold, for_query: Some(query), .. }] = declares else {
            return Err(wrong("0A000", "DECLARE is for cursors: declare NAME cursor for select ..."));
        };
        let [name] = names.as_slice() else { return Err(wrong("42601", "a cursor has one name")) };
        if *scroll == Some(true) {
            return Err(wrong("0A000", "cursors move forward only: leave out SCROLL"));
        }
        if *binary == Some(true) {
            return Err(wrong("0A000", "leave out BINARY, and ask for binary results when fetching"));
        }
        Ok(Self { name: folded(name), query, held: *hold == Some(true) })
    }

    /// The statement whose rows it gives.
    pub fn statement(&self) -> Statement {
        Statement::Query(Box::new(self.query.clone()))
    }
}

/// A plan that only says which columns a FETCH of a cursor has.
///
/// # Errors
/// There is no such cursor.
pub fn described(cursors: &Cursors, name: &Ident) -> PgWireResult<LogicalPlan> {
    let schema = cursors.get(name)?.schema.clone();
    let schema = DFSchema::try_from(schema).map_err(|error| told(&SqlError::of(&error), ""))?;
    Ok(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::new(schema) }))
}

fn count(direction: &FetchDirection) -> PgWireResult<usize> {
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(1),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(usize::MAX),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => {
            let number = match &limit.value {
                Value::Number(number, _) => number.parse().ok(),
                _ => None,
            };
            number.ok_or_else(|| wrong("42601", format!("{limit} is no number of rows")))
        }
        _ => Err(wrong("55000", "cursor can only scan forward")),
    }
}

/// A name as Postgres means it: in lower case, unless it is quoted.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

fn wrong(code: &'static str, message: impl Into<String>) -> PgWireError {
    told(&SqlError::Invalid(Wrong::new(code, message.into())), "")
}
