//! Type system of the schema, for validation, input coercion and introspection. Parsed once per process from the
//! printed schema.

use std::sync::LazyLock;

use apollo_compiler::collections::HashMap;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema};

use super::sdl;

/// The types of the schema.
#[derive(Debug)]
pub struct TypeSystem {
    schema: Valid<Schema>,
    implementers: HashMap<Name, Implementers>,
}

impl TypeSystem {
    /// Types of a schema in the schema definition language.
    ///
    /// # Errors
    ///
    /// The text is not a valid schema; the message has all reasons.
    pub fn parse(sdl: &str) -> Result<Self, String> {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql")
            .map_err(|failed| failed.errors.to_string())?;
        let implementers = schema.implementers_map();
        Ok(Self { schema, implementers })
    }

    /// Types of the served schema.
    ///
    /// # Errors
    ///
    /// The printed schema is not valid: a bug, which a test finds first.
    pub fn served() -> Result<&'static Self, String> {
        static SERVED: LazyLock<Result<TypeSystem, String>> =
            LazyLock::new(|| TypeSystem::parse(sdl()));
        SERVED.as_ref().map_err(Clone::clone)
    }

    /// All definitions.
    #[must_use]
    pub fn schema(&self) -> &Valid<Schema> {
        &self.schema
    }

    /// Implementations of each interface.
    #[must_use]
    pub fn implementers(&self) -> &HashMap<Name, Implementers> {
        &self.implementers
    }
}
