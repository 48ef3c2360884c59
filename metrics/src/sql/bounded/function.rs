//! A function that says how much it makes before it makes it.
//!
//! ```text
//! arguments ─> bytes at most ─┬─ few ───────────────────> the function
//!                             ├─ taken of the pool ─────> the function ─> kept until nobody has it
//!                             └─ too many, or no room ──> a part of the rows after the other
//! ```
//!
//! What is told beforehand may be far from what is made of texts in which little is found, so what
//! looks like too much is made in parts, until it is too much. A constant is made while a statement is
//! planned, and may stand in the plan wherever it is named: it has bounds of its own
//! ([`Constants`](super::super::constants::Constants)).

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef},
        compute::concat,
        datatypes::{DataType, FieldRef},
    },
    common::{DataFusionError, Result, ScalarValue},
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    logical_expr::{
        ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs,
        ScalarUDFImpl, Signature, StructFieldMapping,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::{
    Room,
    arg::{Arg, span},
    kept,
    sizes::plain,
    text::Most,
};

/// Bytes that a function makes of a batch, at most.
pub const MOST: u64 = 64 << 20;
/// What is made in parts is made of so many bytes at once.
const PART: u64 = 4 << 20;
/// What is less is gone before it matters.
const SMALL: u64 = 64 << 10;
/// Bytes of a row beside its value.
const ROW: u64 = 16;

/// A function with its bound.
pub struct Bounded {
    inner: Arc<dyn ScalarUDFImpl>,
    most: Most,
    room: Room,
}

impl Bounded {
    pub fn new(inner: Arc<dyn ScalarUDFImpl>, most: Most, room: Room) -> Self {
        Self { inner, most, room }
    }

    fn most(&self, args: &[Arg], rows: Range<usize>) -> Result<u64> {
        let beside = ROW * rows.len() as u64;
        Ok((self.most)(args, rows)?.saturating_add(beside))
    }

    fn too_much(&self) -> DataFusionError {
        let said = format!("{} makes more than {} MiB of a batch of rows", self.name(), MOST >> 20);
        DataFusionError::ResourcesExhausted(format!("{said}; make less of each row, as with left()"))
    }

    fn consumer(&self) -> MemoryReservation {
        MemoryConsumer::new(format!("{}()", self.name())).register(&self.room.pool)
    }

    /// What is the same for all rows: made once.
    fn constant(&self, args: ScalarFunctionArgs, most: u64) -> Result<ColumnarValue> {
        self.room.constants.check(self.name(), most)?;
        // A plan is made with one row, and looked at more than once; the rows of a statement come later.
        let is_planned = args.number_rows == 1;
        let value = self.inner.invoke_with_args(ScalarFunctionArgs { number_rows: 1, ..args })?;
        if is_planned {
            let bytes = match &value {
                ColumnarValue::Scalar(value) => value.size(),
                ColumnarValue::Array(array) => array.get_array_memory_size(),
            };
            self.room.constants.count(self.name(), bytes)?;
        }
        Ok(value)
    }

    /// What the function makes of some rows.
    fn part(&self, args: &ScalarFunctionArgs, rows: &Range<usize>) -> Result<ArrayRef> {
        let own = args.args.iter().map(|arg| match arg {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(rows.start, rows.len())),
            constant => constant.clone(),
        });
        let part = ScalarFunctionArgs {
            args: own.collect(),
            arg_fields: args.arg_fields.clone(),
            number_rows: rows.len(),
            return_field: args.return_field.clone(),
            config_options: args.config_options.clone(),
        };
        self.inner.invoke_with_args(part)?.into_array(rows.len())
    }

    /// What it makes, a part of the rows after the other.
    fn parts(&self, args: &ScalarFunctionArgs, told: &[Arg]) -> Result<ColumnarValue> {
        let taken = self.consumer();
        let (mut made, mut bytes) = (Vec::new(), 0_u64);
        // The next rows come last.
        let mut left: Vec<Range<usize>> = std::iter::once(0..args.number_rows).collect();
        while let Some(rows) = left.pop() {
            let most = self.most(told, rows.clone())?;
            if most > PART && rows.len() > 1 {
                let middle = rows.start + rows.len() / 2;
                left.extend([middle..rows.end, rows.start..middle]);
                continue;
            }
            if most > MOST {
                return Err(self.too_much());
            }
            let before = taken.size();
            taken.try_grow(most as usize)?;
            let part = self.part(args, &rows)?;
            let own = span(&part, 0..part.len());
            taken.shrink((taken.size() - before).saturating_sub(own as usize));
            bytes = bytes.saturating_add(own);
            if bytes > MOST {
                return Err(self.too_much());
            }
            made.push(part);
        }
        let whole = self.consumer();
        whole.try_grow(bytes as usize)?;
        let parts: Vec<&dyn Array> = made.iter().map(|part| &**part).collect();
        Ok(ColumnarValue::Array(kept::with(&concat(&parts)?, whole)?))
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner.name() == other.inner.name()
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.inner.return_type(kinds)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        plain(self.name(), field.data_type())?;
        Ok(field)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let told: Vec<Arg> = args.args.iter().map(Arg::of).collect::<Result<_>>()?;
        if told.iter().all(Arg::is_constant) {
            let most = self.most(&told, 0..1)?;
            return self.constant(args, most);
        }
        let most = self.most(&told, 0..args.number_rows)?;
        if most <= SMALL {
            return self.inner.invoke_with_args(args);
        }
        let taken = self.consumer();
        if most > MOST || taken.try_grow(most as usize).is_err() {
            return self.parts(&args, &told);
        }
        match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(array) => {
                let bytes = span(&array, 0..array.len()) as usize;
                taken.shrink(taken.size().saturating_sub(bytes));
                Ok(ColumnarValue::Array(kept::with(&array, taken)?))
            }
            constant => Ok(constant),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // It becomes an operator, for which there is no bound where the pattern is no constant.
        if self.name() == "regexp_like" && !matches!(args.get(1), Some(Expr::Literal(..))) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(match self.inner.simplify(args, info)? {
            // Which may be a function that has a bound as well.
            ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) => {
                ExprSimplifyResult::Simplified(Expr::ScalarFunction(self.room.bounded(call)))
            }
            other => other,
        })
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(kinds)
    }

    fn struct_field_mapping(&self, args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }
}
