//! What each operator computes of two values.

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
};

use super::{
    super::{
        column::{ABSENT, Cell},
        histogram::{add, scale, subtract},
        notes::Note,
    },
    Said, say,
};
use crate::series::Histogram;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

impl Operator {
    /// The operator of a token; sets are no operators of single values.
    pub fn of(token: u16) -> Option<Self> {
        Some(match token {
            T_ADD => Self::Add,
            T_SUB => Self::Subtract,
            T_MUL => Self::Multiply,
            T_DIV => Self::Divide,
            T_MOD => Self::Modulo,
            T_POW => Self::Power,
            T_ATAN2 => Self::Atan2,
            T_EQLC => Self::Equal,
            T_NEQ => Self::NotEqual,
            T_GTR => Self::Greater,
            T_LSS => Self::Less,
            T_GTE => Self::GreaterOrEqual,
            T_LTE => Self::LessOrEqual,
            _ => return None,
        })
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
        }
    }

    pub fn is_comparison(self) -> bool {
        !self.changes_meaning()
    }

    /// Whether the result is another quantity, so that the metric's name goes.
    pub fn changes_meaning(self) -> bool {
        use Operator as O;
        matches!(self, O::Add | O::Subtract | O::Multiply | O::Divide | O::Modulo | O::Power | O::Atan2)
    }

    /// The result of an arithmetic operator, or 1 and 0 of a comparison.
    #[inline]
    pub fn of_scalars(self, left: f64, right: f64) -> f64 {
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
            Self::Atan2 => left.atan2(right),
            Self::Equal => truth(left == right),
            Self::NotEqual => truth(left != right),
            Self::Greater => truth(left > right),
            Self::Less => truth(left < right),
            Self::GreaterOrEqual => truth(left >= right),
            Self::LessOrEqual => truth(left <= right),
        }
    }

    /// The same between elements: a comparison keeps `kept` or nothing.
    #[inline]
    pub fn of_numbers(self, left: f64, right: f64, kept: f64, as_bool: bool) -> f64 {
        let result = self.of_scalars(left, right);
        if self.changes_meaning() || as_bool {
            result
        } else if result == 1.0 {
            kept
        } else {
            ABSENT
        }
    }

    pub fn of_cells(self, left: &Cell, right: &Cell, as_bool: bool, said: &mut Said) -> Cell {
        match (left, right) {
            (Cell::Nothing, _) | (_, Cell::Nothing) => Cell::Nothing,
            (Cell::Number(left), Cell::Number(right)) => {
                let number = self.of_numbers(*left, *right, *left, as_bool);
                if number.to_bits() == ABSENT.to_bits() { Cell::Nothing } else { Cell::Number(number) }
            }
            (Cell::Number(left), Cell::Histogram(right)) if self == Self::Multiply => {
                Cell::histogram(scale(right, *left))
            }
            (Cell::Histogram(left), Cell::Number(right)) if self == Self::Multiply => {
                Cell::histogram(scale(left, *right))
            }
            (Cell::Histogram(left), Cell::Number(right)) if self == Self::Divide => {
                Cell::histogram(scale(left, 1.0 / right))
            }
            (Cell::Histogram(left), Cell::Histogram(right)) => match self {
                Self::Add | Self::Subtract => self.of_histograms(left, right, said),
                Self::Equal | Self::NotEqual => match ((left == right) == (self == Self::Equal), as_bool) {
                    (holds, true) => Cell::Number(f64::from(u8::from(holds))),
                    (true, false) => Cell::Histogram(left.clone()),
                    (false, false) => Cell::Nothing,
                },
                _ => self.does_not_fit("histogram", "histogram", said),
            },
            (Cell::Number(_), Cell::Histogram(_)) => self.does_not_fit("float", "histogram", said),
            (Cell::Histogram(_), Cell::Number(_)) => self.does_not_fit("histogram", "float", said),
        }
    }

    fn of_histograms(self, left: &Histogram, right: &Histogram, said: &mut Said) -> Cell {
        let (result, operation) = match self {
            Self::Add => (add(left, right), "addition"),
            _ => (subtract(left, right), "subtraction"),
        };
        let Ok((mut histogram, reconciled)) = result else {
            say(said, Note::IncompatibleBuckets(self.symbol()));
            return Cell::Nothing;
        };
        if reconciled {
            say(said, Note::ReconciledBounds(operation));
        }
        histogram.gauge |= self == Self::Subtract;
        Cell::histogram(histogram)
    }

    fn does_not_fit(self, left: &'static str, right: &'static str, said: &mut Said) -> Cell {
        say(said, Note::IncompatibleTypes { left, operator: self.symbol(), right });
        Cell::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_keep_the_left_value_or_tell_the_truth() {
        let of = |left: f64, right: f64, as_bool| {
            Operator::Greater.of_cells(&Cell::Number(left), &Cell::Number(right), as_bool, &mut Said::new())
        };
        assert_eq!((of(3.0, 2.0, false), of(1.0, 2.0, false)), (Cell::Number(3.0), Cell::Nothing));
        assert_eq!((of(3.0, 2.0, true), of(1.0, 2.0, true)), (Cell::Number(1.0), Cell::Number(0.0)));
        assert_eq!(Operator::Modulo.of_scalars(-7.0, 3.0), -1.0);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (one, histogram) = (Cell::Number(1.0), Cell::histogram(Histogram::default()));
        let mut said = Said::new();
        assert_eq!(Operator::Add.of_cells(&one, &histogram, false, &mut said), Cell::Nothing);
        let note = Note::IncompatibleTypes { left: "float", operator: "+", right: "histogram" };
        assert_eq!(said.into_values().collect::<Vec<_>>(), [note]);
    }
}
