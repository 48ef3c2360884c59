//! How large a value of a schema can be: what its bounds say, or else what fits into a request.

use crate::custom::{Structural, structural::Additional};

/// The largest request, in bytes: upstream's.
const REQUEST: u64 = 3 * 1024 * 1024;

/// The most characters of a string, elements of a list, entries of a map.
pub fn size(schema: &Structural) -> u64 {
    let limits = &schema.limits;
    match schema.ty.as_str() {
        "array" => limits.max_items.unwrap_or_else(|| most(schema.items.as_deref())),
        "object" => match &schema.additional {
            Additional::Of(value) => limits.max_properties.unwrap_or_else(|| most(Some(value))),
            Additional::Any => limits.max_properties.unwrap_or_else(|| most(None)),
            _ => schema.properties.len() as u64,
        },
        "integer" | "number" | "boolean" => 1,
        _ => limits
            .max_length
            .or_else(|| longest_word(schema))
            .or_else(|| of_format(schema))
            .unwrap_or(REQUEST - 2),
    }
}

fn longest_word(schema: &Structural) -> Option<u64> {
    let words = schema.limits.allowed.as_ref()?;
    words.iter().map(|word| word.as_str().map_or(8, str::len) as u64).max()
}

fn of_format(schema: &Structural) -> Option<u64> {
    match schema.format.as_str() {
        "datetime" => Some(38),
        "date" => Some(10),
        "duration" => Some(32),
        _ => None,
    }
}

/// How many values of a schema fit into a request.
pub fn most(schema: Option<&Structural>) -> u64 {
    // An element has a comma behind it.
    REQUEST / (schema.map_or(1, least_bytes) + 1)
}

/// The fewest bytes of a value of a schema.
fn least_bytes(schema: &Structural) -> u64 {
    match schema.ty.as_str() {
        "boolean" => 4,
        "object" => {
            let required = schema.limits.required.iter();
            let bytes = |name: &String| {
                let own = schema.properties.get(name).filter(|p| p.default.is_none());
                own.map_or(0, |property| name.len() as u64 + 4 + least_bytes(property))
            };
            2 + required.map(bytes).sum::<u64>()
        }
        "string" => 2 + schema.limits.min_length.unwrap_or(0),
        "array" => 2,
        _ => 1,
    }
}

/// How often a place can occur in an object, on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cardinality(Option<u64>);

impl Cardinality {
    pub const ONE: Self = Self(Some(1));

    /// Below a list or map with this bound.
    pub fn times(self, bound: Option<u64>) -> Self {
        Self(self.0.zip(bound).map(|(own, bound)| own.saturating_mul(bound)))
    }

    /// Of a place of this schema.
    pub fn of(self, schema: &Structural) -> u64 {
        self.0.unwrap_or_else(|| most(Some(schema)))
    }
}
