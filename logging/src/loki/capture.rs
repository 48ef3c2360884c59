//! The expressions of the stage `pattern`: `<ip> - - <_> "<method> <path> <_>" <status>`.

/// Texts and captures in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `None` is `<_>`, which is passed over.
    Name(Option<String>),
}

impl Capture {
    /// Reads an expression; an error says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let name = rest
                .strip_prefix('<')
                .and_then(|rest| rest.split_once('>'))
                .filter(|(name, _)| is_name(name));
            if let Some((name, after)) = name {
                if matches!(parts.last(), Some(Part::Name(_))) {
                    return Err("two captures need a text between them".into());
                }
                parts.push(Part::Name((name != "_").then(|| name.to_owned())));
                rest = after;
                continue;
            }
            let length = rest.chars().next().map_or(1, char::len_utf8);
            match parts.last_mut() {
                Some(Part::Text(text)) => text.push_str(&rest[..length]),
                _ => parts.push(Part::Text(rest[..length].to_owned())),
            }
            rest = &rest[length..];
        }
        if !parts.iter().any(|part| matches!(part, Part::Name(Some(_)))) {
            return Err("the pattern captures nothing: name a part, such as <status>".into());
        }
        Ok(Self(parts))
    }

    /// Calls `found` with each name and its text, as far as the line fits.
    pub fn each<'a>(&'a self, line: &'a str, mut found: impl FnMut(&'a str, &'a str)) {
        let mut rest = line;
        let mut parts = self.0.iter().peekable();
        if let Some(Part::Text(text)) = parts.peek() {
            let Some(after) = rest.strip_prefix(text.as_str()) else { return };
            rest = after;
            parts.next();
        }
        while let Some(part) = parts.next() {
            let Part::Name(name) = part else { continue };
            let (value, after) = match parts.next() {
                Some(Part::Text(text)) => match rest.split_once(text.as_str()) {
                    Some(split) => split,
                    None => return,
                },
                _ => (rest, ""),
            };
            if let Some(name) = name {
                found(name, value);
            }
            rest = after;
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_line_are_captured() {
        let check = |pattern: &str, line: &str, expected: &[(&str, &str)]| {
            let capture = Capture::new(pattern).expect(pattern);
            let mut found = Vec::new();
            capture.each(line, |name, value| found.push((name.to_owned(), value.to_owned())));
            let expected: Vec<_> = expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            assert_eq!(found, expected, "{pattern}");
        };
        let line = r#"10.0.0.1 - - [31/Jan] "GET /a HTTP/1.1" 200"#;
        check(
            r#"<ip> - - <_> "<method> <path> <_>" <status>"#,
            line,
            &[("ip", "10.0.0.1"), ("method", "GET"), ("path", "/a"), ("status", "200")],
        );
        check("10.<rest>", line, &[("rest", r#"0.0.1 - - [31/Jan] "GET /a HTTP/1.1" 200"#)]);
        check("<a>;<b>", line, &[]);
        check("x<a>", line, &[]);
        check("<5> <a>", "<5> b", &[("a", "b")]);
        assert!(Capture::new("<_> x").is_err() && Capture::new("<a><b>").is_err());
    }
}
