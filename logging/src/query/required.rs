//! What every text that a regular expression finds must contain, as far as the
//! expression spells it out.

use regex_syntax::hir::{Hir, HirKind};

/// Letters that must stand somewhere in the text, in this case, and what stands
/// beside them: a character that is no letter and no digit, or nothing that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letters {
    pub before: Option<u8>,
    pub letters: Vec<u8>,
    pub after: Option<u8>,
}

/// Fewer letters tell templates apart too seldom.
const LEAST: usize = 3;

/// Of a pattern; nothing of one that can't be read.
pub fn letters(pattern: &str) -> Vec<Letters> {
    let Ok(hir) = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern) else {
        return Vec::new();
    };
    let mut literals = Vec::new();
    collect(&hir, &mut literals);
    literals.iter().flat_map(|literal| of_literal(literal)).collect()
}

/// The literals that no text can do without.
fn collect(hir: &Hir, literals: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(literal) => literals.push(literal.0.to_vec()),
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect(part, literals)),
        HirKind::Capture(capture) => collect(&capture.sub, literals),
        HirKind::Repetition(repeated) if repeated.min > 0 => collect(&repeated.sub, literals),
        _ => {}
    }
}

fn of_literal(literal: &[u8]) -> Vec<Letters> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < literal.len() {
        let run = literal[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if run == 0 {
            at += 1;
            continue;
        }
        let (before, after) =
            (at.checked_sub(1).map(|before| literal[before]), literal.get(at + run).copied());
        let letters = &literal[at..at + run];
        if run >= LEAST && letters.iter().all(u8::is_ascii_alphabetic) {
            found.push(Letters { before, letters: letters.to_vec(), after });
        }
        at += run;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_must_be_there() {
        let of = |pattern: &str| -> Vec<String> {
            let show = |side: Option<u8>| side.map_or("_".to_owned(), |byte| char::from(byte).to_string());
            letters(pattern)
                .iter()
                .map(|it| show(it.before) + &String::from_utf8_lossy(&it.letters) + &show(it.after))
                .collect()
        };
        assert_eq!(of("took 8[0-9]ms"), ["_took "]);
        assert_eq!(of(r"GET /api/v1/items/\d+"), ["_GET ", "/api/", "/items/"]);
        assert_eq!(of("(connection) (reset|closed)"), ["_connection_"]);
        assert_eq!(of("(abc)+x?(def)*"), ["_abc_"]);
        assert!(of("abc|def").is_empty());
        assert!(of("(?i)error").is_empty());
        assert!(of("ab1c").is_empty());
        assert!(of("(").is_empty());
    }
}
