//! Introspection, executed by apollo-compiler on the printed schema: async-graphql's own departs from the
//! specification. An operation may select data as well; its two parts are executed apart and merged.

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

/// Failed introspection: a bug, because the document is valid.
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
    // The variables were coerced before.
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

/// Root fields of an operation, in the order of the response.
#[derive(Debug)]
pub struct RootFields {
    keys: Vec<Name>,
    /// True if a field is no introspection.
    pub select_data: bool,
}

impl RootFields {
    /// Root fields of the only operation of a document; fragments expanded.
    #[must_use]
    pub fn of(document: &ExecutableDocument) -> Self {
        let mut fields = Self { keys: Vec::new(), select_data: false };
        for (_, operation) in document.operations.iter() {
            fields.collect(document, &operation.node.selection_set.node);
        }
        fields
    }

    /// The recursion ends because a checked document has no cycles.
    fn collect(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    self.keys.push(field.node.response_key().node.clone());
                    self.select_data |= !field.node.name.node.starts_with("__");
                }
                Selection::InlineFragment(inline) => {
                    self.collect(document, &inline.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node)
                    {
                        self.collect(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    /// The fields of both objects in the order of the operation.
    #[must_use]
    pub fn merge(&self, mut one: ResponseObject, mut other: ResponseObject) -> ResponseObject {
        let take = |key: &Name| {
            let value = one.swap_remove(key).or_else(|| other.swap_remove(key))?;
            Some((key.clone(), value))
        };
        self.keys.iter().filter_map(take).collect()
    }
}

/// Removes `__schema` and `__type`, which only the root of a query has.
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

fn retain_fields(set: &mut SelectionSet, retained: &impl Fn(&Field) -> bool) {
    set.items.retain_mut(|selection| match &mut selection.node {
        Selection::Field(field) => retained(&field.node),
        Selection::InlineFragment(inline) => {
            retain_fields(&mut inline.node.selection_set.node, retained);
            true
        }
        Selection::FragmentSpread(_) => true,
    });
}
