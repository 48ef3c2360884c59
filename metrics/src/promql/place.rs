//! Where a query is wrong.
//!
//! The parser tells that a query is wrong and not where. So its words are looked at one
//! after the other: the first one after which no ending makes a query is the wrong one.

/// Words before a parenthesis that are no functions.
pub const KEYWORDS: [&str; 16] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "start",
    "end",
    "fill_left",
    "fill_right",
];

/// How the parser's sentences for errors of words and syntax begin.
const OF_SYNTAX: [&str; 7] =
    ["invalid promql query", "unclosed", "unterminated", "unexpected", "bad ", "no expression", "unknown"];

/// Whether a sentence tells of words, and not of types and arguments.
pub fn is_of_syntax(sentence: &str) -> bool {
    OF_SYNTAX.iter().any(|start| sentence.starts_with(start))
}

/// Line and column, from 1, of a byte.
pub fn line_and_column(query: &str, at: usize) -> (usize, usize) {
    let before = &query[..at.min(query.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    /// A text without its end.
    Open,
    Sign,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
    kind: Kind,
}

/// Words, texts in quotes and signs; spaces and comments left out.
fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = query[at..].chars().next() {
        let rest = &query[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.';
        let (length, kind) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' | '`' => quoted(rest, first),
            c if is_word(c) && c != ':' => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), Kind::Word),
            _ => {
                let two = rest.get(..2).filter(|two| ["=~", "!~", "!=", "==", ">=", "<="].contains(two));
                (two.map_or(first.len_utf8(), str::len), Kind::Sign)
            }
        };
        found.push(Token { at, text: &rest[..length], kind });
        at += length;
    }
    found
}

/// How long a text in quotes is.
fn quoted(rest: &str, quote: char) -> (usize, Kind) {
    let mut escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return (place + 1, Kind::Text),
            _ => {}
        }
    }
    (rest.len(), Kind::Open)
}

/// The first word before a parenthesis that names no function.
pub fn unknown_function(query: &str, is_known: impl Fn(&str) -> bool) -> Option<(usize, &str)> {
    let tokens = tokens(query);
    let calls = tokens.windows(2).filter(|pair| pair[0].kind == Kind::Word && pair[1].text == "(");
    calls
        .map(|pair| pair[0])
        .find(|word| {
            word.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !is_known(word.text)
        })
        .map(|word| (word.at, word.text))
}

/// Brackets that may stand open at once, and operators of one query. Each makes its tree deeper, and with it
/// the stack of who evaluates it. A level that a bracket makes takes up to 27 KiB where the build is not
/// optimized, one of an operator 3 KiB: together 1.7 MiB of the 2 MiB that a thread has.
const MOST_OPEN: usize = 40;
const MOST_OPERATORS: usize = 200;

/// Where a query becomes too deep, and a sentence.
pub fn too_deep(query: &str) -> Option<(usize, String)> {
    const SIGNS: [&str; 12] = ["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<="];
    const WORDS: [&str; 4] = ["and", "or", "unless", "atan2"];
    let (mut open, mut operators, mut in_braces) = (0_usize, 0, false);
    for Token { at, text, kind } in tokens(query) {
        match (kind, text) {
            (Kind::Sign, "{") => in_braces = true,
            (Kind::Sign, "}") => in_braces = false,
            (Kind::Sign, "(" | "[") => open += 1,
            (Kind::Sign, ")" | "]") => open = open.saturating_sub(1),
            (Kind::Sign, sign) if !in_braces && SIGNS.contains(&sign) => operators += 1,
            (Kind::Word, word) if !in_braces && WORDS.iter().any(|one| one.eq_ignore_ascii_case(word)) => {
                operators += 1;
            }
            _ => {}
        }
        if open > MOST_OPEN {
            let sentence = format!("more than {MOST_OPEN} brackets stand open; recording rules help");
            return Some((at, sentence));
        }
        if operators > MOST_OPERATORS {
            let sentence = format!("there are more than {MOST_OPERATORS} operators; recording rules help");
            return Some((at, sentence));
        }
    }
    None
}

/// Where a sentence points that names a function or a label in quotes.
pub fn of_sentence(query: &str, sentence: &str) -> usize {
    let named = sentence.split('\'').skip(1).step_by(2);
    named.filter(|name| !name.is_empty()).find_map(|name| query.find(name)).unwrap_or_default()
}

/// Endings that are tried after each word: something to stand for what may follow.
const ENDINGS: [&str; 14] = [
    "", " x", " 1", "()", "(x)", "(x[1m])", "=\"x\"", "\"x\"", "=\"x\"}", " (x)", "m", " 1m", ":1m", " x[1m]",
];

/// The first word after which no ending makes a query.
pub fn of_syntax<T>(query: &str, parse: impl Fn(&str) -> Result<T, String>) -> (usize, String) {
    let tokens = tokens(query);
    if let Some(open) = tokens.iter().find(|token| token.kind == Kind::Open) {
        return (open.at, format!("unterminated quoted string {}", open.text));
    }
    let mut open: Vec<&Token<'_>> = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        let opens = |close: &str| match close {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Sign => open.push(token),
            ")" | "]" | "}"
                if token.kind == Kind::Sign
                    && open.pop().is_none_or(|opened| opened.text != opens(token.text)) =>
            {
                return (token.at, format!("unexpected {:?}", token.text));
            }
            _ => {}
        }
        let end = token.at + token.text.len();
        if !may_go_on(&query[..end], &open, &parse) {
            let before = number.checked_sub(1).map(|before| tokens[before].text);
            let after = before.map(|before| format!(" after {before:?}")).unwrap_or_default();
            return (token.at, format!("unexpected {:?}{after}", token.text));
        }
    }
    let end = query.trim_end().len();
    match open.last().map(|opened| opened.text) {
        Some("(") => (end, "unclosed left parenthesis".into()),
        Some("[") => (end, "unclosed left bracket".into()),
        Some(_) => (end, "unclosed left brace".into()),
        None => (end, "unexpected end of input".into()),
    }
}

/// Whether some ending makes a query of a start. An error that is none of syntax counts:
/// the words themselves stand well.
fn may_go_on<T>(start: &str, open: &[&Token<'_>], parse: &impl Fn(&str) -> Result<T, String>) -> bool {
    let closing: String = open
        .iter()
        .rev()
        .map(|token| match token.text {
            "(" => ')',
            "[" => ']',
            _ => '}',
        })
        .collect();
    let without_last = closing.get(1..).unwrap_or_default();
    let is_well = |query: String| match parse(&query) {
        Ok(_) => true,
        Err(sentence) => !is_of_syntax(&sentence),
    };
    ENDINGS.iter().any(|ending| {
        is_well(format!("{start}{ending}{closing}"))
            || is_well(format!("{start}{ending}{closing} x"))
            || is_well(format!("{start}{ending}{closing}(x)"))
            || (ending.ends_with('}') && is_well(format!("{start}{ending}{without_last}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_texts_and_signs_are_told_apart() {
        let texts: Vec<_> =
            tokens("sum(x{a=~\"b'c\"}) # end\n>= 5m").iter().map(|token| token.text).collect();
        assert_eq!(texts, ["sum", "(", "x", "{", "a", "=~", "\"b'c\"", "}", ")", ">=", "5m"]);
        assert_eq!(line_and_column("a\nbc", 3), (2, 2));
    }
}
