//! Introspection, executed by apollo-compiler on the printed schema: async-graphql's own departs from the
//! specification. An operation may select data as well; both parts are executed separately and merged.

use apollo_compiler::executable::ExecutableDocument as TypedDocument;
use apollo_compiler::introspection::partial_execute;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet,
};
use async_graphql::{Name, Value, Variables};

use super::type_system::TypeSystem;

/// Response object: its fields in their order.
pub type ResponseObject = IndexMap<Name, Value>;

/// Failed introspection of a valid document: a bug.
#[derive(Debug, thiserror::Error)]
#[error("introspection failed: {0}")]
pub struct IntrospectionError(String);

/// Executes the fields `__schema`, `__type` and `__typename` of an operation.
///
/// # Errors
///
/// A bug of the library or of ours.
pub fn introspect(
    types: &TypeSystem,
    document: &Valid<TypedDocument>,
    operation: Option<&str>,
    variables: &Variables,
) -> Result<ResponseObject, IntrospectionError> {
    let failed = |error: &dyn std::fmt::Display| IntrospectionError(error.to_string());
    let operation = document
        .operations
        .get(operation)
        .map_err(|error| IntrospectionError(error.message().to_string()))?;
    let variables: JsonMap = serde_json::to_value(variables)
        .and_then(serde_json::from_value)
        .map_err(|error| failed(&error))?;
    // Coerced before: see `CheckedOperation::coerce_variables`.
    let variables = Valid::assume_valid(variables);
    let (schema, implementers) = (types.schema(), types.implementers());
    let response = partial_execute(schema, implementers, document, operation, &variables)
        .map_err(|error| IntrospectionError(error.message().to_string()))?;
    if let Some(error) = response.errors.first() {
        return Err(IntrospectionError(error.message.clone()));
    }
    match async_graphql::to_value(response.data) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(IntrospectionError("there is no data".to_owned())),
        Err(error) => Err(failed(&error)),
    }
}

/// True if one of the root fields is not introspection.
#[must_use]
pub fn selects_data(root_fields: &[&Field]) -> bool {
    root_fields.iter().any(|field| !field.name.node.starts_with("__"))
}

/// Fields of both objects, in the order of the root fields.
#[must_use]
pub fn merge(
    root_fields: &[&Field],
    mut one: ResponseObject,
    mut other: ResponseObject,
) -> ResponseObject {
    let take = |field: &&Field| {
        let key = &field.response_key().node;
        let value = one.swap_remove(key).or_else(|| other.swap_remove(key))?;
        Some((key.clone(), value))
    };
    root_fields.iter().filter_map(take).collect()
}

/// Removes `__schema` and `__type`, which exist at the root of a query only.
pub fn remove_introspection(document: &mut ExecutableDocument) {
    let is_data = |field: &Field| !matches!(field.name.node.as_str(), "__schema" | "__type");
    let retain = |set: &mut SelectionSet| retain_fields(set, &is_data);
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            retain(&mut operation.node.selection_set.node);
        }
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                retain(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        retain(&mut fragment.node.selection_set.node);
    }
}

fn retain_fields(set: &mut SelectionSet, is_retained: &impl Fn(&Field) -> bool) {
    set.items.retain_mut(|selection| match &mut selection.node {
        Selection::Field(field) => is_retained(&field.node),
        Selection::InlineFragment(inline) => {
            retain_fields(&mut inline.node.selection_set.node, is_retained);
            true
        }
        Selection::FragmentSpread(_) => true,
    });
}
