//! A letter before the time: klog and glog (`E0131 12:00:00.1 1 main.go:1] gone`),
//! and the bracketed form of Python's servers (`[W 2026-01-31 12:00:00.123 app] slow`).

use crate::record::Level;

pub(super) fn level(text: &[u8]) -> Option<Level> {
    let (first, rest) = text.split_first()?;
    if *first == b'[' {
        let (letter, rest) = rest.split_first()?;
        let dated = rest.first() == Some(&b' ') && rest.get(1).is_some_and(u8::is_ascii_digit);
        return if dated { letter_level(*letter) } else { None };
    }
    // The month and day, of newer glogs the year before them.
    let digits = rest.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let dated = matches!(digits, 4 | 8) && rest.get(digits) == Some(&b' ');
    if dated { letter_level(*first) } else { None }
}

fn letter_level(letter: u8) -> Option<Level> {
    Some(match letter {
        b'D' => Level::Debug,
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' | b'C' => Level::Fatal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_before_a_date() {
        let check = |text: &str, expected| assert_eq!(level(text.as_bytes()), expected, "{text}");
        check("I0131 12:00:00.123456       1 leader.go:1] won", Some(Level::Info));
        check("E0131 12:00:00.1 1 main.go:1] gone", Some(Level::Error));
        check("W20260131 12:00:00.1 1 main.cc:1] slow", Some(Level::Warn));
        check("F0131 12:00:00.1 1 main.go:1] over", Some(Level::Fatal));
        check("[E 260131 12:00:00 web:1] gone", Some(Level::Error));
        check("[I 2026-01-31 12:00:00.000 ServerApp] up", Some(Level::Info));
        check("E01312 x", None);
        check("I013 x", None);
        check("X0131 x", None);
        check("[E]", None);
        check("", None);
        check("I", None);
    }
}
