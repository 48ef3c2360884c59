//! What an evaluation has cost so far, and its end when that is too much.
//!
//! A unit is about a step of the interpreter, or ten bytes that are read or written, as in
//! Kubernetes. Whoever works charges before the work, so that no single call can be a large
//! one unseen. Limits are upstream's.

use std::collections::HashSet;

use kube_cel::cel::{Value, objects::OptionalValue};

use super::fault::Fault;

/// What one evaluation may cost.
pub const PER_CALL: u64 = 1_000_000;
/// What all rules of an object, or all expressions of a policy's binding, may cost.
pub const PER_OBJECT: u64 = 10_000_000;
/// What the match conditions of a webhook or of a policy may cost.
pub const PER_CONDITIONS: u64 = 2_500_000;

#[derive(Debug, Clone)]
pub struct Meter {
    left: u64,
    spent: u64,
    /// Patterns that were paid for.
    patterns: HashSet<String>,
}

impl Meter {
    pub fn new(limit: u64) -> Self {
        Self { left: limit, spent: 0, patterns: HashSet::new() }
    }

    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// # Errors
    /// There is not so much left.
    pub fn charge(&mut self, cost: u64) -> Result<(), Fault> {
        self.spent = self.spent.saturating_add(cost);
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::Cost)
            }
        }
    }

    /// For reading or writing so many bytes.
    ///
    /// # Errors
    /// As [`Meter::charge`].
    pub fn bytes(&mut self, n: usize) -> Result<(), Fault> {
        self.charge(tenth(n))
    }

    /// Whether this evaluation meets the pattern for the first time.
    pub fn is_new(&mut self, pattern: &str) -> bool {
        !self.patterns.contains(pattern) && self.patterns.insert(pattern.to_owned())
    }

    /// For going through all of a value, whatever it contains.
    ///
    /// # Errors
    /// As [`Meter::charge`].
    pub fn whole(&mut self, value: &Value) -> Result<(), Fault> {
        match value {
            Value::String(text) => self.bytes(text.len()),
            Value::Bytes(bytes) => self.bytes(bytes.len()),
            Value::List(items) => {
                self.charge(items.len() as u64)?;
                items.iter().try_for_each(|item| self.whole(item))
            }
            Value::Map(map) => {
                self.charge(map.map.len() as u64)?;
                map.map.values().try_for_each(|item| self.whole(item))
            }
            Value::Opaque(_) => match <&OptionalValue>::try_from(value).map(OptionalValue::value) {
                Ok(Some(held)) => self.charge(1).and_then(|()| self.whole(held)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

pub fn tenth(size: usize) -> u64 {
    size.div_ceil(10) as u64
}
