//! Coercion of input values by the rules of the specification. Execution would coerce them as well, but only when
//! their field is resolved, after earlier mutations of the operation have written.
//!
//! Invariant: no message contains a part of a value, which may be a password.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use apollo_compiler::ast::Type;
use apollo_compiler::schema::{EnumType, ExtendedType, InputObjectType};
use async_graphql::{Name, ScalarType};
use async_graphql_value::Value;

use super::scalars::{Date, DateTime, Url};
use super::type_system::TypeSystem;

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

/// Coercion of the values of one argument or variable.
#[derive(Debug)]
pub struct InputCoercion<'a> {
    types: &'a TypeSystem,
    source: InputSource,
    path: String,
    /// Variables at non-null positions.
    non_null_variables: HashSet<Name>,
}

impl<'a> InputCoercion<'a> {
    /// Coercion of values whose path begins with `name`.
    #[must_use]
    pub fn new(types: &'a TypeSystem, source: InputSource, name: &str) -> Self {
        Self { types, source, path: name.to_owned(), non_null_variables: HashSet::new() }
    }

    /// Variables found at non-null positions. Validation allows nullable ones there if there is a default, which
    /// replaces an absent variable, but not a null that was sent.
    #[must_use]
    pub fn into_non_null_variables(self) -> HashSet<Name> {
        self.non_null_variables
    }

    /// Coerces a value to a type, in place. Variables in it are skipped: validation has compared their types.
    ///
    /// # Errors
    ///
    /// The value, or a part of it, does not fit.
    pub fn coerce(&mut self, ty: &Type, value: &mut Value) -> Result<(), InputError> {
        if let Value::Variable(name) = value {
            if ty.is_non_null() {
                self.non_null_variables.insert(name.clone());
            }
            return Ok(());
        }
        if *value == Value::Null {
            return if ty.is_non_null() { self.fail("must not be null") } else { Ok(()) };
        }
        match (ty, value) {
            (Type::List(item) | Type::NonNullList(item), Value::List(items)) => {
                for (index, value) in items.iter_mut().enumerate() {
                    self.within(
                        |path| write!(path, "[{index}]"),
                        |coercion| coercion.coerce(item, value),
                    )?;
                }
                Ok(())
            }
            // A single value stands for a list of one.
            (Type::List(item) | Type::NonNullList(item), value) => self.coerce(item, value),
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

    fn scalar(&self, name: &str, value: &mut Value) -> Result<(), InputError> {
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
        if fits { Ok(()) } else { self.fail(expectation) }
    }

    fn int(&self, value: &mut Value) -> Result<(), InputError> {
        let integer = match value {
            Value::Number(number) => match (number.as_i64(), self.source) {
                (None, InputSource::Variable) => number.as_f64().and_then(integral),
                (integer, _) => integer,
            },
            _ => None,
        };
        match integer.map(i32::try_from) {
            Some(Ok(integer)) => {
                *value = Value::Number(integer.into());
                Ok(())
            }
            Some(Err(_)) => {
                self.fail(format!("must be an integer from {} to {}", i32::MIN, i32::MAX))
            }
            None => self.fail("must be an integer of 32 bits"),
        }
    }

    fn enum_value(&self, definition: &EnumType, value: &mut Value) -> Result<(), InputError> {
        let name = match (&*value, self.source) {
            (Value::Enum(name), InputSource::Literal) => Some(name.as_str()),
            (Value::String(name), InputSource::Variable) => Some(name.as_str()),
            _ => None,
        };
        match name.and_then(|name| definition.values.get(name)) {
            Some(found) => {
                *value = Value::Enum(Name::new(&found.value));
                Ok(())
            }
            None => self.fail(format!("must be a value of the enum `{}`", definition.name)),
        }
    }

    fn object(
        &mut self,
        definition: &InputObjectType,
        value: &mut Value,
    ) -> Result<(), InputError> {
        let type_name = &definition.name;
        let Value::Object(fields) = value else {
            return self.fail(format!("must be an object of the type `{type_name}`"));
        };
        if fields.keys().any(|name| !definition.fields.contains_key(name.as_str())) {
            return self.fail(format!("has a field that `{type_name}` does not have"));
        }
        for (name, field) in &definition.fields {
            let result = match fields.get_mut(name.as_str()) {
                // Non-null even where there is a default: it replaces an absent variable, but not a null.
                Some(value) => self.within(
                    |path| write!(path, ".{name}"),
                    |coercion| coercion.coerce(&field.ty, value),
                ),
                None if field.is_required() => self.within(
                    |path| write!(path, ".{name}"),
                    |coercion| coercion.fail("is required"),
                ),
                None => Ok(()),
            };
            result?;
        }
        Ok(())
    }

    /// Coerces a part of the value, with its path extended by a segment.
    fn within(
        &mut self,
        segment: impl FnOnce(&mut String) -> fmt::Result,
        coerce: impl FnOnce(&mut Self) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let length = self.path.len();
        // Writing into a string does not fail.
        let _ = segment(&mut self.path);
        let result = coerce(self);
        self.path.truncate(length);
        result
    }

    fn fail(&self, expectation: impl Into<String>) -> Result<(), InputError> {
        Err(InputError { path: self.path.clone(), expectation: expectation.into() })
    }
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
