//! What the planner makes of operators and literals, with the bounds that functions have by their
//! names; and what can't be bounded, refused.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, DataFusionError, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Operator, WindowFunctionDefinition,
        binary::BinaryTypeCoercer,
        expr::{ScalarFunction, WindowFunction},
        expr_rewriter::FunctionRewrite,
    },
};

use super::{Room, joined};

/// Aggregates that give all they were given.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];

/// The rewrite of a session's expressions.
#[derive(Debug)]
pub struct Rewrite {
    room: Room,
}

impl Rewrite {
    pub fn new(room: Room) -> Self {
        Self { room }
    }

    /// `left || right` as a function; absent: they are no texts, or it isn't known yet.
    fn joined(&self, binary: &BinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let (left, right) = (binary.left.get_type(schema).ok()?, binary.right.get_type(schema).ok()?);
        let is_list = |kind: &DataType| {
            matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
        };
        if is_list(&left) || is_list(&right) {
            return None;
        }
        BinaryTypeCoercer::new(&left, &binary.op, &right).get_input_types().ok()?;
        let args = vec![(*binary.left).clone(), (*binary.right).clone()];
        let call = ScalarFunction { func: joined::function(self.room.clone()), args };
        Some(Expr::ScalarFunction(call))
    }
}

impl FunctionRewrite for Rewrite {
    fn name(&self) -> &str {
        "bounds of functions"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        match &expr {
            Expr::ScalarFunction(call) => {
                if let Some(func) = self.room.wrapped(&call.func) {
                    let call = ScalarFunction { func, args: call.args.clone() };
                    return Ok(Transformed::yes(Expr::ScalarFunction(call)));
                }
            }
            Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat => {
                if let Some(joined) = self.joined(binary, schema) {
                    return Ok(Transformed::yes(joined));
                }
            }
            Expr::BinaryExpr(binary) if is_pattern(binary.op) => same_pattern(&binary.right)?,
            Expr::SimilarTo(like) => same_pattern(&like.pattern)?,
            Expr::WindowFunction(window) => no_gathering(window)?,
            _ => {}
        }
        Ok(Transformed::no(expr))
    }
}

fn is_pattern(operator: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(operator, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

/// Each pattern of a batch is compiled, and may take some megabytes.
fn same_pattern(pattern: &Expr) -> Result<()> {
    let varies = pattern.exists(|part| {
        Ok(matches!(part, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)))
    });
    if !varies? {
        return Ok(());
    }
    let said = "the pattern of ~ and of SIMILAR TO is the same for all rows";
    Err(DataFusionError::Plan(format!("{said}: write it as a text, or use regexp_like()")))
}

/// Each row would have what all rows before it have.
fn no_gathering(window: &WindowFunction) -> Result<()> {
    let WindowFunctionDefinition::AggregateUDF(function) = &window.fun else { return Ok(()) };
    if !GATHERING.contains(&function.name()) {
        return Ok(());
    }
    let said = format!("{} gathers too much for each row of a window: use it with GROUP BY", function.name());
    Err(DataFusionError::Plan(said))
}
