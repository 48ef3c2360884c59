//! What an entry of the journal is as a record. Pure.

use std::borrow::Cow;

use super::file::Entry;
use crate::{
    doors::{Capped, Fields},
    parse,
    record::Level,
};

/// The name of what says no other.
pub const NAMELESS: &str = "journal";
/// The name of the kernel's lines that say no other: what programs write to `/dev/kmsg` has none.
const KERNEL: &str = "kernel";
/// Bytes of a name.
const MAX_NAME: usize = 128;
/// Characters of a field beside the message.
const MAX_FIELD: usize = 256;

/// An entry, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The unit without `.service`, of an instance its template: `sshd@`. Of a scope and of what
    /// `systemd-run` made, which have a number in their name, who wrote it.
    pub unit: String,
    /// Nanoseconds.
    pub time: i64,
    pub level: Level,
    /// The message, and behind it its fields; it may be too long for one record.
    pub body: Vec<u8>,
}

/// `name` says under which of the names that it is given the record is kept.
pub fn line(entry: &Entry, name: impl FnOnce(&str) -> String) -> Line {
    let get = |name: &str| -> Option<&[u8]> {
        let value =
            |field: &'_ [u8]| field.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::len);
        entry.fields.iter().find_map(|field| value(field).map(|length| &field[field.len() - length..]))
    };
    // Whoever writes to the journal chooses some of them.
    let text = |name: &str| {
        get(name).map(|value| String::from_utf8_lossy(value).chars().take(MAX_FIELD).collect::<String>())
    };
    let (unit, identifier) = (text("_SYSTEMD_UNIT"), text("SYSLOG_IDENTIFIER"));
    let service = unit.as_deref().filter(|unit| !unit.ends_with(".scope") && !is_transient(unit));
    let writer = identifier.clone().or_else(|| text("_COMM"));
    let given = service.map(|unit| template(unit).to_owned()).or(writer).or_else(|| unit.clone());
    let nameless = if get("_TRANSPORT") == Some(b"kernel") { KERNEL } else { NAMELESS };
    let given = given.filter(|name| !name.is_empty()).unwrap_or_else(|| nameless.to_owned());
    let unit_name = name(&plain(given.strip_suffix(".service").unwrap_or(&given)));

    let message = get("MESSAGE").unwrap_or_default();
    let priority = get("PRIORITY").and_then(|value| match value {
        [digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    });
    // What a program writes to its output gets this one whatever it says.
    let by_default = get("_TRANSPORT") == Some(b"stdout") && priority == Some(6);
    let said = parse::level(message);
    let level = match priority.map(parse::severity_of_syslog) {
        Some(level) if !by_default || said == Level::Unknown => level,
        _ => said,
    };

    let mut fields = Fields::default();
    fields.add("pid", text("_PID").or_else(|| text("SYSLOG_PID")).unwrap_or_default().into());
    let differs = |value: &String| plain(value.strip_suffix(".service").unwrap_or(value)) != unit_name;
    fields.add("unit", unit.filter(differs).unwrap_or_default().into());
    fields.add("identifier", identifier.filter(differs).unwrap_or_default().into());
    let message = match entry.left_out {
        None => Cow::Borrowed(message),
        Some(bytes) => Cow::Owned(cut(message, bytes)),
    };
    let body = fields.join(&message, &mut Capped::default());
    Line { unit: unit_name, time: time(entry), level, body }
}

/// When it was written, nanoseconds.
pub fn time(entry: &Entry) -> i64 {
    i64::try_from(entry.time).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// The unit, or of an instance what all instances have: there may be one a connection.
fn template(unit: &str) -> &str {
    match unit.find('@') {
        Some(at @ 1..) => &unit[..=at],
        _ => unit,
    }
}

/// Whether `systemd-run` made up the name: `run-r0a1b….service`, `run-u12.service`, `run-p7-i9.service`.
fn is_transient(unit: &str) -> bool {
    let number = unit.strip_prefix("run-").and_then(|rest| rest.strip_prefix(['r', 'u', 'p']));
    let number = number.and_then(|rest| rest.split('.').next()).unwrap_or_default();
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-' || c == 'i';
    number.contains(|c: char| c.is_ascii_digit()) && number.chars().all(is_part)
}

/// The begin of a message of which so many bytes were left out, and what says so.
fn cut(message: &[u8], left_out: u64) -> Vec<u8> {
    // Don't tear a character.
    let torn = message.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    let left_out = if left_out == 0 { 0 } else { left_out.saturating_add(torn as u64) };
    [&message[..message.len() - torn], parse::left_out(left_out).as_bytes()].concat()
}

/// A name that can be searched for and shown.
fn plain(name: &str) -> String {
    let mut plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || "@._:-+".contains(c) { c } else { '-' })
        .take(MAX_NAME)
        .collect();
    if plain.is_empty() {
        plain.push_str(NAMELESS);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> (String, Level, String) {
        let fields = fields.iter().map(|field| field.as_bytes().into()).collect();
        let line = line(&Entry { time: 5, fields, ..Entry::default() }, str::to_owned);
        assert_eq!(line.time, 5000);
        (line.unit, line.level, String::from_utf8(line.body).expect("text"))
    }

    #[test]
    fn abuse_34_no_field_but_the_message_makes_a_line_longer_than_a_record() {
        let long = "\u{1b}\"".repeat(400_000);
        for name in ["SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID", "_COMM"] {
            let fields = [format!("{name}={long}"), "MESSAGE=x".to_owned(), "_PID=7".to_owned()];
            let (unit, _, body) = read(&fields.each_ref().map(String::as_str));
            // Each character of a field is six bytes at most, where it is escaped.
            assert!(unit.len() <= MAX_NAME && body.len() <= 16 * MAX_FIELD, "{name}: {}", body.len());
        }
    }

    #[test]
    fn units_levels_and_fields() {
        let check = |fields: &[&str], unit: &str, level: Level, body: &str| {
            assert_eq!(read(fields), (unit.to_owned(), level, body.to_owned()), "{fields:?}");
        };
        let kubelet = "_SYSTEMD_UNIT=kubelet.service";
        check(&[kubelet, "PRIORITY=3", "MESSAGE=gone", "_PID=7"], "kubelet", Level::Error, "gone pid=7");
        check(
            &[
                kubelet,
                "PRIORITY=6",
                "_TRANSPORT=stdout",
                "MESSAGE=E0131 12:00:00.1 1 a.go:1] x",
                "SYSLOG_IDENTIFIER=kubelet",
            ],
            "kubelet",
            Level::Error,
            "E0131 12:00:00.1 1 a.go:1] x",
        );
        check(
            &[kubelet, "PRIORITY=6", "_TRANSPORT=journal", "MESSAGE=ERROR x"],
            "kubelet",
            Level::Info,
            "ERROR x",
        );
        check(
            &["_SYSTEMD_UNIT=session-4.scope", "SYSLOG_IDENTIFIER=sudo", "PRIORITY=5", "MESSAGE=root"],
            "sudo",
            Level::Info,
            "root unit=session-4.scope",
        );
        check(&["SYSLOG_IDENTIFIER=kernel", "PRIORITY=4", "MESSAGE=oops"], "kernel", Level::Warn, "oops");
        check(
            &["_SYSTEMD_UNIT=init.scope", "_COMM=systemd", "MESSAGE=up"],
            "systemd",
            Level::Unknown,
            "up unit=init.scope",
        );
        check(
            &["SYSLOG_IDENTIFIER=../a b\n", "MESSAGE={\"a\":1}", "_PID=1"],
            "..-a-b-",
            Level::Unknown,
            "{\"a\":1,\"pid\":\"1\"}",
        );
        check(&["MESSAGE=", "PRIORITY=9"], "journal", Level::Unknown, "");
        check(
            &["_SYSTEMD_UNIT=sshd@12-10.0.0.1:22-10.0.0.2:5000.service", "MESSAGE=in"],
            "sshd@",
            Level::Unknown,
            "in unit=sshd@12-10.0.0.1:22-10.0.0.2:5000.service",
        );
        check(&["_SYSTEMD_UNIT=@x.service", "MESSAGE=in"], "@x", Level::Unknown, "in");
        check(
            &["_SYSTEMD_UNIT=run-r0a1b2c3d.service", "_COMM=backup", "MESSAGE=in"],
            "backup",
            Level::Unknown,
            "in unit=run-r0a1b2c3d.service",
        );
        check(
            &["_SYSTEMD_UNIT=run-p7-i9.service", "_COMM=sh", "MESSAGE="],
            "sh",
            Level::Unknown,
            "unit=run-p7-i9.service",
        );
        let parts = "_SYSTEMD_UNIT=run-parts.service";
        check(&[parts, "_COMM=sh", "MESSAGE=in"], "run-parts", Level::Unknown, "in");
        check(&["X=1"], "journal", Level::Unknown, "");
    }

    #[test]
    fn lines_of_the_kernel_s_buffer_are_the_kernel_s() {
        let head = [
            "_BOOT_ID=0123456789abcdef0123456789abcdef",
            "_MACHINE_ID=fedcba9876543210fedcba9876543210",
            "_HOSTNAME=node-1",
            "_SOURCE_MONOTONIC_TIMESTAMP=61044571",
            "PRIORITY=4",
            "MESSAGE=x",
        ];
        let check = |fields: &[&str], unit: &str| {
            let fields = [&head[..], fields].concat();
            assert_eq!(read(&fields), (unit.to_owned(), Level::Warn, "x".to_owned()), "{fields:?}");
        };
        // As journald has `echo x > /dev/kmsg`, the kernel's own line, and `echo "app: x" > /dev/kmsg`.
        check(&["_TRANSPORT=kernel", "SYSLOG_FACILITY=1"], "kernel");
        check(&["_TRANSPORT=kernel", "SYSLOG_FACILITY=0", "SYSLOG_IDENTIFIER=kernel"], "kernel");
        check(&["_TRANSPORT=kernel", "SYSLOG_FACILITY=1", "SYSLOG_IDENTIFIER=app"], "app");
        check(&["_TRANSPORT=kernel", "SYSLOG_FACILITY=1", "SYSLOG_IDENTIFIER="], "kernel");
        check(&["_TRANSPORT=syslog", "SYSLOG_FACILITY=1"], "journal");
    }

    #[test]
    fn bytes_and_long_messages_are_kept_as_those_of_containers() {
        let entry = |message: &[u8]| Entry {
            fields: vec![[b"MESSAGE=", message].concat().into()],
            ..Entry::default()
        };
        assert_eq!(line(&entry(b"\xff\x00"), str::to_owned).body, b"\xff\x00");
        let long = vec![b'x'; parse::MAX_BODY + 5000];
        assert!(line(&entry(&long), str::to_owned).body == long);
        let cut = |left_out| Entry { left_out: Some(left_out), ..entry(b"wei\xc3") };
        let body = |left_out| String::from_utf8(line(&cut(left_out), str::to_owned).body).expect("text");
        assert_eq!(body(7), "wei …[cut by tiphys: 8 bytes more]");
        assert_eq!(body(0), "wei …[cut by tiphys]");
    }
}
