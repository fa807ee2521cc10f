//! Coercion of input values by the rules of the specification. Execution would coerce them as well, but only when
//! their field is resolved, after earlier mutations of the operation have written.
//!
//! Invariant: no message contains a part of a value, which may be a password. Names of unknown fields are no values.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use apollo_compiler::ast::Type;
use apollo_compiler::schema::{EnumType, ExtendedType, InputObjectType};
use async_graphql::{Name, ScalarType};
use async_graphql_value::Value;

use super::error_reporting::ErrorReporting;
use super::scalars::{Date, DateTime, Url};
use super::type_system::TypeSystem;
use crate::config::limits::QUOTED_CHARACTERS;

/// Origin of a value. Literals and JSON represent enum values and integers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputSource {
    /// Literal in the document: enum values are names.
    Literal,
    /// JSON of the variables: enum values are strings, and `1.0` is an integer.
    Variable,
}

/// Value that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// Path of the part that does not fit: `$input.tags[2]`.
    pub path: String,
    /// Requirement on that part: "must be a string".
    pub expectation: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.path, self.expectation)
    }
}

/// Coercion of the values of one argument or variable. Collects all errors, as many as are reported.
#[derive(Debug)]
pub struct InputCoercion<'a> {
    types: &'a TypeSystem,
    source: InputSource,
    reporting: ErrorReporting,
    path: String,
    coerced: Coerced,
}

/// Result of a coercion.
#[derive(Debug, Default)]
pub struct Coerced {
    /// Parts that do not fit, in the order of the types. Empty if the value was coerced.
    pub errors: Vec<InputError>,
    /// Variables found at non-null positions. Validation allows nullable ones there if there is a default, which
    /// replaces an absent variable, but not a null that was sent.
    pub non_null_variables: HashSet<Name>,
}

impl<'a> InputCoercion<'a> {
    /// Coercion of values whose path begins with `name`.
    #[must_use]
    pub fn new(
        types: &'a TypeSystem,
        source: InputSource,
        reporting: ErrorReporting,
        name: &str,
    ) -> Self {
        let coerced = Coerced::default();
        Self { types, source, reporting, path: name.to_owned(), coerced }
    }

    /// Coerces a value to a type, in place. Variables in it are skipped: validation has compared their types.
    #[must_use]
    pub fn coerce(mut self, ty: &Type, value: &mut Value) -> Coerced {
        self.value(ty, value);
        self.coerced
    }

    fn value(&mut self, ty: &Type, value: &mut Value) {
        if let Value::Variable(name) = value {
            if ty.is_non_null() {
                self.coerced.non_null_variables.insert(name.clone());
            }
            return;
        }
        if *value == Value::Null {
            if ty.is_non_null() {
                self.fail("must not be null");
            }
            return;
        }
        match (ty, value) {
            (Type::List(item) | Type::NonNullList(item), Value::List(items)) => {
                for (index, value) in items.iter_mut().enumerate() {
                    self.within(
                        |path| write!(path, "[{index}]"),
                        |coercion| coercion.value(item, value),
                    );
                }
            }
            // A single value stands for a list of one.
            (Type::List(item) | Type::NonNullList(item), value) => self.value(item, value),
            (Type::Named(name) | Type::NonNullNamed(name), value) => {
                let types = self.types;
                match types.schema().types.get(name) {
                    Some(ExtendedType::Scalar(_)) => self.scalar(name, value),
                    Some(ExtendedType::Enum(definition)) => self.enum_value(definition, value),
                    Some(ExtendedType::InputObject(definition)) => self.object(definition, value),
                    _ => self.fail("must be of an input type"),
                }
            }
        }
    }

    fn scalar(&mut self, name: &str, value: &mut Value) {
        let (fits, expectation) = match name {
            "Int" => return self.int(value),
            "Float" => (matches!(value, Value::Number(_)), "must be a number"),
            "String" => (matches!(value, Value::String(_)), "must be a string"),
            "Boolean" => (matches!(value, Value::Boolean(_)), "must be true or false"),
            "ID" => (is_id(value), "must be an ID: a string or an integer of 64 bits"),
            "DateTime" => (
                is_valid::<DateTime>(value),
                "must be a time of RFC 3339 such as 2026-11-23T08:15:30Z",
            ),
            "Date" => (is_valid::<Date>(value), "must be a date such as 2026-11-23"),
            "URL" => (is_valid::<Url>(value), "must be an http or https address"),
            _ => (true, ""),
        };
        if !fits {
            self.fail(expectation);
        }
    }

