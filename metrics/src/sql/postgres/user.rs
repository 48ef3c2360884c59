//! `current_user`, `session_user` and `user`: who asks, as Kubernetes calls them. The user that a
//! client names when it connects doesn't matter, and neither does it here.

use datafusion::{
    arrow::datatypes::DataType,
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use tiphys_api::auth::UserInfo;

/// The functions, which Postgres calls without parentheses.
pub fn functions(user: &UserInfo) -> [ScalarUDF; 3] {
    ["current_user", "session_user", "user"].map(|name| {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::from(WhoAsks { name, user: user.name.clone(), signature })
    })
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
