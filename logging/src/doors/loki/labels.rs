//! A stream's labels as Loki writes them: `{app="web", path="a\"b"}`. Pure.

/// Calls `label` with each; false when the text is none.
pub fn each(text: &str, mut label: impl FnMut(&str, &str)) -> bool {
    read(text.trim(), &mut label).is_some()
}

fn read(text: &str, label: &mut dyn FnMut(&str, &str)) -> Option<()> {
    let mut rest = text.strip_prefix('{')?.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return after.is_empty().then_some(());
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end();
        let legal = |c: char| c.is_alphanumeric() || "_.:-/".contains(c);
        if name.is_empty() || !name.chars().all(legal) {
            return None;
        }
        let (value, after) = quoted(after.trim_start())?;
        label(name, &value);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// A text in quotes, and what follows it. Escapes are those of Go, or the text is raw in backticks.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, after) = raw.split_once('`')?;
        return Some((value.to_owned(), after));
    }
    let text = text.strip_prefix('"')?;
    let mut value = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((String::from_utf8_lossy(&value).into_owned(), &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push(b'\n'),
                'r' => value.push(b'\r'),
                't' => value.push(b'\t'),
                'a' => value.push(7),
                'b' => value.push(8),
                'f' => value.push(12),
                'v' => value.push(11),
                // A byte, maybe one of several of a character.
                'x' => value.push(u8::try_from(hex(&mut chars, 2)?).ok()?),
                'u' => push(&mut value, char::from_u32(hex(&mut chars, 4)?)?),
                'U' => push(&mut value, char::from_u32(hex(&mut chars, 8)?)?),
                c @ ('"' | '\\' | '\'') => push(&mut value, c),
                _ => return None,
            },
            c => push(&mut value, c),
        }
    }
    None
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hex(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0u32, |number, _| Some(number << 4 | chars.next()?.1.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        each(text, |name, value| found.push((name.to_owned(), value.to_owned()))).then_some(found)
    }

    #[test]
    fn labels_as_loki_writes_them() {
        let check = |text: &str, expected: Option<&[(&str, &str)]>| {
            let expected = expected.map(|all| all.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
            assert_eq!(labels(text), expected, "{text}");
        };
        check("{}", Some(&[]));
        check(r#"{app="web"}"#, Some(&[("app", "web")]));
        check(r#" { app = "web" , job="a/b", } "#, Some(&[("app", "web"), ("job", "a/b")]));
        check(r#"{a="x\"y\\z\n\u00e9\xc3\xa9"}"#, Some(&[("a", "x\"y\\z\n\u{e9}\u{e9}")]));
        check("{a=`x\\n`}", Some(&[("a", "x\\n")]));
        check(r#"{a="}, b="}"#, Some(&[("a", "}, b=")]));
        check(r#"{a="b""#, None);
        check(r#"{a="b"} x"#, None);
        check(r#"{a=b}"#, None);
        check(r#"{="b"}"#, None);
        check(r#"{a="\u{110000}"}"#, None);
        check("", None);
    }

    proptest! {
        #[test]
        fn any_text_is_labels_or_none(text in ".{0,60}", value in ".{0,20}") {
            let _ = labels(&text);
            // Go's quotes of a text are Rust's but for the form of a character by its number.
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(labels(&format!("{{a=\"{quoted}\"}}")), Some(vec![("a".into(), value)]));
        }
    }
}
