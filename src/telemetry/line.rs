//! One line of the log: no control characters, and no more bytes than the maximum.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::log::FIELD_BYTES_MINIMUM;

/// Fields that are left of an object whose other fields are too many.
const ESSENTIAL_FIELDS: [&str; 5] = ["timestamp", "level", "message", "target", "truncated"];

/// Format of the lines of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Human-readable.
    Text,
    /// Human-readable, with escape sequences of a terminal.
    ColouredText,
    /// A JSON object.
    Json,
}

impl LineFormat {
    /// The line with at most `max_bytes` bytes, its end included. A truncated one says so.
    pub(super) fn bounded(self, line: &str, max_bytes: usize) -> Cow<'_, str> {
        // Bytes before the end of the line.
        let max_bytes = max_bytes.saturating_sub(1);
        if self == Self::Json {
            return if line.len() <= max_bytes {
                line.into()
            } else {
                truncated_json(line, max_bytes).into()
            };
        }
        let escaped = self.escaped(line);
        if escaped.len() <= max_bytes {
            return escaped;
        }
        let reset = if self == Self::ColouredText { "\u{1b}[0m" } else { "" };
        let end = format!("…{reset} (truncated, {} bytes)", line.len());
        let length = escaped.floor_char_boundary(max_bytes.saturating_sub(end.len()));
        (escaped[..length].to_owned() + &end).into()
    }

    /// Text in one line: a control character could end it, or hide a part of it from a reader.
    fn escaped(self, line: &str) -> Cow<'_, str> {
        let is_unsafe = |character: char| {
            character.is_control() && !(self == Self::ColouredText && character == '\u{1b}')
        };
        if !line.contains(is_unsafe) {
            return line.into();
        }
        let mut escaped = String::with_capacity(line.len() + 16);
        for character in line.chars() {
            if is_unsafe(character) {
                escaped.extend(character.escape_default());
            } else {
                escaped.push(character);
            }
        }
        escaped.into()
    }

    /// Line about dropped lines. Not through the filter, because it stands for lines that passed it.
    pub(super) fn dropped_notice(self, dropped: u64) -> String {
        const MESSAGE: &str = "log lines dropped";
        let mut timestamp = String::new();
        // A line without its time is better than none.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        match self {
            Self::Text | Self::ColouredText => {
                format!("{timestamp}  WARN {MESSAGE} dropped={dropped}")
            }
            Self::Json => json!({
                "timestamp": timestamp,
                "level": "WARN",
                "message": MESSAGE,
                "dropped": dropped,
                "target": module_path!(),
            })
            .to_string(),
        }
    }
}

/// The object with truncated strings, the longest first.
fn truncated_json(line: &str, max_bytes: usize) -> String {
    let mut object: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    object.insert("truncated".to_owned(), true.into());
    let mut value = Value::Object(object);
    let mut string_bytes = max_bytes;
    while string_bytes >= FIELD_BYTES_MINIMUM {
        truncate_strings(&mut value, string_bytes);
        let text = value.to_string();
        if text.len() <= max_bytes {
            return text;
        }
        string_bytes /= 2;
    }
    if let Value::Object(object) = &mut value {
        object.retain(|name, _| ESSENTIAL_FIELDS.contains(&name.as_str()));
    }
    value.to_string()
}

fn truncate_strings(value: &mut Value, max_bytes: usize) {
    match value {
        Value::String(text) if text.len() > max_bytes => {
            text.truncate(text.floor_char_boundary(max_bytes - '…'.len_utf8()));
            text.push('…');
        }
        Value::Array(values) => {
            for value in values {
                truncate_strings(value, max_bytes);
            }
        }
        Value::Object(object) => {
            for value in object.values_mut() {
                truncate_strings(value, max_bytes);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = 1024;

    fn line_of(text: &str) -> String {
        let spans = json!([{ "request_id": text, "name": "request" }]);
        let timestamp = "2026-11-30T12:00:00.000000Z";
        json!({ "timestamp": timestamp, "level": "WARN", "message": "m", "path": text, "spans": spans })
            .to_string()
    }

    #[test]
    fn json_of_any_length_stays_json_within_the_maximum() {
        for unit in ["a", "é", "🂠", "\"", "\\", "\u{1}", "a\n\u{1b}[31m"] {
            for count in [0, 1, 50, 100, 200, 300, 400, 500, 600, 700, 1_000, 5_000, 100_000] {
                let text = unit.repeat(count);
                let line = line_of(&text);
                let bounded = LineFormat::Json.bounded(&line, MAX_BYTES);
                assert!(bounded.len() < MAX_BYTES, "{unit:?} {count}: {}", bounded.len());
                let value: Value = serde_json::from_str(&bounded).expect("JSON");
                assert_eq!(value["message"], "m");
                assert_eq!(value["timestamp"], "2026-11-30T12:00:00.000000Z");
                if line.len() < MAX_BYTES {
                    assert_eq!(bounded, line);
                } else {
                    assert_eq!(value["truncated"], true);
                    let path = value["path"].as_str().expect("a string");
                    let start = path.strip_suffix('…').unwrap_or_else(|| panic!("{path}"));
                    assert!(!start.is_empty() && text.starts_with(start), "{path}");
                }
            }
        }
    }

    #[test]
    fn an_object_of_too_many_fields_keeps_the_essential_ones() {
        let mut object = Map::new();
        for number in 0..1_000 {
            object.insert(format!("field_{number}"), number.into());
        }
        object.insert("message".to_owned(), "m".repeat(5_000).into());
        object.insert("level".to_owned(), "WARN".into());
        let line = Value::Object(object).to_string();
        let bounded = LineFormat::Json.bounded(&line, MAX_BYTES);
        let message = format!("{}…", "m".repeat(60));
        assert_eq!(
            serde_json::from_str::<Value>(&bounded).expect("JSON"),
            json!({ "level": "WARN", "message": message, "truncated": true })
        );
    }

    #[test]
    fn text_at_the_maximum_is_whole_and_one_byte_above_it_is_truncated() {
        let line = "a".repeat(MAX_BYTES - 1);
        assert_eq!(LineFormat::Text.bounded(&line, MAX_BYTES), line);
        let line = "a".repeat(MAX_BYTES);
        let end = "… (truncated, 1024 bytes)";
        let expected = "a".repeat(MAX_BYTES - 1 - end.len()) + end;
        assert_eq!(LineFormat::Text.bounded(&line, MAX_BYTES), expected);
    }

    #[test]
    fn text_is_truncated_between_characters() {
        for count in MAX_BYTES / 4..MAX_BYTES {
            let line = "a".repeat(count % 4) + &"🂠".repeat(count);
            let bounded = LineFormat::Text.bounded(&line, MAX_BYTES);
            assert!(bounded.len() < MAX_BYTES && bounded.len() > MAX_BYTES - 6, "{count}");
            assert!(bounded.ends_with(&format!("🂠… (truncated, {} bytes)", line.len())));
        }
    }

    #[test]
    fn control_characters_of_text_are_escaped() {
        let line = "a\nb\r\tc\u{1b}[31m\u{7f}\u{9b}é\"\\";
        assert_eq!(
            LineFormat::Text.bounded(line, MAX_BYTES),
            "a\\nb\\r\\tc\\u{1b}[31m\\u{7f}\\u{9b}é\"\\"
        );
        assert_eq!(
            LineFormat::ColouredText.bounded(line, MAX_BYTES),
            "a\\nb\\r\\tc\u{1b}[31m\\u{7f}\\u{9b}é\"\\"
        );
    }
}
