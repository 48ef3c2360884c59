//! What is wrong with the rules of a schema, told when its definition is written.

use serde_json::Value;

use super::{
    estimate::{Part, Walk},
    reach::Cardinality,
    schema_type::Ty,
};
use crate::{
    access::{flag, text},
    cel::{parse::Expression, stack},
    custom::Structural,
    field::FieldError,
    schema::ListType,
    validate::Errors,
};

/// The worst that one rule may cost over a whole object, and all rules of a schema together: upstream's.
const PER_RULE: u64 = 10_000_000;
const PER_SCHEMA: u64 = 100_000_000;

/// The cost of all rules of a schema.
#[derive(Default)]
pub struct Total {
    cost: u64,
    /// The dearest ones.
    dear: Vec<(u64, String)>,
}

/// The type of `self`.
pub fn own_type(schema: &Structural, whole: bool) -> Ty<'_> {
    if whole { Ty::Of(schema, true) } else { Ty::of(schema) }
}

/// Faults of all rules of a schema at `path`.
pub fn faults(schema: &Structural, path: &str, errors: &mut Errors) {
    let mut total = Total::default();
    let place = Place { path: path.to_owned(), cardinality: Cardinality::ONE, fickle: None };
    walk(schema, true, &place, &mut total, errors);
    if total.cost > PER_SCHEMA {
        total.dear.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        for (_, field) in total.dear.iter().take(4) {
            let detail =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(FieldError::forbidden(field, detail));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(path, &too_dear(what, total.cost, PER_SCHEMA)));
    }
}

struct Place {
    path: String,
    cardinality: Cardinality,
    /// Above it, the place where what was there before can't be told any more.
    fickle: Option<String>,
}

impl Place {
    fn below(&self, step: &str) -> Self {
        let path = format!("{}.{step}", self.path);
        Self { path, cardinality: self.cardinality, fickle: self.fickle.clone() }
    }
}

fn walk(schema: &Structural, whole: bool, place: &Place, total: &mut Total, errors: &mut Errors) {
    for (index, rule) in schema.rules.iter().enumerate() {
        let field = format!("{}.x-kubernetes-validations[{index}]", place.path);
        one(schema, whole, rule, place, &field, total, errors);
    }
    for (name, property) in &schema.properties {
        walk(property, property.embedded, &place.below(&format!("properties[{name}]")), total, errors);
    }
    if let Some(value) = schema.additional.schema() {
        let mut below = place.below("additionalProperties");
        below.cardinality = place.cardinality.times(schema.limits.max_properties);
        walk(value, value.embedded, &below, total, errors);
    }
    if let Some(item) = &schema.items {
        let mut below = place.below("items");
        below.cardinality = place.cardinality.times(schema.limits.max_items);
        if !matches!(schema.list_type, Some(ListType::Map(_))) {
            below.fickle.get_or_insert_with(|| place.path.clone());
        }
        walk(item, item.embedded, &below, total, errors);
    }
}

fn one(
    schema: &Structural,
    whole: bool,
    rule: &Value,
    place: &Place,
    field: &str,
    total: &mut Total,
    errors: &mut Errors,
) {
    let optional = flag(rule, "/optionalOldSelf");
    let own = own_type(schema, whole);
    let former = if optional { Ty::Dyn } else { own };
    let estimate = |key: &str, wanted: &str| -> Result<(u64, bool), String> {
        let source = text(rule, &format!("/{key}"));
        let failed = |why: String| format!("compilation failed: {why}");
        let expression = Expression::parse(source).map_err(failed)?;
        let variables = [("self", Part::variable(own)), ("oldSelf", Part::variable(former))];
        let walk = || Walk::new(variables).part(&expression.root);
        let part = stack::with_room(expression.levels, walk).map_err(failed)?;
        if !["dyn", wanted].contains(&part.ty.name()) {
            return Err(match key {
                "rule" => "cel expression must evaluate to a bool".to_owned(),
                key => format!("{key} must evaluate to a string"),
            });
        }
        Ok((part.cost, expression.uses("oldSelf")))
    };
    let mut uses_old = false;
    match estimate("rule", "bool") {
        Ok((cost, uses)) => {
            uses_old = uses;
            let cost = cost.saturating_mul(place.cardinality.of(schema));
            observe(cost, "estimated rule cost", &format!("{field}.rule"), total, errors);
        }
        Err(why) => errors.push(FieldError::invalid(format!("{field}.rule"), rule, why)),
    }
    if !text(rule, "/messageExpression").is_empty() {
        let field = format!("{field}.messageExpression");
        match estimate("messageExpression", "string") {
            Ok((cost, _)) => observe(cost, "estimated messageExpression cost", &field, total, errors),
            Err(why) => errors.push(FieldError::invalid(field, rule, why)),
        }
    }
    if let (true, Some(path)) = (uses_old, &place.fickle) {
        let detail =
            format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {path}");
        errors.push(FieldError::invalid(format!("{field}.rule"), &text(rule, "/rule").into(), detail));
    }
    if let (false, Some(given)) = (uses_old, rule.get("optionalOldSelf").filter(|given| !given.is_null())) {
        let detail = "may not be set if oldSelf is not used in rule";
        errors.push(FieldError::invalid(format!("{field}.optionalOldSelf"), given, detail));
    }
}

fn observe(cost: u64, what: &str, field: &str, total: &mut Total, errors: &mut Errors) {
    if cost > PER_RULE {
        errors.push(FieldError::forbidden(field, &too_dear(what, cost, PER_RULE)));
    }
    total.cost = total.cost.saturating_add(cost);
    total.dear.push((cost, field.to_owned()));
}

fn too_dear(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = match times {
        _ if times > 100.0 => "more than 100x".to_owned(),
        _ if times < 1.5 => format!("{times:.6}x"),
        _ => format!("{times:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
