//! Redaction: what must not be read is replaced before a record is indexed or
//! shown, and a wrong rule withholds the whole record rather than let it through.

use std::{borrow::Cow, ops::Range};

use regex::bytes::{Captures, Regex, RegexBuilder};

/// Bytes that a rule's compiled form may take.
const MAX_RULE: usize = 1 << 20;
/// Rules of one stream.
const MAX_RULES: usize = 64;

/// How many bytes at the begin of what an expression found are what it looks for, if any are.
type Meant = fn(&[u8]) -> Option<usize>;

/// Rules with a name, and what they find.
const NAMED: [(&str, &str, Option<Meant>); 5] = [
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", None),
    (
        "ipv4",
        r"\b(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\b",
        None,
    ),
    // ISO/IEC 7812-1: 2 to 6 are the first digits of cards that pay.
    ("card", r"\b[2-6](?:[ -]?[0-9]){12,18}\b", Some(card)),
    // RFC 7519: three parts in base64url; the first two are JSON objects, which begin with `{"`.
    ("jwt", r"\beyJ[A-Za-z0-9_-]*\.eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", None),
    // RFC 6750 and RFC 7617.
    ("authorization", r"(?i)\b(?:bearer|basic) +[A-Za-z0-9._~+/-]+=*", None),
];

/// Rules, one a line: a name (`email`, `ipv4`, `card`, `jwt`, `authorization`), or
/// `/regular expression/`, or `/regular expression/replacement/` with `$1` for
/// groups. `\/` is a slash.
#[derive(Debug, Default)]
pub struct Redaction {
    rules: Vec<Rule>,
    /// A rule can't be understood.
    broken: Option<String>,
}

#[derive(Debug)]
struct Rule {
    find: Regex,
    replacement: Vec<u8>,
    /// Absent where all that is found is meant.
    meant: Option<Meant>,
}

impl Redaction {
    /// Adds the rules of an annotation. One that is wrong withholds all records.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match rule(line) {
                Ok(rule) if self.rules.len() < MAX_RULES => self.rules.push(rule),
                other => {
                    let why = other.err().unwrap_or_else(|| format!("more than {MAX_RULES} rules"));
                    self.broken = Some(why.clone());
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.broken.is_none()
    }

    /// The body as it may be read; `None` when there is nothing to hide.
    pub fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        if let Some(withheld) = self.withheld() {
            return Some(withheld);
        }
        let mut redacted: Option<Vec<u8>> = None;
        for rule in &self.rules {
            let text = redacted.as_deref().unwrap_or(body);
            if rule.find.is_match(text) {
                redacted = match rule.meant {
                    None => Some(rule.find.replace_all(text, &rule.replacement[..]).into_owned()),
                    Some(_) => replaced(rule, text, 0..text.len()).map(|found| found.text).or(redacted),
                };
            }
        }
        redacted
    }

    /// As [`Redaction::apply`], of a piece of a longer text. Rules look beyond the piece on both
    /// sides; what they find is replaced if it begins in the piece, and then as a whole. Gives how
    /// many bytes behind the piece went with it, too: they are to be shown nowhere. A rule finds
    /// nothing that an earlier one put behind the piece.
    pub fn apply_to(&self, text: &[u8], piece: Range<usize>) -> (Option<Vec<u8>>, usize) {
        if let Some(withheld) = self.withheld() {
            return (Some(withheld), 0);
        }
        let Range { start, mut end } = piece;
        let (mut text, mut beyond) = (Cow::Borrowed(text), 0);
        for rule in &self.rules {
            if let Some(replaced) = replaced(rule, &text, start..end) {
                end = replaced.end;
                beyond += replaced.beyond;
                text = Cow::Owned(replaced.text);
            }
        }
        let is_redacted = matches!(text, Cow::Owned(_));
        (is_redacted.then(|| text[start..end].to_vec()), beyond)
    }

    /// What stands in the place of all records if a rule can't be understood.
    fn withheld(&self) -> Option<Vec<u8>> {
        let why = self.broken.as_ref()?;
        Some(format!("[withheld: a redaction rule is wrong: {why}]").into_bytes())
    }
}

