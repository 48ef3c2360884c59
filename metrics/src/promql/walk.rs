//! The selectors of a query.

use promql_parser::parser::{Expr, VectorSelector};

/// In the order they stand in.
pub fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

fn collect<'a>(expr: &'a Expr, found: &mut Vec<&'a VectorSelector>) {
    match expr {
        Expr::VectorSelector(selector) => found.push(selector),
        Expr::MatrixSelector(selector) => found.push(&selector.vs),
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| collect(param, found));
            collect(&aggregate.expr, found);
        }
        Expr::Binary(binary) => {
            collect(&binary.lhs, found);
            collect(&binary.rhs, found);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| collect(argument, found)),
        Expr::Paren(inner) => collect(&inner.expr, found),
        Expr::Unary(inner) => collect(&inner.expr, found),
        Expr::Subquery(inner) => collect(&inner.expr, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_found() {
        let query = "topk(scalar(a), b + on(x) rate(c[5m])) or -max_over_time((d)[1h:1m])";
        let expr = promql_parser::parser::parse(query).expect("valid");
        let names: Vec<_> = selectors(&expr).iter().filter_map(|one| one.name.as_deref()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
