//! The words that no name in an expression may be: the literals, the operator `in`,
//! and what the language keeps for later.

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}
