//! Types that take much for each row, whatever stands in it, and those that are trees of types: a null
//! of `bigint[2000000000]` is 16 GB, and twice a struct in a struct is a type of a million fields after
//! twenty times.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{DataFusionError, Result},
    execution::SessionStateBuilder,
    logical_expr::planner::TypePlanner,
    prelude::SessionContext,
    sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType},
};

use super::arg::width;

/// Elements of lists that have so many, whatever stands in them.
const MOST_ELEMENTS: u64 = 1024;
/// Bytes of a row of such types.
const MOST_BYTES: u64 = 32 << 10;
/// Types in a type.
const MOST_TYPES: usize = 1000;

/// Plans types as another planner does, if they are not too wide.
#[derive(Debug, Default)]
pub struct Sizes {
    inner: Option<Arc<dyn TypePlanner>>,
}

impl Sizes {
    /// Puts itself before the planner of types that the session has.
    pub fn register(session: &SessionContext) {
        let state = session.state_ref();
        let existing = state.read().clone();
        let mut builder = SessionStateBuilder::new_from_existing(existing);
        let inner = builder.type_planner().take();
        *state.write() = builder.with_type_planner(Arc::new(Self { inner })).build();
    }
}

impl TypePlanner for Sizes {
    fn plan_type_field(&self, kind: &SqlType) -> Result<Option<FieldRef>> {
        if elements(kind) > MOST_ELEMENTS {
            let said = format!("{kind} has more than {MOST_ELEMENTS} elements; leave their number out");
            return Err(DataFusionError::Plan(said));
        }
        self.inner.as_ref().map_or(Ok(None), |inner| inner.plan_type_field(kind))
    }
}

/// Elements that lists of this type have all together; of what is none, one.
fn elements(kind: &SqlType) -> u64 {
    match kind {
        SqlType::Array(ArrayElemTypeDef::SquareBracket(inner, size)) => {
            elements(inner).saturating_mul(size.unwrap_or(1))
        }
        _ => 1,
    }
}

/// Refuses what a function gives if it is no plain type.
///
/// # Errors
/// It is too wide, or of too many types.
pub fn plain(function: &str, kind: &DataType) -> Result<()> {
    // The width of a type is looked at when its parts are few.
    let said = if !has_few(kind, &mut 0) {
        format!("a type of more than {MOST_TYPES} types in it")
    } else if width(kind) > MOST_BYTES {
        format!("a type of more than {} KiB a row", MOST_BYTES >> 10)
    } else {
        return Ok(());
    };
    Err(DataFusionError::Plan(format!("{function} gives {said}")))
}

/// Counts the types in a type, until they are too many.
fn has_few(kind: &DataType, types: &mut usize) -> bool {
    *types += 1;
    let mut few = |field: &FieldRef| has_few(field.data_type(), types);
    let are_few = match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => few(field),
        DataType::Struct(fields) => fields.iter().all(few),
        _ => true,
    };
    are_few && *types <= MOST_TYPES
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Fields};

    use super::*;

    #[test]
    fn abuse_35_a_type_that_doubles_is_refused_early() {
        let mut kind = DataType::Int64;
        let mut levels = 0;
        while plain("row", &kind).is_ok() {
            levels += 1;
            let field = Arc::new(Field::new("a", kind, true));
            kind = DataType::Struct(Fields::from(vec![field.clone(), field]));
        }
        assert_eq!(levels, 9, "2^10 - 1 types are too many");
        // However many there are, few are looked at.
        for _ in 0..90 {
            let field = Arc::new(Field::new("a", kind, true));
            kind = DataType::Struct(Fields::from(vec![field.clone(), field]));
        }
        let refused = plain("row", &kind).expect_err("too many").to_string();
        assert!(refused.contains("row gives a type of more than 1000 types"), "{refused}");
    }

    #[test]
    fn abuse_35_a_type_of_two_billion_elements_is_refused() {
        let list = |size| DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Int64, true)), size);
        plain("f", &list(1536)).expect("a vector");
        plain("f", &DataType::FixedSizeBinary(32)).expect("a hash");
        for kind in [list(2_000_000_000), DataType::FixedSizeBinary(1 << 20)] {
            let refused = plain("f", &kind).expect_err("too wide").to_string();
            assert!(refused.contains("more than 32 KiB a row"), "{refused}");
        }
        let of = |inner, size| SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(inner), size));
        let sql = |size| of(SqlType::BigInt(None), size);
        let nested = |size| of(sql(Some(100)), size);
        for few in [sql(None), sql(Some(1024)), nested(Some(10)), nested(None)] {
            assert!(Sizes::default().plan_type_field(&few).expect("few").is_none());
        }
        for many in [sql(Some(1025)), sql(Some(u64::MAX)), nested(Some(11))] {
            let refused = Sizes::default().plan_type_field(&many).expect_err("many").to_string();
            assert!(refused.contains("more than 1024 elements"), "{refused}");
        }
    }
}
