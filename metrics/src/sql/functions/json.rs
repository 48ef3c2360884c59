//! JSON in texts: `object->'spec'->>'replicas'`, `object#>>'{spec,replicas}'`.
//!
//! `->` gives JSON, `->>` and `#>>` give text; what isn't there is null, and so is what is
//! asked of a text that is no JSON. A chain of operators reads the text once.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, StringArray},
        compute::cast,
        datatypes::DataType,
    },
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, DocSection, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility,
        expr::ScalarFunction,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};
use serde_json::Value;

/// The operators, for the planner.
#[derive(Debug)]
pub struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, raw: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (as_text, path) = match raw.op {
            BinaryOperator::Arrow => (false, vec![raw.right]),
            BinaryOperator::LongArrow => (true, vec![raw.right]),
            BinaryOperator::HashArrow => (false, path(&raw.right)?),
            BinaryOperator::HashLongArrow => (true, path(&raw.right)?),
            _ => return Ok(PlannerResult::Original(raw)),
        };
        // A chain is one function with all its steps.
        let mut arguments = match raw.left {
            Expr::ScalarFunction(inner) if inner.func.name() == GET => inner.args,
            left => vec![left],
        };
        arguments.extend(path);
        let function = Arc::new(ScalarUDF::from(JsonGet::new(as_text)));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))))
    }
}

/// The steps of `'{spec,containers,0}'`.
fn path(right: &Expr) -> Result<Vec<Expr>> {
    let text = match right {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    let inner = text.and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
    let wrong = || DataFusionError::Plan("a path is written as '{spec,containers,0}'".to_owned());
    let steps = inner.ok_or_else(wrong)?.split(',').map(|step| step.trim().trim_matches('"'));
    Ok(steps
        .filter(|step| !step.is_empty())
        .map(|step| Expr::Literal(ScalarValue::Utf8(Some(step.to_owned())), None))
        .collect())
}

const GET: &str = "json_get";
const GET_TEXT: &str = "json_get_text";

/// `json_get(json, step...)` and `json_get_text(json, step...)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonGet {
    as_text: bool,
    signature: Signature,
    documentation: Documentation,
}

/// Both functions.
pub fn all() -> [JsonGet; 2] {
    [JsonGet::new(false), JsonGet::new(true)]
}

impl JsonGet {
    fn new(as_text: bool) -> Self {
        let (name, operator, gives) = if as_text { (GET_TEXT, "->>", "a text") } else { (GET, "->", "JSON") };
        Self {
            as_text,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: Documentation::builder(
                DocSection::default(),
                format!("What JSON has at a path, as {gives}; the same as {operator}"),
                format!("{name}(json, step, ...)"),
            )
            .with_argument("json", "a text with JSON in it")
            .with_argument("step", "a key, or the number of an element from 0; -1 is the last")
            .build(),
        }
    }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        if self.as_text { GET_TEXT } else { GET }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.is_empty() {
            return Err(DataFusionError::Plan(format!("{} takes JSON and steps", self.name())));
        }
        let step = |kind: &DataType| if kind.is_integer() { DataType::Int64 } else { DataType::Utf8 };
        Ok(std::iter::once(DataType::Utf8).chain(arguments[1..].iter().map(step)).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let scalar = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let columns = args.args.iter().map(|argument| {
            let array = argument.to_array(if scalar { 1 } else { rows })?;
            Ok(cast(&array, &DataType::Utf8)?)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let texts: Vec<&StringArray> = columns.iter().filter_map(|column| column.as_string_opt()).collect();
        let Some((json, steps)) = texts.split_first() else {
            return Err(DataFusionError::Internal("texts are coerced before".to_owned()));
        };
        let found: StringArray = (0..json.len())
            .map(|row| {
                let value = |array: &StringArray| array.is_valid(row).then(|| array.value(row).to_owned());
                let steps: Option<Vec<String>> = steps.iter().map(|step| value(step)).collect();
                get(json.is_valid(row).then(|| json.value(row))?, &steps?, self.as_text)
            })
            .collect();
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn get(json: &str, steps: &[String], as_text: bool) -> Option<String> {
    let whole: Value = serde_json::from_str(json).ok()?;
    let mut at = &whole;
    for step in steps {
        at = match at {
            Value::Object(fields) => fields.get(step)?,
            Value::Array(elements) => {
                let number: i64 = step.parse().ok()?;
                let length = i64::try_from(elements.len()).ok()?;
                elements.get(usize::try_from(if number < 0 { number + length } else { number }).ok()?)?
            }
            _ => return None,
        };
    }
    match at {
        Value::Null if as_text => None,
        Value::String(text) if as_text => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::get;

    #[test]
    fn paths_lead_to_values() {
        let json = r#"{"a": {"b": [1, "x", null]}, "a.b": true, "t": "say \"hi\""}"#;
        let table: [(&[&str], bool, Option<&str>); 9] = [
            (&["a", "b", "0"], true, Some("1")),
            (&["a", "b", "1"], true, Some("x")),
            (&["a", "b", "1"], false, Some("\"x\"")),
            (&["a", "b", "-1"], false, Some("null")),
            (&["a", "b", "-1"], true, None),
            (&["a.b"], true, Some("true")),
            (&["t"], true, Some("say \"hi\"")),
            (&["a", "none"], false, None),
            (&["t", "x"], true, None),
        ];
        for (path, as_text, expected) in table {
            let steps: Vec<String> = path.iter().map(ToString::to_string).collect();
            assert_eq!(get(json, &steps, as_text).as_deref(), expected, "{path:?}");
        }
        assert_eq!(get("no JSON", &[], true), None);
    }
}
