//! One request for a resource, with all that its verb needs.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use serde_json::Value;
use tiphys_api::{auth::UserInfo, serve::Body};

use crate::{
    admission::Notes,
    cache::CachedObject,
    registry::Resource,
    request::{
        accept::{Accept, Format, Shape},
        info::RequestInfo,
        options::Options,
    },
    respond::{self, object::warn, shape},
    state::Core,
    status::{ApiError, GroupResource, Result},
};

pub struct Context {
    pub core: Arc<Core>,
    pub resource: Arc<Resource>,
    pub info: RequestInfo,
    pub options: Options,
    pub accept: Accept,
    pub user: UserInfo,
    pub headers: HeaderMap,
    /// Warnings that the answer will carry, and annotations.
    pub notes: Arc<Notes>,
}

impl Context {
    pub fn new(
        core: Arc<Core>,
        resource: Arc<Resource>,
        info: RequestInfo,
        options: Options,
        accept: Accept,
        user: UserInfo,
        headers: HeaderMap,
    ) -> Self {
        Self { core, resource, info, options, accept, user, headers, notes: Arc::default() }
    }

    /// The same request about another resource or object.
    pub fn about(&self, resource: Arc<Resource>, info: RequestInfo, options: Options) -> Self {
        let (core, user, headers) = (self.core.clone(), self.user.clone(), self.headers.clone());
        let other = Self::new(core, resource, info, options, self.accept, user, headers);
        Self { notes: self.notes.clone(), ..other }
    }

    pub fn group_resource(&self) -> GroupResource<'static> {
        self.resource.group_resource()
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(self.group_resource(), &self.info.name)
    }

    /// Warnings that the answer will carry.
    pub fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        warnings.into_iter().for_each(|warning| self.notes.warn(warning));
    }

    /// Who writes: `fieldManager`, else the program's name in the User-Agent.
    pub fn field_manager(&self) -> String {
        if !self.options.field_manager.is_empty() {
            return self.options.field_manager.clone();
        }
        let agent = self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let program = agent.and_then(|agent| agent.split('/').next()).unwrap_or_default().trim();
        if program.is_empty() { "unknown".into() } else { program.chars().take(128).collect() }
    }

    /// Answers with an object as it was stored. The cache has it in the bytes that most clients want.
    pub fn answer(&self, code: StatusCode, object: Value) -> Result<Response<Body>> {
        let Some(held) = self.held(&object) else {
            return self.answer_served(code, self.resource.served_from(object));
        };
        let mut response = respond::object::bytes(code, Format::Json.content_type(), held.json.clone());
        warn(&mut response, &self.notes.warnings());
        Ok(response)
    }

    /// Whether an answer is the bytes that the cache holds.
    pub fn wants_held(&self) -> bool {
        let plain = self.accept.format == Format::Json && self.accept.shape == Shape::Object;
        plain && !self.options.pretty && self.resource.served_as_stored()
    }

    /// The very object in the cache, where an answer may be its bytes. A dry run stored nothing: what
    /// is there at that revision is another.
    fn held(&self, object: &Value) -> Option<Arc<CachedObject>> {
        if self.options.dry_run || !self.wants_held() {
            return None;
        }
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let revision = text("resourceVersion").parse().ok()?;
        let namespace = self.resource.within(text("namespace"));
        self.resource.cache().ok()?.at(namespace, text("name"), revision)
    }

    /// Answers with an object of the served version, in the asked shape.
    pub fn answer_served(&self, code: StatusCode, object: Value) -> Result<Response<Body>> {
        let shown = shape::one(&self.resource, object, self.accept.shape, &self.options.include_object);
        self.answer_value(code, &shown)
    }

    /// Answers with a document as it is.
    pub fn answer_value(&self, code: StatusCode, value: &Value) -> Result<Response<Body>> {
        let mut response = respond::object(code, self.accept.format, self.options.pretty, value)?;
        warn(&mut response, &self.notes.warnings());
        Ok(response)
    }

    /// Answers with an error; what the client was warned of still holds.
    pub fn answer_error(&self, error: &ApiError) -> Response<Body> {
        let mut response = respond::error(error, self.accept.format);
        warn(&mut response, &self.notes.warnings());
        response
    }
}
