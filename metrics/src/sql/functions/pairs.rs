//! Pairs of values that an aggregate collects, and how they travel between its parts.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array, StringArray},
        datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
    },
    common::{DataFusionError, Result, ScalarValue, utils::SingleRowListArrayBuilder},
    logical_expr::function::StateFieldsArgs,
};

/// A list of values as a field of an aggregate's state.
pub fn state_field(args: &StateFieldsArgs<'_>, name: &str, kind: DataType) -> FieldRef {
    Arc::new(Field::new_list(format!("{}[{name}]", args.name), Field::new_list_field(kind, true), true))
}

/// One list, as the state of a group.
pub fn as_state(values: ArrayRef) -> ScalarValue {
    SingleRowListArrayBuilder::new(values).build_list_scalar()
}

/// All numbers of the lists of several states.
///
/// # Errors
/// The state is of another function.
pub fn floats(states: &ArrayRef) -> Result<Vec<f64>> {
    let lists = states.as_list_opt::<i32>().ok_or_else(foreign)?;
    let mut all = Vec::new();
    for list in lists.iter().flatten() {
        let numbers = list.as_primitive_opt::<Float64Type>().ok_or_else(foreign)?;
        all.extend(numbers.iter().flatten());
    }
    Ok(all)
}

/// The same of whole numbers.
///
/// # Errors
/// The state is of another function.
pub fn integers(states: &ArrayRef) -> Result<Vec<i64>> {
    let lists = states.as_list_opt::<i32>().ok_or_else(foreign)?;
    let mut all = Vec::new();
    for list in lists.iter().flatten() {
        let numbers = list.as_primitive_opt::<Int64Type>().ok_or_else(foreign)?;
        all.extend(numbers.iter().flatten());
    }
    Ok(all)
}

/// The same of texts.
///
/// # Errors
/// The state is of another function.
pub fn texts(states: &ArrayRef) -> Result<Vec<String>> {
    let lists = states.as_list_opt::<i32>().ok_or_else(foreign)?;
    let mut all = Vec::new();
    for list in lists.iter().flatten() {
        all.extend(text_column(&list)?.iter().flatten().map(str::to_owned));
    }
    Ok(all)
}

/// A column of numbers.
///
/// # Errors
/// It is no such column; arguments are coerced before.
pub fn column(array: &ArrayRef) -> Result<&Float64Array> {
    array.as_primitive_opt::<Float64Type>().ok_or_else(foreign)
}

/// A column of texts.
///
/// # Errors
/// It is no such column; arguments are coerced before.
pub fn text_column(array: &ArrayRef) -> Result<&StringArray> {
    array.as_string_opt::<i32>().ok_or_else(foreign)
}

/// The parameter that each row repeats.
pub fn parameter(array: &ArrayRef) -> Option<f64> {
    column(array).ok()?.iter().flatten().next()
}

pub fn foreign() -> DataFusionError {
    DataFusionError::Internal("an aggregate was handed what is not its own".to_owned())
}
