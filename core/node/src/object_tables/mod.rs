//! The SQL schema `objects`: every kind that the API serves is a table, custom kinds and those of
//! extension servers too.
//!
//! ```text
//! objects.pods ── names of kinds, as the API serves them now (found when a statement names one)
//!   scan ── LIST as the statement's user, in pages ── rows: metadata, labels, the object as JSON
//! ```
//!
//! Rows are what the API's LIST gives this user, so who may see what is the API's to
//! say: cluster-wide, or in those namespaces where the user may list. A predicate on
//! namespace or name becomes part of the request.
//!
//! What it must not do: hold objects. The API server's watch caches do.

mod columns;
mod names;
mod scan;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{SchemaProvider, Session, TableProvider},
    common::{DataFusionError, Result},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, streaming::StreamingTableExec},
    prelude::SessionContext,
};
use tiphys_api::serve::Handler;
use tiphys_apiserver::ApiServer;
use tiphys_metrics::{Asker, Extension, Wanted};

use names::Resource;

/// Brings `objects` into SQL.
pub struct ObjectTables {
    api: ApiServer,
}

impl ObjectTables {
    pub fn new(api: ApiServer) -> Self {
        Self { api }
    }
}

impl Extension for ObjectTables {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let schema = Objects { api: self.api.clone(), asker: asker.clone(), columns: columns::schema() };
        for catalog in session.catalog_names().iter().filter_map(|name| session.catalog(name)) {
            catalog.register_schema("objects", Arc::new(schema.clone()))?;
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Objects {
    api: ApiServer,
    asker: Asker,
    columns: SchemaRef,
}

impl Objects {
    /// Those that there are now. Nobody is asked: of an extension server it is what was heard last.
    fn tables(&self) -> Vec<(String, Resource)> {
        names::of(&self.api.kinds(), &self.api.elsewhere())
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("user", &self.asker.user.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for Objects {
    fn table_names(&self) -> Vec<String> {
        self.tables().into_iter().map(|(name, _)| name).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let found = self.tables().into_iter().find(|(own, _)| own == name);
        Ok(found.map(|(name, resource)| -> Arc<dyn TableProvider> {
            let source = Source { handler: self.api.handler(), resource, name, asker: self.asker.clone() };
            Arc::new(ObjectTable { source, columns: self.columns.clone() })
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|own| own == name)
    }
}

/// The objects of a kind, as one user sees them.
#[derive(Clone)]
struct Source {
    handler: Handler,
    resource: Resource,
    name: String,
    asker: Asker,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.asker.user.name;
        f.debug_struct("Source").field("name", &self.name).field("user", user).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ObjectTable {
    source: Source,
    columns: SchemaRef,
}

#[async_trait]
impl TableProvider for ObjectTable {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = projection.cloned().unwrap_or_else(|| (0..self.columns.fields().len()).collect());
        let schema = Arc::new(self.columns.project(&places)?);
        let scan = scan::ObjectScan::new(self.source.clone(), Wanted::of(filters), places, schema.clone());
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, None, false, None)?))
    }
}

#[cfg(test)]
mod tests;
