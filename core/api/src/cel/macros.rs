//! Macros that the parser leaves as calls: loops over pairs, `sortBy`, `optMap`. Pure.
//!
//! Each becomes what the interpreter knows: loops, and bindings. A binding is a loop without turns,
//! whose accumulator is the name.

use kube_cel::cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, operators},
};

/// A map with one more entry, and with all entries of another one.
pub const WITH: &str = "@with";
pub const WITH_ALL: &str = "@with_all";
/// A list in the order of the keys that belong to its elements.
pub const SORTED_BY: &str = "@sortByAssociatedKeys";
/// What a loop that binds goes through, which is nothing.
pub const UNUSED: &str = "@unused";
const RESULT: &str = "@result";
const INPUT: &str = "@input";

/// What the call stands for, if it is one of these macros.
///
/// # Errors
/// It is one that is written wrongly.
pub fn expand(id: u64, call: &CallExpr) -> Result<Option<Expr>, String> {
    let Some(target) = call.target.as_deref() else { return Ok(None) };
    let at = At(id);
    match (call.func_name.as_str(), call.args.as_slice()) {
        ("sortBy", [name, key]) => at.sort_by(target, &ident(name)?, key).map(Some),
        ("optMap", [name, body]) => {
            let made = at.call("optional.of", vec![at.bind(&ident(name)?, at.held(), body.clone())]);
            Ok(Some(at.if_held(target, made)))
        }
        ("optFlatMap", [name, body]) => {
            let made = at.bind(&ident(name)?, at.held(), body.clone());
            Ok(Some(at.if_held(target, made)))
        }
        ("all" | "exists" | "existsOne" | "exists_one", [key, value, body]) => {
            at.pairs(&call.func_name, target, [key, value], None, body).map(Some)
        }
        ("transformList" | "transformMap" | "transformMapEntry", [key, value, body]) => {
            at.pairs(&call.func_name, target, [key, value], None, body).map(Some)
        }
        ("transformList" | "transformMap" | "transformMapEntry", [key, value, filter, body]) => {
            at.pairs(&call.func_name, target, [key, value], Some(filter), body).map(Some)
        }
        _ => Ok(None),
    }
}

fn ident(expression: &IdedExpr) -> Result<String, String> {
    match &expression.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err("argument must be a simple name".into()),
    }
}

/// Makes expressions at the place of the macro.
struct At(u64);

impl At {
    fn of(&self, expr: Expr) -> IdedExpr {
        IdedExpr { id: self.0, expr }
    }

    fn name(&self, name: &str) -> IdedExpr {
        self.of(Expr::Ident(name.into()))
    }

    fn call(&self, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
        self.of(Expr::Call(CallExpr { func_name: function.into(), target: None, args }))
    }

    fn method(&self, target: IdedExpr, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
        let target = Some(Box::new(target));
        self.of(Expr::Call(CallExpr { func_name: function.into(), target, args }))
    }

    fn truth(&self, truth: bool) -> IdedExpr {
        self.of(Expr::Literal(LiteralValue::Boolean(truth.into())))
    }

    fn number(&self, number: i64) -> IdedExpr {
        self.of(Expr::Literal(LiteralValue::Int(number.into())))
    }

    fn list(&self, items: Vec<IdedExpr>) -> IdedExpr {
        self.of(Expr::List(ListExpr::new(items)))
    }

    fn bind(&self, name: &str, value: IdedExpr, body: IdedExpr) -> IdedExpr {
        self.of(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: self.list(Vec::new()),
            iter_var: UNUSED.into(),
            iter_var2: None,
            accu_var: name.to_owned(),
            accu_init: value,
            loop_cond: self.truth(false),
            loop_step: self.name(name),
            result: body,
        })))
    }

    fn sort_by(&self, target: &IdedExpr, name: &str, key: &IdedExpr) -> Result<Expr, String> {
        let so_far = || self.name(RESULT);
        let keys = Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: self.name(INPUT),
            iter_var: name.to_owned(),
            iter_var2: None,
            accu_var: RESULT.into(),
            accu_init: self.list(Vec::new()),
            loop_cond: self.truth(true),
            loop_step: self.call(operators::ADD, vec![so_far(), self.list(vec![key.clone()])]),
            result: so_far(),
        }));
        let sorted = self.method(self.name(INPUT), SORTED_BY, vec![self.of(keys)]);
        Ok(self.bind(INPUT, target.clone(), sorted).expr)
    }

    /// What the optional target holds.
    fn held(&self) -> IdedExpr {
        self.method(self.name(INPUT), "value", Vec::new())
    }

    fn if_held(&self, target: &IdedExpr, made: IdedExpr) -> Expr {
        let has = self.method(self.name(INPUT), "hasValue", Vec::new());
        let none = self.call("optional.none", Vec::new());
        let choice = self.call(operators::CONDITIONAL, vec![has, made, none]);
        self.bind(INPUT, target.clone(), choice).expr
    }

    fn pairs(
        &self,
        macro_: &str,
        range: &IdedExpr,
        names: [&IdedExpr; 2],
        filter: Option<&IdedExpr>,
        body: &IdedExpr,
    ) -> Result<Expr, String> {
        let (first, second) = (ident(names[0])?, ident(names[1])?);
        if first == second {
            return Err(format!("duplicate variable name: {first}"));
        }
        let so_far = || self.name(RESULT);
        let (init, condition, step, result) = self.parts(macro_, &first, body.clone());
        let step = match filter {
            Some(filter) => self.call(operators::CONDITIONAL, vec![filter.clone(), step, so_far()]),
            None => step,
        };
        Ok(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: range.clone(),
            iter_var: first,
            iter_var2: Some(second),
            accu_var: RESULT.into(),
            accu_init: init,
            loop_cond: condition,
            loop_step: step,
            result,
        })))
    }

    /// Start, condition, step and result of a loop.
    fn parts(&self, macro_: &str, key: &str, body: IdedExpr) -> (IdedExpr, IdedExpr, IdedExpr, IdedExpr) {
        let so_far = || self.name(RESULT);
        let unless_false = |value| self.call(operators::NOT_STRICTLY_FALSE, vec![value]);
        let no_map = || self.of(Expr::Map(Default::default()));
        match macro_ {
            "all" => {
                let step = self.call(operators::LOGICAL_AND, vec![so_far(), body]);
                (self.truth(true), unless_false(so_far()), step, so_far())
            }
            "exists" => {
                let not_yet = self.call(operators::LOGICAL_NOT, vec![so_far()]);
                let step = self.call(operators::LOGICAL_OR, vec![so_far(), body]);
                (self.truth(false), unless_false(not_yet), step, so_far())
            }
            "transformList" => {
                let step = self.call(operators::ADD, vec![so_far(), self.list(vec![body])]);
                (self.list(Vec::new()), self.truth(true), step, so_far())
            }
            "transformMap" => {
                let step = self.call(WITH, vec![so_far(), self.name(key), body]);
                (no_map(), self.truth(true), step, so_far())
            }
            "transformMapEntry" => {
                (no_map(), self.truth(true), self.call(WITH_ALL, vec![so_far(), body]), so_far())
            }
            _ => {
                let one_more = self.call(operators::ADD, vec![so_far(), self.number(1)]);
                let step = self.call(operators::CONDITIONAL, vec![body, one_more, so_far()]);
                let is_one = self.call(operators::EQUALS, vec![so_far(), self.number(1)]);
                (self.number(0), self.truth(true), step, is_one)
            }
        }
    }
}
