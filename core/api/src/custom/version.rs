//! One version of a CustomResourceDefinition, ready to serve.

use std::sync::Arc;

use serde_json::Value;

use super::{Structural, cel, check, columns, default, embedded, kind, lists, openapi, path::Path, prune};
use crate::{
    access::{flag, has, list, text},
    field::FieldError,
    kind::Kind,
    schema::{self, Schema, TypeError},
    validate::Errors,
};

/// A version of a definition.
pub struct Version {
    pub kind: &'static Kind,
    pub served: bool,
    /// Objects are kept in this version.
    pub storage: bool,
    /// What its users are told, if it is deprecated.
    pub deprecation: Option<String>,
    /// `openAPIV3Schema` as written.
    pub openapi: Value,
    pub structural: Structural,
    pub rules: cel::Rules,
    /// For server-side apply.
    pub schema: Arc<Schema>,
    pub columns: Vec<columns::Column>,
    pub scale: Option<ScaleSpec>,
}

/// Where the subresource scale finds its figures, as dotted paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSpec {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub selector: String,
}

impl Version {
    /// Every version of a definition. `names` are the accepted ones.
    pub fn all(definition: &Value, names: &Value) -> Vec<Self> {
        let versions = list(definition, "/spec/versions");
        versions.iter().map(|version| Self::of(definition, names, version)).collect()
    }

    fn of(definition: &Value, names: &Value, version: &Value) -> Self {
        let openapi = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
        let scale = scale(version);
        let kind = kind::of(&kind_names(definition, names, version, scale.as_ref()));
        let deprecated = flag(version, "/deprecated");
        let structural = Structural::parse(&openapi);
        Self {
            kind,
            served: flag(version, "/served"),
            storage: flag(version, "/storage"),
            deprecation: deprecated.then(|| match text(version, "/deprecationWarning") {
                "" => format!("{} {} is deprecated", kind.api_version(), kind.kind),
                warning => warning.to_owned(),
            }),
            rules: cel::Rules::compile(&structural),
            structural,
            schema: openapi::for_apply(&openapi),
            columns: columns::of_version(version),
            openapi,
            scale,
        }
    }

    /// Brings a decoded object into the schema's shape: unknown fields go. Gives their paths.
    ///
    /// # Errors
    /// A field of metadata has the wrong type.
    pub fn shape(&self, object: &mut Value) -> Result<Vec<String>, TypeError> {
        self.shaped(object, schema::check)
    }

    /// As [`Version::shape`], for an applied configuration.
    ///
    /// # Errors
    /// A field of metadata has the wrong type.
    pub fn shape_as_written(&self, object: &mut Value) -> Result<Vec<String>, TypeError> {
        self.shaped(object, schema::check_as_written)
    }

    fn shaped(&self, object: &mut Value, check: schema::Check) -> Result<Vec<String>, TypeError> {
        let mut unknown = embedded::shape(&self.structural, object, check)?;
        unknown.extend(prune::prune(&self.structural, object));
        Ok(unknown)
    }

    pub fn default(&self, object: &mut Value) {
        default::default(&self.structural, object);
    }

    /// A stored object as it is read: as the schema of today has it.
    pub fn on_read(&self, object: &mut Value) {
        prune::prune(&self.structural, object);
        self.default(object);
    }

    /// Everything wrong with a new object, its metadata left aside.
    pub fn check_create(&self, object: &Value) -> Errors {
        let mut errors = check::check(&self.structural, object, None, &Path::Root);
        errors.extend(self.check_scale(object, true));
        errors.extend(embedded::check(&self.structural, object));
        errors.extend(lists::check(&self.structural, object));
        errors.extend(self.rules.check(&self.structural, object, None, &errors));
        errors
    }

    /// Everything wrong with `new` in the place of `old`.
    pub fn check_update(&self, new: &Value, old: &Value) -> Errors {
        let mut errors = check::check(&self.structural, new, Some(old), &Path::Root);
        errors.extend(self.check_scale(new, true));
        errors.extend(embedded::check(&self.structural, new));
        if lists::check(&self.structural, old).is_empty() {
            errors.extend(lists::check(&self.structural, new));
        }
        errors.extend(self.rules.check(&self.structural, new, Some(old), &errors));
        errors
    }

    /// As [`Version::check_update`], when only the status can have changed.
    pub fn check_status(&self, new: &Value, old: &Value) -> Errors {
        let mut errors = Vec::new();
        if let (Some(schema), Some(status)) = (self.structural.properties.get("status"), new.get("status")) {
            let path = Path::Field(&Path::Root, "status");
            errors = check::check(schema, status, old.get("status"), &path);
        }
        errors.extend(self.check_scale(new, false));
        errors.extend(embedded::check(&self.structural, new));
        if lists::check(&self.structural, old).is_empty() {
            errors.extend(lists::check(&self.structural, new));
        }
        errors.extend(self.rules.check(&self.structural, new, Some(old), &errors));
        errors
    }

    fn check_scale(&self, object: &Value, spec: bool) -> Errors {
        let Some(scale) = &self.scale else { return Vec::new() };
        let status = [&scale.status_replicas].into_iter();
        let paths = spec.then_some(&scale.spec_replicas).into_iter().chain(status);
        paths.filter_map(|path| replicas_fault(object, path)).collect()
    }
}

fn replicas_fault(object: &Value, path: &str) -> Option<FieldError> {
    let value = object.pointer(&pointer(path))?;
    let detail = match value.as_i64() {
        None => "must be an integer",
        Some(n) if n < 0 => "should be a non-negative integer",
        Some(n) if n > i64::from(i32::MAX) => "should be less than or equal to 2147483647",
        Some(_) => return None,
    };
    Some(FieldError::invalid(path, value, detail))
}

/// `.spec.replicas` as `/spec/replicas`.
pub fn pointer(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("/{}", path.trim_start_matches('.').replace('.', "/"))
    }
}

fn scale(version: &Value) -> Option<ScaleSpec> {
    let scale = version.pointer("/subresources/scale")?;
    Some(ScaleSpec {
        spec_replicas: text(scale, "/specReplicasPath").into(),
        status_replicas: text(scale, "/statusReplicasPath").into(),
        selector: text(scale, "/labelSelectorPath").into(),
    })
}

fn kind_names(definition: &Value, names: &Value, version: &Value, scale: Option<&ScaleSpec>) -> kind::Names {
    let name = |pointer: &str| text(names, pointer).to_owned();
    let words = |pointer: &str| -> Vec<String> {
        list(names, pointer).iter().filter_map(|one| one.as_str().map(String::from)).collect()
    };
    let fields = list(version, "/selectableFields").iter();
    kind::Names {
        group: text(definition, "/spec/group").into(),
        version: text(version, "/name").into(),
        kind: name("/kind"),
        list_kind: name("/listKind"),
        plural: name("/plural"),
        singular: name("/singular"),
        short_names: words("/shortNames"),
        categories: words("/categories"),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        status: has(version, "/subresources/status"),
        scale: scale.map(|s| [&s.spec_replicas, &s.status_replicas, &s.selector].map(|path| pointer(path))),
        selectable: fields.map(|f| text(f, "/jsonPath").trim_start_matches('.').to_owned()).collect(),
    }
}
