//! What a query says. Built by the parser in one form only, so that equal
//! queries are equal values: no AND within AND, no list of one.

/// A query, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// `*`, and the empty query.
    All,
    /// Words of the body.
    Text(Text),
    /// A regular expression on the body.
    Regex(String),
    /// `name:value`.
    Field {
        name: String,
        value: Value,
    },
    Not(Box<Expr>),
    /// Two or more, none of them an `And`.
    And(Vec<Expr>),
    /// Two or more, none of them an `Or`.
    Or(Vec<Expr>),
}

/// A word, a phrase, or a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A word or phrase, taken literally.
    Exact(String),
    Glob(Glob),
}

/// A pattern with at least one wildcard, not a lone `*`; literals are never adjacent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(pub Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// `*`
    Any,
    /// `?`
    One,
}

/// What stands behind `name:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Text),
    Regex(String),
    /// `name:="text"`: the whole value is this, to the letter.
    Is(String),
    /// `name:*`
    Exists,
    Compare(Op, String),
    /// `[from TO to]` and `{from TO to}`; `None` is `*`.
    Range {
        from: Option<String>,
        to: Option<String>,
        inclusive: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Op {
    pub fn sign(self) -> &'static str {
        match self {
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::Greater => ">",
            Op::AtLeast => ">=",
        }
    }
}

impl Expr {
    /// All of `parts`, in the one form.
    pub fn and(parts: Vec<Expr>) -> Expr {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Expr::And(flat) }
    }

    /// Any of `parts`, in the one form.
    pub fn or(parts: Vec<Expr>) -> Expr {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Expr::Or(flat) }
    }
}
