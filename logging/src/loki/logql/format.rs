//! The templates of `line_format` and `label_format`: texts with labels in `{{.name}}`.
//! Functions and conditions of Go's templates are refused by name.

use super::ast::{Format, Part};

/// Reads a template; an error says what can't be used.
pub fn parse(text: &str) -> Result<Format, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        push_text(&mut parts, &rest[..open]);
        let Some(close) = rest[open..].find("}}") else {
            return Err("`{{` is not closed: end it with `}}`".into());
        };
        let inside = rest[open + 2..open + close].trim();
        parts.push(match inside.strip_prefix('.').filter(|name| is_name(name)) {
            Some(name) => Part::Label(name.to_owned()),
            None if inside == "__line__" => Part::Line,
            None => {
                return Err(format!(
                    "`{{{{{inside}}}}}` is more than a label: only {{{{.name}}}} and {{{{__line__}}}} are understood in formats"
                ));
            }
        });
        rest = &rest[open + close + 2..];
    }
    push_text(&mut parts, rest);
    Ok(Format(parts))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}
