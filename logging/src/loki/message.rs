//! What the live tail sends, as texts of bounded length: clients refuse frames over 16 MiB, and
//! a hundred lines can have more.

use serde_json::{Value, json};

use super::labels::Labels;

/// Bytes of a message. A line that has more by itself is sent alone.
const MOST: usize = 4 << 20;

/// Messages that are filled one after the other.
#[derive(Debug, Default)]
pub struct Messages {
    full: Vec<String>,
    /// Of the last message: label sets with their lines, and what was dropped, as JSON.
    streams: Vec<String>,
    dropped: Vec<String>,
    /// Their bytes.
    length: usize,
}

impl Messages {
    /// Adds lines of one label set, as `(nanoseconds, text)`; where one message hasn't enough room
    /// for them they are in several.
    pub fn stream(&mut self, labels: &Labels, lines: Vec<(i64, String)>) {
        let labels = json!(labels).to_string();
        let (mut values, mut length): (Vec<String>, usize) = (Vec::new(), labels.len());
        for (time, text) in lines {
            let value = json!([time.to_string(), text]).to_string();
            if self.length + length + value.len() > MOST {
                self.push_stream(&labels, std::mem::take(&mut values));
                self.end_message();
                length = labels.len();
            }
            length += value.len();
            values.push(value);
        }
        self.push_stream(&labels, values);
    }

    /// Adds an entry of `dropped_entries`.
    pub fn dropped(&mut self, entry: &Value) {
        let entry = entry.to_string();
        if self.length + entry.len() > MOST {
            self.end_message();
        }
        self.length += entry.len();
        self.dropped.push(entry);
    }

    /// The messages, in order; none without content.
    pub fn finish(mut self) -> Vec<String> {
        self.end_message();
        self.full
    }

    fn push_stream(&mut self, labels: &str, values: Vec<String>) {
        if !values.is_empty() {
            let stream = format!(r#"{{"stream":{labels},"values":[{}]}}"#, values.join(","));
            self.length += stream.len();
            self.streams.push(stream);
        }
    }

    fn end_message(&mut self) {
        if self.length == 0 {
            return;
        }
        let mut message = format!(r#"{{"streams":[{}]"#, self.streams.join(","));
        if !self.dropped.is_empty() {
            message.push_str(&format!(r#","dropped_entries":[{}]"#, self.dropped.join(",")));
        }
        message.push('}');
        self.full.push(message);
        (self.streams, self.dropped, self.length) = (Vec::new(), Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::MAX_BODY;

    /// What clients take.
    const FRAME: usize = 16 << 20;

    fn labels(pod: &str) -> Labels {
        [("pod".to_owned(), pod.to_owned())].into()
    }

    /// Pods and texts of all messages, and the numbers of what was dropped.
    fn read(messages: &[String]) -> (Vec<(String, String)>, Vec<Value>) {
        let (mut lines, mut dropped) = (Vec::new(), Vec::new());
        for message in messages {
            let message: Value = serde_json::from_str(message).expect("JSON");
            for stream in message["streams"].as_array().expect("streams") {
                let pod = stream["stream"]["pod"].as_str().expect("a Pod");
                for value in stream["values"].as_array().expect("values") {
                    let text = value[1].as_str().expect("a text");
                    lines.push((pod.to_owned(), text.to_owned()));
                }
            }
            dropped.extend(message["dropped_entries"].as_array().cloned().unwrap_or_default());
        }
        (lines, dropped)
    }

    /// So many lines of the greatest length, each with its number. Of the characters that take most
    /// in JSON: six bytes each.
    fn long(count: usize) -> Vec<(i64, String)> {
        (0..count).map(|at| (at as i64, format!("{at}{}", "\u{1}".repeat(MAX_BODY - 8)))).collect()
    }

    #[test]
    fn long_lines_are_sent_in_frames_that_clients_take() {
        let long = long(20);
        let expected: Vec<_> = long.iter().map(|(_, text)| ("a".to_owned(), text.clone())).collect();
        // Together, as the past has them, and one by one.
        let mut together = Messages::default();
        together.stream(&labels("a"), long.clone());
        let mut single = Messages::default();
        long.into_iter().for_each(|line| single.stream(&labels("a"), vec![line]));
        for messages in [together.finish(), single.finish()] {
            assert!(messages.iter().all(|message| message.len() < FRAME), "a frame is too long");
            assert!(messages.len() < 20, "{} messages", messages.len());
            assert!(read(&messages).0 == expected, "lines are missing or in another order");
        }
    }

    #[test]
    fn what_has_room_is_one_message_and_nothing_is_none() {
        assert_eq!(Messages::default().finish(), Vec::<String>::new());
        let mut messages = Messages::default();
        messages.stream(&labels("a"), Vec::new());
        assert_eq!(messages.finish(), Vec::<String>::new());

        let mut messages = Messages::default();
        messages.stream(&labels("a"), vec![(1, "x".into()), (2, "\"y\"".into())]);
        messages.dropped(&json!({ "timestamp": "3" }));
        messages.stream(&labels("b"), vec![(4, "z".into())]);
        let messages = messages.finish();
        let expected = json!({
            "streams": [
                { "stream": { "pod": "a" }, "values": [["1", "x"], ["2", "\"y\""]] },
                { "stream": { "pod": "b" }, "values": [["4", "z"]] },
            ],
            "dropped_entries": [{ "timestamp": "3" }],
        });
        assert_eq!(messages.len(), 1);
        assert_eq!(serde_json::from_str::<Value>(&messages[0]).expect("JSON"), expected);
    }

    #[test]
    fn a_message_without_lines_has_an_empty_list_of_streams() {
        let mut messages = Messages::default();
        messages.dropped(&json!({ "timestamp": "3" }));
        assert_eq!(messages.finish(), [r#"{"streams":[],"dropped_entries":[{"timestamp":"3"}]}"#]);
    }

    #[test]
    fn a_line_longer_than_a_message_is_alone() {
        let texts = ["before".to_owned(), "x".repeat(MOST + 1), "behind".to_owned()];
        let mut messages = Messages::default();
        let lines = texts.iter().enumerate().map(|(at, text)| (at as i64, text.clone()));
        messages.stream(&labels("a"), lines.collect());
        let messages = messages.finish();
        assert_eq!(messages.len(), 3);
        assert!(read(&messages).0.into_iter().map(|(_, text)| text).eq(texts));
    }
}
