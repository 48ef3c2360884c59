//! Label and field selectors.
pub struct LabelSelector; // parse(&str) -> Result<Self, SelectorError>; matches(&Labels) -> bool; is_empty()
pub struct FieldSelector; // parse(&str); matches(&CachedObject, ...); is_empty(); fields() -> impl Iterator<Item=&str>
#[derive(Default, Clone, Debug)]
pub struct Selector { pub labels: LabelSelector, pub fields: FieldSelector } // Selector::parse(label_query: Option<&str>, field_query: Option<&str>)
pub struct SelectorError; // Display = upstream's message; 400 BadRequest
