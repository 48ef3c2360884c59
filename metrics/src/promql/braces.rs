//! Braces in regular expressions, as Prometheus reads them. Its expressions are Go's, for which `{`
//! begins a count only where a whole one follows: `{2}`, `{2,}`, `{2,3}`. Any other stands for
//! itself: `a{b}`, `a{,5}`, `a{2`. Rust's reads some of these as counts (`a{ 2 }`, `a{02}`) and
//! refuses the rest. Pure.

use std::borrow::Cow;

/// The same expression, where each `{` that is none of a count is escaped.
pub fn literal(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains('{') {
        return Cow::Borrowed(pattern);
    }
    let mut escaped = String::with_capacity(pattern.len() + 2);
    let mut rest = pattern;
    while let Some(at) = rest.find(['\\', '{']) {
        let (before, here) = rest.split_at(at);
        escaped.push_str(before);
        let taken = if here.starts_with('\\') { escape(here) } else { count(here) };
        if taken == 0 {
            escaped.push_str("\\{");
            rest = &here[1..];
        } else {
            escaped.push_str(&here[..taken]);
            rest = &here[taken..];
        }
    }
    escaped.push_str(rest);
    Cow::Owned(escaped)
}

/// Bytes of the escape that `text` begins with: two characters, or up to the brace that ends a
/// character's number or a class's name (`\x{2603}`, `\p{Greek}`).
fn escape(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let Some((at, character)) = characters.next() else { return text.len() };
    let end = at + character.len_utf8();
    let is_named = matches!(character, 'x' | 'p' | 'P') && text[end..].starts_with('{');
    if is_named { text[end..].find('}').map_or(text.len(), |close| end + close + 1) } else { end }
}

/// Bytes of the count that `text` begins with, 0 if it is none.
fn count(text: &str) -> usize {
    let Some((inside, _)) = text[1..].split_once('}') else { return 0 };
    let is_count = match inside.split_once(',') {
        None => is_number(inside),
        Some((least, "")) => is_number(least),
        Some((least, most)) => is_number(least) && is_number(most),
    };
    if is_count { inside.len() + 2 } else { 0 }
}

/// Digits, of which the first of several is not 0.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && !text.is_empty() && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn what_is_no_count_stands_for_itself() {
        for (pattern, matches, other) in [
            ("a{bbb}", "a{bbb}", "abbb"),
            ("a{,5}", "a{,5}", "aaa"),
            ("a{2", "a{2", "aa"),
            ("x{", "x{", "x"),
            ("{", "{", ""),
            ("{bbb}", "{bbb}", "bbb"),
            ("a{}", "a{}", "a"),
            ("a{ 2 }", "a{ 2 }", "aa"),
            ("a{02}", "a{02}", "aa"),
            ("a{1,02}", "a{1,02}", "a"),
            ("a{1,2,3}", "a{1,2,3}", "aa"),
            ("a{1,,2}", "a{1,,2}", "aa"),
            ("a{-1}", "a{-1}", "a"),
            ("a{{b}", "a{{b}", "ab"),
            ("a{1{b}", "a{1{b}", "a"),
            ("a{{1,2}}", "a{{}", "a{1,2}"),
            ("(a|b){x}+", "b{x}}", "bx"),
            ("[{]{2}", "{{", "{"),
            ("a}", "a}", "a"),
            ("é{ü}", "é{ü}", "éü"),
        ] {
            let regex = whole(pattern);
            assert!(regex.is_match(matches) && !regex.is_match(other), "{pattern}: {}", regex.as_str());
        }
    }

    #[test]
    fn counts_and_escapes_stay_as_they_are() {
        for (pattern, matches, other) in [
            ("a{2}", "aa", "a{2}"),
            ("a{2,}", "aaaa", "a"),
            ("a{0}", "", "a"),
            ("a{10,11}", "aaaaaaaaaa", "a"),
            ("a\\{2}", "a{2}", "aa"),
            ("\\\\{2}", "\\\\", "\\{2}"),
            ("\\x{2603}{2}", "☃☃", "☃"),
            ("\\p{Greek}{b}", "α{b}", "αb"),
            ("[\\P{Greek}]{2}", "ab", "αβ"),
        ] {
            let regex = whole(pattern);
            assert!(regex.is_match(matches) && !regex.is_match(other), "{pattern}: {}", regex.as_str());
        }
        for same in ["", "a.*|b", "a{2}", "a\\", "\\x{26", "\\pN{2,3}"] {
            assert_eq!(literal(same), same);
        }
    }

    fn whole(pattern: &str) -> Regex {
        Regex::new(&format!("^(?s:{})$", literal(pattern))).unwrap_or_else(|error| panic!("{error}"))
    }
}