impl Rule {
    /// Where the next stands that is to be replaced and begins in the piece, with its groups. A rule
    /// that looks at what it finds has none.
    fn next<'t>(&self, text: &'t [u8], piece: Range<usize>) -> Option<(Range<usize>, Option<Captures<'t>>)> {
        let Some(meant) = self.meant else {
            let groups = self.find.captures_at(text, piece.start)?;
            let whole = groups.get(0).filter(|whole| whole.start() < piece.end)?.range();
            return Some((whole, Some(groups)));
        };
        let mut at = piece.start;
        loop {
            let (start, length) = self.looked_at(meant, text, at..piece.end)?;
            if let Some(length) = length {
                return Some((start..self.joined_end(meant, text, start..start + length), None));
            }
            // What is meant may begin within it.
            at = start + 1;
        }
    }

    /// Where the next begins that the expression finds in the piece, and how much of that is meant.
    fn looked_at(&self, meant: Meant, text: &[u8], piece: Range<usize>) -> Option<(usize, Option<usize>)> {
        let whole = self.find.find_at(text, piece.start).filter(|whole| whole.start() < piece.end)?;
        Some((whole.start(), meant(whole.as_bytes())))
    }

    /// Where all that is meant ends that overlaps with this: digits before a number may seem to be one
    /// together with its begin.
    fn joined_end(&self, meant: Meant, text: &[u8], found: Range<usize>) -> usize {
        let (mut at, mut end) = (found.start + 1, found.end);
        while let Some((start, length)) = self.looked_at(meant, text, at..end) {
            end = end.max(start + length.unwrap_or(0));
            at = start + 1;
        }
        end
    }
}

/// A text after a rule was applied to a piece of it.
struct Replaced {
    text: Vec<u8>,
    /// Where the piece ends now.
    end: usize,
    /// How many bytes behind the piece were replaced.
    beyond: usize,
}

/// `None` when nothing is found that begins in the piece.
fn replaced(rule: &Rule, text: &[u8], piece: Range<usize>) -> Option<Replaced> {
    let mut new = Vec::new();
    let (mut at, mut copied, mut last) = (piece.start, 0, None);
    while at <= text.len()
        && let Some((Range { start, end }, groups)) = rule.next(text, at..piece.end)
    {
        // An empty one right behind another is none, as where all of a text is replaced.
        if start < end || last != Some(end) {
            new.extend_from_slice(&text[copied..start]);
            match groups {
                Some(groups) => groups.expand(&rule.replacement, &mut new),
                None => new.extend_from_slice(&rule.replacement),
            }
            copied = end;
            last = Some(copied);
        }
        at = end + usize::from(start == end);
    }
    last?;
    let beyond = copied.saturating_sub(piece.end);
    if copied < piece.end {
        new.extend_from_slice(&text[copied..piece.end]);
        copied = piece.end;
    }
    let end = new.len();
    new.extend_from_slice(&text[copied..]);
    Some(Replaced { text: new, end, beyond })
}

/// The longest number at the begin of these digits that can be a card's: it ends where a group of
/// digits does, and its check digit is right (Luhn's, of ISO/IEC 7812-1).
fn card(found: &[u8]) -> Option<usize> {
    const FEWEST: usize = 13;
    let double = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    // Every second digit is doubled, the last one is not; or it is, for one that is still to come.
    let (mut sum, mut sum_doubled, mut n_digits, mut longest) = (0u32, 0u32, 0, None);
    for (at, byte) in found.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let digit = u32::from(byte - b'0');
        (sum, sum_doubled) = (sum_doubled + digit, sum + double(digit));
        n_digits += 1;
        let is_end = found.get(at + 1).is_none_or(|next| !next.is_ascii_digit());
        if is_end && n_digits >= FEWEST && sum.is_multiple_of(10) {
            longest = Some(at + 1);
        }
    }
    longest
}

/// What a line says, ready to use.
fn rule(line: &str) -> Result<Rule, String> {
    const DEFAULT: &str = "[redacted]";
    let Some(rest) = line.strip_prefix('/') else {
        let named = NAMED.iter().find(|(name, ..)| *name == line);
        let (_, pattern, meant) = named.ok_or_else(|| {
            let names: Vec<&str> = NAMED.iter().map(|(name, ..)| *name).collect();
            format!("`{line}` is none of {} and no /regular expression/", names.join(", "))
        })?;
        return Ok(Rule { find: compiled(pattern)?, replacement: DEFAULT.into(), meant: *meant });
    };
    let (pattern, rest) = until_slash(rest).ok_or_else(|| format!("`{line}` has no slash at its end"))?;
    let replacement = match until_slash(rest) {
        Some((replacement, "")) => replacement,
        None if rest.is_empty() => DEFAULT.to_owned(),
        _ => return Err(format!("`{line}` is not /expression/ and not /expression/replacement/")),
    };
    Ok(Rule { find: compiled(&pattern)?, replacement: replacement.into_bytes(), meant: None })
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_RULE).build().map_err(|error| {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default().trim();
        format!("`{pattern}`: {}", last.strip_prefix("error: ").unwrap_or(last))
    })
}

