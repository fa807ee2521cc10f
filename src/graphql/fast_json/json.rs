//! JSON text: the values of a page, and the response around pages.

use std::io::{self, Write};

use async_graphql::Value;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::super::id::GlobalId;
use super::super::scalars;

/// JSON text in memory, so that writing cannot fail.
#[derive(Default)]
pub(in crate::graphql) struct JsonWriter(Vec<u8>);

impl JsonWriter {
    pub(in crate::graphql) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(in crate::graphql) fn null(&mut self) {
        self.raw("null");
    }

    pub(in crate::graphql) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(in crate::graphql) fn integer(&mut self, value: impl Into<i64>) {
        let _ = write!(self.0, "{}", value.into());
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

    /// The text of a domain enum as the value of its GraphQL enum: in upper case.
    pub(in crate::graphql) fn enum_value(&mut self, text: &str) {
        self.raw("\"");
        self.0.extend(text.bytes().map(|byte| byte.to_ascii_uppercase()));
        self.raw("\"");
    }

    pub(in crate::graphql) fn id(&mut self, id: GlobalId) {
        self.raw("\"");
        id.encode_into(&mut self.0);
        self.raw("\"");
    }

    pub(in crate::graphql) fn time(&mut self, time: DateTime<Utc>) {
        let _ = write!(self.0, "\"{}\"", scalars::DateTime(time));
    }

    pub(in crate::graphql) fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T),
    ) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    /// A list; `None` if an item cannot be written.
    pub(in crate::graphql) fn list<T>(
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

impl From<JsonWriter> for Bytes {
    fn from(json: JsonWriter) -> Self {
        json.0.into()
    }
}

/// Writes a value of a response. `Binary` is a page that is JSON already.
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
