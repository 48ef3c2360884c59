//! `to_regtype`, by which drivers find the types they know more of: the number of a type by
//! its name, null where there is none. Numbers are those of Postgres' own catalog.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int32Array},
        compute::cast,
        datatypes::DataType,
    },
    common::Result,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
};

/// The types that answers may have.
const TYPES: [(&str, i32); 26] = [
    ("bool", 16),
    ("boolean", 16),
    ("bytea", 17),
    ("int8", 20),
    ("bigint", 20),
    ("int2", 21),
    ("smallint", 21),
    ("int4", 23),
    ("integer", 23),
    ("int", 23),
    ("text", 25),
    ("oid", 26),
    ("json", 114),
    ("float4", 700),
    ("real", 700),
    ("float8", 701),
    ("double precision", 701),
    ("varchar", 1043),
    ("character varying", 1043),
    ("date", 1082),
    ("time", 1083),
    ("timestamp", 1114),
    ("timestamptz", 1184),
    ("interval", 1186),
    ("numeric", 1700),
    ("uuid", 2950),
];

fn number(name: &str) -> Option<i32> {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The function.
pub fn to_regtype() -> ScalarUDF {
    let value = |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let names = cast(&arrays[0], &DataType::Utf8)?;
        let numbers: Int32Array = names.as_string::<i32>().iter().map(|name| number(name?)).collect();
        Ok(ColumnarValue::Array(Arc::new(numbers) as ArrayRef))
    };
    create_udf("to_regtype", vec![DataType::Utf8], DataType::Int32, Volatility::Immutable, Arc::new(value))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn types_are_known_by_their_names() {
        assert_eq!(number("integer"), Some(23));
        assert_eq!(number("pg_catalog.Text "), Some(25));
        assert_eq!(number("hstore"), None);
    }
}
