//! `match(body, 'query')`: whether a text matches a query of logs.
//!
//! On the column `body` of `logs` the index answers it (`predicate`); here is what it
//! means for any text, row by row, so that it is true of the same rows wherever the
//! engine evaluates it.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, BooleanArray, StringArray},
        compute::cast,
        datatypes::{DataType, Field, FieldRef},
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use tiphys_logging::query::{self, OfBody};

pub const NAME: &str = "match";

/// The function.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(Match { signature: Signature::string(2, Volatility::Immutable) })
}

/// The query of `match(body, '...')`; `None` when it is about another text.
pub fn of_column_body(arguments: &[Expr]) -> Option<query::Expr> {
    let [Expr::Column(column), Expr::Literal(query, _)] = arguments else { return None };
    let query = query.try_as_str().flatten().filter(|_| column.name == "body")?;
    query::parse_of_body(query).ok()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Match {
    signature: Signature,
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    /// A wrong query is told here, before anything runs.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let query = args.scalar_arguments.get(1).copied().flatten();
        ready(query)?;
        let nullable = args.arg_fields.first().is_none_or(|text| text.is_nullable());
        Ok(Arc::new(Field::new(NAME, DataType::Boolean, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, ColumnarValue::Scalar(query)] = args.args.as_slice() else { return Err(no_literal()) };
        let query = ready(Some(query))?;
        match text {
            ColumnarValue::Scalar(text) => {
                let held = text.try_as_str().flatten().map(|text| query.holds(text.as_bytes()));
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(held)))
            }
            ColumnarValue::Array(texts) => Ok(ColumnarValue::Array(each(texts, &query)?)),
        }
    }
}

fn each(texts: &ArrayRef, query: &OfBody) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8)?;
    let texts = texts.as_any().downcast_ref::<StringArray>().into_iter().flat_map(StringArray::iter);
    Ok(Arc::new(texts.map(|text| text.map(|text| query.holds(text.as_bytes()))).collect::<BooleanArray>()))
}

fn ready(query: Option<&ScalarValue>) -> Result<OfBody> {
    let text = query.and_then(|query| query.try_as_str().flatten()).ok_or_else(no_literal)?;
    let query = query::parse_of_body(text).map_err(|error| DataFusionError::Plan(error.to_string()))?;
    OfBody::new(&query).map_err(DataFusionError::Plan)
}

fn no_literal() -> DataFusionError {
    DataFusionError::Plan(
        "the second argument of match is a query in quotes: match(body, 'error AND timeout')".into(),
    )
}
