//! `current_user`, `session_user` and `user`: who asks, as Kubernetes calls them. The user that a
//! client names when it connects doesn't matter, and neither does it here. The catalog knows no
//! other user, so `pg_get_userbyid` names them as well: clients list with it whose a table is.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, StringArray},
        datatypes::DataType,
    },
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use tiphys_api::auth::UserInfo;

/// The functions: three that Postgres calls without parentheses, and the one of a user's number.
pub fn functions(user: &UserInfo) -> [ScalarUDF; 4] {
    let [current, session, short] = ["current_user", "session_user", "user"].map(|name| {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::from(WhoAsks { name, user: user.name.clone(), signature })
    });
    // A number is an int4 in the catalog and an int8 where a client writes it.
    let signature = Signature::any(1, Volatility::Stable);
    [current, session, short, ScalarUDF::from(ByNumber { user: user.name.clone(), signature })]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WhoAsks {
    name: &'static str,
    user: String,
    signature: Signature,
}

impl ScalarUDFImpl for WhoAsks {
    fn name(&self) -> &str {
        self.name
    }

    /// The column is called as it is written.
    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.name.to_owned())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.user.clone()))))
    }
}

/// `pg_get_userbyid(oid)`: who asks, whatever the number; of none nothing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ByNumber {
    user: String,
    signature: Signature,
}

impl ScalarUDFImpl for ByNumber {
    fn name(&self) -> &str {
        "pg_get_userbyid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let named = |is_null: bool| (!is_null).then_some(self.user.as_str());
        Ok(match args.args.first() {
            Some(ColumnarValue::Array(numbers)) => {
                // An array of nothing but nulls (`null` without a type) has no bits for them.
                let nulls = numbers.logical_nulls();
                let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                let names: StringArray = (0..numbers.len()).map(|row| named(is_null(row))).collect();
                ColumnarValue::Array(Arc::new(names))
            }
            Some(ColumnarValue::Scalar(number)) => {
                ColumnarValue::Scalar(ScalarValue::Utf8(named(number.is_null()).map(str::to_owned)))
            }
            None => ColumnarValue::Scalar(ScalarValue::Utf8(None)),
        })
    }
}
