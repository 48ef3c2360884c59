//! The table that is printed: a column a server, and behind them ours against each of the others.

use crate::peers::Kind;

/// What stands in one column.
pub struct Cell {
    pub text: String,
    /// What is compared with the others' numbers, one by one. None: nothing is.
    pub numbers: Vec<f64>,
}

impl Cell {
    pub fn new(text: String, numbers: Vec<f64>) -> Self {
        Self { text, numbers }
    }

    pub fn none() -> Self {
        Self::new("-".to_owned(), Vec::new())
    }

    /// Milliseconds, warm and cold.
    pub fn times(warm: f64, cold: f64) -> Self {
        Self::new(format!("{warm:.1} ms ({cold:.1})"), vec![warm, cold])
    }
}

/// The lines of the table's head, for these servers.
pub fn head(kinds: &[Kind]) -> String {
    let names = kinds.iter().map(|kind| kind.name().to_owned());
    let against = kinds.iter().skip(1).map(|kind| format!("against {}", kind.name()));
    let columns: Vec<_> = names.chain(against).collect();
    format!("| work | {} |\n|---|{}", columns.join(" | "), "---|".repeat(columns.len()))
}

/// A line: ours first. What it is compared with may be another line's.
pub fn row(what: &str, cells: &[Cell], peers: &[Cell]) -> String {
    let ours = cells.first().map_or(&[][..], |cell| cell.numbers.as_slice());
    let against = peers.iter().skip(1).map(|peer| ratios(ours, &peer.numbers));
    let columns: Vec<_> = cells.iter().map(|cell| cell.text.clone()).chain(against).collect();
    format!("| {what} | {} |", columns.join(" | "))
}

/// `0.25x (0.50x)`: the first number's, and in brackets those of the rest.
fn ratios(ours: &[f64], peer: &[f64]) -> String {
    let mut each = ours.iter().zip(peer).map(|(ours, peer)| format!("{:.2}x", ours / peer));
    let Some(first) = each.next() else { return "-".to_owned() };
    let rest: Vec<_> = each.collect();
    if rest.is_empty() { first } else { format!("{first} ({})", rest.join("; ")) }
}