/// What stands before the first slash without a backslash, and what after it.
fn until_slash(text: &str) -> Option<(String, &str)> {
    let mut taken = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '/' => return Some((taken, &text[at + 1..])),
            '\\' => match characters.next()? {
                (_, '/') => taken.push('/'),
                (_, other) => taken.extend(['\\', other]),
            },
            other => taken.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(rules: &str) -> Redaction {
        let mut redaction = Redaction::default();
        redaction.add(rules).expect("rules");
        redaction
    }

    fn redacted(rules: &str, body: &str) -> String {
        read(rules)
            .apply(body.as_bytes())
            .map_or("-".into(), |body| String::from_utf8_lossy(&body).into_owned())
    }

    #[test]
    fn rules_replace_what_they_find() {
        for (rules, body, expected) in [
            ("email", "from ada.l+x@mail.example.org to", "from [redacted] to"),
            ("email", "no address @ all", "-"),
            ("ipv4", "10.0.0.1 - 256.1.1.1 - 1.2.3", "[redacted] - 256.1.1.1 - 1.2.3"),
            ("card", "paid 4111 1111-1111 1111 at 12:30", "paid [redacted] at 12:30"),
            ("jwt", "t=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln;", "t=[redacted];"),
            ("authorization", "Authorization: Bearer abc.DEF~1==", "Authorization: [redacted]"),
            (r"/pin=(\d)\d+/pin=$1**/", "pin=1234 ok", "pin=1** ok"),
            (r"/a\/b\d/", "a/b7", "[redacted]"),
            ("/secret//", "a secret thing", "a  thing"),
            ("email\n\n  /x+/y/\n", "xx a@b.cd", "y [redacted]"),
        ] {
            assert_eq!(redacted(rules, body), expected, "{rules}: {body}");
        }
    }

    #[test]
    fn a_card_is_what_has_the_first_and_the_check_digit_of_one() {
        for (body, expected) in [
            ("4111111111111111", "[redacted]"),
            ("n=4222222222222,", "n=[redacted],"),
            ("378282246310005", "[redacted]"),
            ("30569309025904", "[redacted]"),
            ("5555-5555-5555-4444", "[redacted]"),
            ("2223 0031 2200 3222", "[redacted]"),
            (
                r#"{"card":"4111111111111111","at":1769860800500}"#,
                r#"{"card":"[redacted]","at":1769860800500}"#,
            ),
            // Other digits before and behind it.
            ("4111 1111 1111 1111 12/29", "[redacted] 12/29"),
            ("4111-1111-1111-1111 123", "[redacted] 123"),
            ("5 4111111111111111", "5 [redacted]"),
            // A date and the first half of the number have a right check digit, too.
            ("2026-01-07 4111 1111 1111 1111", "[redacted]"),
            ("2026-01-07 4111 1111 1111 1111 2026-02-07", "[redacted] 2026-02-07"),
            ("at 2020-01-07 5555 5555 5555 4444, ok", "at [redacted], ok"),
            ("4111111111111112 4111111111111111", "4111111111111112 [redacted]"),
            ("4111111111111111 and 5555555555554444", "[redacted] and [redacted]"),
            // A wrong check digit, times of the epoch in milliseconds and nanoseconds, IDs of 64 bits.
            ("4111111111111112", "-"),
            (r#"{"time":1769860800500,"ns":1769860800500000000}"#, "-"),
            (r#"{"id":6917529027641081856,"next":9007199254740993}"#, "-"),
            ("x4111111111111111 41111111111111111111 411111111111", "-"),
        ] {
            assert_eq!(redacted("card", body), expected, "{body}");
        }
        assert_eq!(redacted("email\ncard", "a@b.org 4111111111111112"), "[redacted] 4111111111111112");
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let mut redaction = Redaction::default();
        redaction.add("/k=[a-z]+/").expect("a rule");
        assert_eq!(redaction.apply(b"\xff k=abc \xfe"), Some(b"\xff [redacted] \xfe".to_vec()));
    }

    #[test]
    fn a_wrong_rule_is_named_and_withholds_everything() {
        for (rules, why) in [
            ("emial", "`emial` is none of email, ipv4, card, jwt, authorization and no /regular expression/"),
            ("/a", "`/a` has no slash at its end"),
            ("/a/b", "`/a/b` is not /expression/ and not /expression/replacement/"),
            ("/a/b/c", "`/a/b/c` is not /expression/ and not /expression/replacement/"),
            ("/(a/", "`(a`: unclosed group"),
            (
                "/(?:a{1000}){1000}/",
                "`(?:a{1000}){1000}`: Compiled regex exceeds size limit of 1048576 bytes.",
            ),
        ] {
            let mut redaction = Redaction::default();
            assert_eq!(redaction.add(rules), Err(why.to_owned()), "{rules}");
            let shown = redaction.apply(b"a secret").expect("something else");
            assert_eq!(shown, format!("[withheld: a redaction rule is wrong: {why}]").into_bytes());
        }
        let many = "/a/\n".repeat(MAX_RULES + 1);
        assert_eq!(Redaction::default().add(&many), Err("more than 64 rules".into()));
    }

    #[test]
    fn of_a_piece_what_begins_in_it_is_replaced_as_a_whole() {
        // The piece stands between the bars.
        for (rules, text, expected, beyond) in [
            ("/pin=\\d+/", "a pin=1 |b| pin=2", None, 0),
            ("/pin=\\d+/", "a |pin=12| b", Some("[redacted]"), 0),
            ("/pin=\\d+/", "a |x pin=|12 b", Some("x [redacted]"), 2),
            ("/pin=\\d+/", "a p|in=12 b|", None, 0),
            ("/pin=(\\d)\\d+/<$1>/", "|pin=1 pin=2|3 pin=45", Some("pin=1 <2>"), 1),
            // What stands before it counts, and isn't replaced.
            ("/\\bpin/", "a|pin pin| pin", Some("pin [redacted]"), 0),
            ("/\\Bpin/", "a|pin pin| pin", Some("[redacted] pin"), 0),
            // Each rule sees what the one before made of the piece, and goes on behind it.
            ("/aa/b/\n/bc+/d/", "|xaa|ccd", Some("xd"), 2),
            ("/ab/x/\n/xc/y/", "|a|bcd", Some("y"), 2),
            ("/x*/-/", "|ax|b", Some("-a-"), 0),
            ("/$/!/", "|ab|", None, 0),
        ] {
            let bars: Vec<usize> = text.match_indices('|').map(|(at, _)| at).collect();
            let piece = bars[0]..bars[1] - 1;
            let (found, n) = read(rules).apply_to(text.replace('|', "").as_bytes(), piece);
            let found = found.map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
            assert_eq!((found.as_deref(), n), (expected, beyond), "{rules}: {text}");
        }
        let mut wrong = Redaction::default();
        assert!(wrong.add("/(a/").is_err());
        assert_eq!(wrong.apply_to(b"abc", 0..2), (wrong.apply(b"abc"), 0));
    }

    fn check_pieces(rule: &str, text: &str, cut: usize) -> Result<(), TestCaseError> {
        let rules = read(rule);
        let whole = |found: Option<Vec<u8>>, text: &str| found.unwrap_or_else(|| text.into());
        let (head, beyond) = rules.apply_to(text.as_bytes(), 0..cut);
        let (tail, _) = rules.apply_to(text.as_bytes(), cut + beyond..text.len());
        let pieces = [whole(head, &text[..cut]), whole(tail, &text[cut + beyond..])].concat();
        let expected = whole(rules.apply(text.as_bytes()), text);
        prop_assert_eq!(pieces, expected, "{}", rule);
        Ok(())
    }

    proptest! {
        #[test]
        fn two_pieces_are_redacted_as_their_text_is(
            text in "[ab1@. =]{0,40}",
            at in any::<prop::sample::Index>(),
        ) {
            let cut = at.index(text.len() + 1);
            for rule in ["email", "/a=?1*/-/", "/\\b1+/<$0>/", "/b.*1/", "/\\Ba+/"] {
                check_pieces(rule, &text, cut)?;
            }
        }

        #[test]
        fn two_pieces_with_cards_are_too(
            text in
                "(2026-01-07 )?[0-9 -]{0,6}(4111 1111-1111 1111|4222222222222|[2-6][0-9]{12,18})[0-9 x-]{0,20}",
            at in any::<prop::sample::Index>(),
        ) {
            check_pieces("card", &text, at.index(text.len() + 1))?;
        }
    }
}