    fn int(&mut self, value: &mut Value) {
        let integer = match value {
            Value::Number(number) => match (number.as_i64(), self.source) {
                (None, InputSource::Variable) => number.as_f64().and_then(integral),
                (integer, _) => integer,
            },
            _ => None,
        };
        match integer.map(i32::try_from) {
            Some(Ok(integer)) => *value = Value::Number(integer.into()),
            Some(Err(_)) => {
                self.fail(format!("must be an integer from {} to {}", i32::MIN, i32::MAX));
            }
            None => self.fail("must be an integer of 32 bits"),
        }
    }

    fn enum_value(&mut self, definition: &EnumType, value: &mut Value) {
        let name = match (&*value, self.source) {
            (Value::Enum(name), InputSource::Literal) => Some(name.as_str()),
            (Value::String(name), InputSource::Variable) => Some(name.as_str()),
            _ => None,
        };
        if let Some(found) = name.and_then(|name| definition.values.get(name)) {
            *value = Value::Enum(Name::new(&found.value));
            return;
        }
        if self.is_full() {
            return;
        }
        let is_quoted = self.source == InputSource::Literal && matches!(value, Value::String(_));
        let quotes = if is_quoted { ", written without quotes" } else { "" };
        let message = format!("must be a value of the enum `{}`{quotes}", definition.name);
        let values = definition.values.keys().map(apollo_compiler::Name::as_str);
        self.fail(self.reporting.with_values(message, values));
    }

    fn object(&mut self, definition: &InputObjectType, value: &mut Value) {
        let type_name = &definition.name;
        let Value::Object(fields) = value else {
            return self.fail(format!("must be an object of the type `{type_name}`"));
        };
        let unknown = fields.keys().filter(|name| !definition.fields.contains_key(name.as_str()));
        for name in unknown {
            self.unknown_field(definition, name);
        }
        for (name, field) in &definition.fields {
            match fields.get_mut(name.as_str()) {
                // Non-null even where there is a default: it replaces an absent variable, but not a null.
                Some(value) => self.within(
                    |path| write!(path, ".{name}"),
                    |coercion| coercion.value(&field.ty, value),
                ),
                None if field.is_required() => self.within(
                    |path| write!(path, ".{name}"),
                    |coercion| coercion.fail("is required"),
                ),
                None => {}
            }
        }
    }

    fn unknown_field(&mut self, definition: &InputObjectType, name: &Name) {
        // The comparison of names costs more than any other step.
        if self.is_full() {
            return;
        }
        let type_name = &definition.name;
        // A member of JSON may be any text, and so a value in the wrong place.
        if !is_plain_name(name) {
            return self.fail(format!("has a field that `{type_name}` does not have"));
        }
        let known = definition.fields.keys().map(apollo_compiler::Name::as_str);
        let message = format!("is not a field of `{type_name}`");
        let message = self.reporting.with_suggestion(message, name, known);
        self.within(|path| write!(path, ".{name}"), |coercion| coercion.fail(message));
    }

    /// Coerces a part of the value, with its path extended by a segment.
    fn within(
        &mut self,
        segment: impl FnOnce(&mut String) -> fmt::Result,
        coerce: impl FnOnce(&mut Self),
    ) {
        let length = self.path.len();
        // Writing into a string does not fail.
        let _ = segment(&mut self.path);
        coerce(self);
        self.path.truncate(length);
    }

    fn fail(&mut self, expectation: impl Into<String>) {
        if !self.is_full() {
            let (path, expectation) = (self.path.clone(), expectation.into());
            self.coerced.errors.push(InputError { path, expectation });
        }
    }

    /// True if no further error is reported.
    fn is_full(&self) -> bool {
        self.coerced.errors.len() >= self.reporting.maximum
    }
}

fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= QUOTED_CHARACTERS
        && bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Integer of an integral float within 53 bits, where floats are exact: JavaScript does not distinguish 3 and 3.0.
fn integral(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    #[expect(clippy::cast_possible_truncation, reason = "an integer within 53 bits")]
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

/// A string, or an integer of 64 bits: larger ones are floats to the libraries, and no id of this server is a
/// number.
fn is_id(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Number(number) => number.is_i64(),
        _ => false,
    }
}

fn is_valid<S: ScalarType>(value: &Value) -> bool {
    // Without variables: a literal with a variable inside is an object or a list, which no scalar is.
    value.clone().into_const().is_some_and(|value| S::is_valid(&value))
}
