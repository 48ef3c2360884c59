//! The horizontal autoscaler: formula, behaviour, decisions.
