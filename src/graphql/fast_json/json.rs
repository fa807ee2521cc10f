//! JSON text: direct values, and the response around them.

use std::fmt;
use std::io::{self, Write};

use async_graphql::Value;
use bytes::Bytes;

/// JSON text in memory, so that writing cannot fail.
pub struct JsonWriter(Vec<u8>);

impl JsonWriter {
    /// An empty text with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(in crate::graphql) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(in crate::graphql) fn null(&mut self) {
        self.raw("null");
    }

    pub(in crate::graphql) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// A number, or a text without characters that JSON escapes.
    pub(in crate::graphql) fn displayed(&mut self, value: impl fmt::Display) {
        let _ = write!(self.0, "{value}");
    }

    /// A number; null for NaN and the infinities, which JSON does not have.
    pub(in crate::graphql) fn float(&mut self, value: f64) {
        let _ = serde_json::to_writer(&mut self.0, &value);
    }

    pub(in crate::graphql) fn string(&mut self, value: &str) {
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// A string without characters that JSON escapes.
    pub(in crate::graphql) fn unescaped(&mut self, value: &str) {
        self.raw("\"");
        self.raw(value);
        self.raw("\"");
    }

    /// A string without characters that JSON escapes.
    pub(in crate::graphql) fn quoted(&mut self, value: impl fmt::Display) {
        let _ = write!(self.0, "\"{value}\"");
    }

    /// A string without characters that JSON escapes, appended to the text.
    pub(in crate::graphql) fn appended(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        self.raw("\"");
        append(&mut self.0);
        self.raw("\"");
    }
}

impl From<JsonWriter> for Bytes {
    fn from(json: JsonWriter) -> Self {
        json.0.into()
    }
}

/// Writes a value of a response. `Binary` is a direct value, which is JSON already.
///
/// # Errors
///
/// The errors of `to`.
pub fn write_value(value: &Value, to: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Binary(json) => to.write_all(json),
        Value::List(items) => {
            to.write_all(b"[")?;
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    to.write_all(b",")?;
                }
                write_value(item, to)?;
            }
            to.write_all(b"]")
        }
        Value::Object(fields) => {
            to.write_all(b"{")?;
            for (number, (name, value)) in fields.iter().enumerate() {
                to.write_all(if number > 0 { b",\"" } else { b"\"" })?;
                // Names are letters, digits and underscores.
                to.write_all(name.as_bytes())?;
                to.write_all(b"\":")?;
                write_value(value, to)?;
            }
            to.write_all(b"}")
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Boolean(_) | Value::Enum(_) => {
            serde_json::to_writer(to, value).map_err(io::Error::from)
        }
    }
}
