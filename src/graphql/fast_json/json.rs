//! JSON as it is written: the values of a page, and the whole answer around pages.

use std::io::{self, Write};

use async_graphql::Value;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::super::id::GlobalId;
use super::super::scalars;

/// A value that is being written. Nothing of it can fail: it grows in memory.
#[derive(Default)]
pub(super) struct Json(Vec<u8>);

impl Json {
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn null(&mut self) {
        self.raw("null");
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(super) fn integer(&mut self, value: impl Into<i64>) {
        let _ = write!(self.0, "{}", value.into());
    }

    /// A number, or null where there is no such number in JSON.
    pub(super) fn float(&mut self, value: f64) {
        let _ = serde_json::to_writer(&mut self.0, &value);
    }

    pub(super) fn string(&mut self, value: &str) {
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// Text that needs no escapes.
    pub(super) fn plain(&mut self, value: &str) {
        self.raw("\"");
        self.raw(value);
        self.raw("\"");
    }

    /// A word of the domain as a value of its GraphQL enum: in upper case.
    pub(super) fn word(&mut self, word: &str) {
        self.raw("\"");
        self.0.extend(word.bytes().map(|byte| byte.to_ascii_uppercase()));
        self.raw("\"");
    }

    pub(super) fn id(&mut self, id: GlobalId) {
        self.raw("\"");
        id.encode_into(&mut self.0);
        self.raw("\"");
    }

    pub(super) fn time(&mut self, time: DateTime<Utc>) {
        let _ = write!(self.0, "\"{}\"", scalars::DateTime(time));
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    /// A list; nothing where an item cannot be written.
    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Option<()>,
    ) -> Option<()> {
        self.raw("[");
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                self.raw(",");
            }
            write(self, item)?;
        }
        self.raw("]");
        Some(())
    }
}

impl From<Json> for Bytes {
    fn from(json: Json) -> Self {
        json.0.into()
    }
}

/// Writes what the library answered. What it holds as `Binary` is JSON already: a page.
///
/// # Errors
///
/// There is no room for it.
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
