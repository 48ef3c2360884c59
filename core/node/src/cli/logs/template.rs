//! `--template`: a line as the user lays it out, `{time} {pod} {message}`. Pure.

use std::str::FromStr;

use tiphys_logging::{render, wire::LogRecord};

/// Texts, and what of a record stands between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Time,
    Namespace,
    Pod,
    Container,
    Node,
    Stream,
    Level,
    Message,
}

const PARTS: [(&str, Part); 8] = [
    ("time", Part::Time),
    ("namespace", Part::Namespace),
    ("pod", Part::Pod),
    ("container", Part::Container),
    ("node", Part::Node),
    ("stream", Part::Stream),
    ("level", Part::Level),
    ("message", Part::Message),
];

impl FromStr for Template {
    type Err = String;

    /// `{{` and `}}` are brackets; `\t` and `\n` stand for a tab and a new line.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let escape = [("{{", '{'), ("}}", '}'), ("\\t", '\t'), ("\\n", '\n')];
            if let Some((written, meant)) = escape.iter().find(|(written, _)| rest.starts_with(written)) {
                plain.push(*meant);
                rest = &rest[written.len()..];
                continue;
            }
            let behind = &rest[character.len_utf8()..];
            if character != '{' {
                plain.push(character);
                rest = behind;
                continue;
            }
            let known: Vec<_> = PARTS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            let known = || format!("there are {}; a bracket is written twice", known.join(" "));
            let (name, behind) = behind.split_once('}').ok_or_else(known)?;
            let part = PARTS.iter().find(|(own, _)| *own == name);
            let (_, part) = part.ok_or_else(|| format!("no {{{name}}}: {}", known()))?;
            pieces.extend([Piece::Text(std::mem::take(&mut plain)), Piece::Part(*part)]);
            rest = behind;
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }
}

impl Template {
    /// A record's line without its end. `time` is the one that is shown, and `message` the body as
    /// bytes may be written where this goes; its further lines are indented, so that none can be
    /// taken for a record.
    pub fn line(&self, record: &LogRecord, time: &str, message: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        for piece in &self.0 {
            let part = match piece {
                Piece::Text(text) => {
                    line.extend_from_slice(text.as_bytes());
                    continue;
                }
                Piece::Part(part) => part,
            };
            let text: &str = match part {
                Part::Time => time,
                Part::Namespace => &record.namespace,
                Part::Pod => &record.pod,
                Part::Container => &record.container,
                Part::Node => &record.node,
                Part::Stream => &record.stream,
                Part::Level => &record.level,
                Part::Message => {
                    for (at, text) in message.split(|byte| *byte == b'\n').enumerate() {
                        if at > 0 {
                            line.extend_from_slice(b"\n    ");
                        }
                        line.extend_from_slice(text);
                    }
                    continue;
                }
            };
            // Senders choose names, too.
            line.extend_from_slice(render::escaped(text).as_bytes());
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_laid_out() {
        let record = LogRecord {
            namespace: "shop".into(),
            pod: "web\x1b".into(),
            container: "app".into(),
            node: "n1".into(),
            stream: "stderr".into(),
            level: "warn".into(),
            ..LogRecord::default()
        };
        let check = |template: &str, expected: &str| {
            let template: Template = template.parse().expect("a template");
            let line = template.line(&record, "12:00", b"it {pod}");
            assert_eq!(String::from_utf8(line).as_deref(), Ok(expected), "{template:?}");
        };
        check("", "");
        check("{time} {namespace}/{pod} {message}", "12:00 shop/web\\x1b it {pod}");
        check("{{{level}}}\\t{container}@{node} {stream}", "{warn}\tapp@n1 stderr");
        check("é}{message}", "é}it {pod}");
        for wrong in ["{", "{body}", "{pod", "{.Message}"] {
            let error = wrong.parse::<Template>().expect_err(wrong);
            assert!(error.contains("{message}"), "{wrong}: {error}");
        }
    }

    #[test]
    fn abuse_27_a_message_forges_no_line_of_another_record() {
        let template: Template = "{pod} {message}\\n--".parse().expect("a template");
        let record = LogRecord { pod: "web".into(), ..LogRecord::default() };
        let line = |message: &[u8]| {
            let line = template.line(&record, "12:00", message);
            String::from_utf8(line).expect("text")
        };
        assert_eq!(line(b"it is\ndb-0 all is well\n"), "web it is\n    db-0 all is well\n    \n--");
        assert_eq!(line(b""), "web \n--");
    }
}
