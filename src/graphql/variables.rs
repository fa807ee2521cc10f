//! Variables as specified, where the library deviates from the specification.
//!
//! The library finds the variables of `@skip` and `@include` only among those that were sent, and it
//! rejects a nullable variable at an argument with a default, which is how clients write optional
//! arguments. So defaults are filled in here, a variable that was sent with a value counts as non-null,
//! and an argument whose variable was not sent is removed.

use std::collections::HashSet;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Value as Constant, Variables};
use async_graphql_value::Value;

use super::errors::ApiError;

/// Prepares the document and variables of one request for execution.
///
/// # Errors
///
/// A required variable without a value.
pub fn prepare_variables(
    document: &mut ExecutableDocument,
    operation: Option<&str>,
    mut variables: Variables,
) -> Result<Variables, ApiError> {
    let Some(definition) = operation_mut(&mut document.operations, operation) else {
        return Ok(variables);
    };
    let absent = apply_defaults(definition, &mut variables)?;
    // Operations may share fragments, and an argument that is removed for one of them would be missing
    // in the others; such documents are unchanged.
    if absent.is_empty() || document.operations.iter().len() > 1 {
        return Ok(variables);
    }
    let mut omission = Omission { absent, omitted: HashSet::new(), used: HashSet::new() };
    if let Some(definition) = operation_mut(&mut document.operations, operation) {
        omission.selection_set(&mut definition.selection_set.node);
    }
    for fragment in document.fragments.values_mut() {
        omission.selection_set(&mut fragment.node.selection_set.node);
    }
    // The definition of a variable whose uses were all removed would be rejected as unused. One that
    // was never used stays, and is rejected.
    if let Some(definition) = operation_mut(&mut document.operations, operation) {
        definition.variable_definitions.retain(|variable| {
            let name = &variable.node.name.node;
            omission.used.contains(name) || !omission.omitted.contains(name)
        });
    }
    Ok(variables)
}

/// Prepares a document for validation without variables: as if each was sent.
pub fn presume_variables(document: &mut ExecutableDocument) {
    let operations: Vec<&mut OperationDefinition> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![&mut operation.node],
        DocumentOperations::Multiple(operations) => {
            operations.values_mut().map(|operation| &mut operation.node).collect()
        }
    };
    let definitions =
        operations.into_iter().flat_map(|operation| &mut operation.variable_definitions);
    // One with a default counts as non-null already.
    for definition in definitions.filter(|definition| definition.node.default_value.is_none()) {
        definition.node.var_type.node.nullable = false;
    }
}

/// Inserts the defaults of variables, and returns the variables without a value.
fn apply_defaults(
    operation: &mut OperationDefinition,
    variables: &mut Variables,
) -> Result<HashSet<Name>, ApiError> {
    let mut absent = HashSet::new();
    for definition in &mut operation.variable_definitions {
        let definition = &mut definition.node;
        let name = definition.name.node.clone();
        match (variables.get(&name), &definition.default_value) {
            (None, Some(default)) => {
                let default = default.node.clone();
                variables.insert(name, default);
            }
            (None | Some(Constant::Null), _) if !definition.var_type.node.nullable => {
                return Err(ApiError::BadInput {
                    argument: "variables",
                    message: format!("the variable `${name}` must have a value"),
                });
            }
            (None, None) => {
                absent.insert(name);
            }
            // With a default it counts as non-null already, and a default of null would not fit.
            (Some(Constant::Null), _) | (Some(_), Some(_)) => {}
            (Some(_), None) => definition.var_type.node.nullable = false,
        }
    }
    Ok(absent)
}

fn operation_mut<'a>(
    operations: &'a mut DocumentOperations,
    name: Option<&str>,
) -> Option<&'a mut OperationDefinition> {
    match operations {
        DocumentOperations::Single(operation) => Some(&mut operation.node),
        DocumentOperations::Multiple(operations) => {
            operations.get_mut(name?).map(|operation| &mut operation.node)
        }
    }
}

/// Removes arguments and input fields whose variable has no value.
struct Omission {
    absent: HashSet<Name>,
    omitted: HashSet<Name>,
    used: HashSet<Name>,
}

impl Omission {
    fn selection_set(&mut self, set: &mut SelectionSet) {
        for selection in &mut set.items {
            match &mut selection.node {
                Selection::Field(field) => {
                    field.node.arguments.retain_mut(|(_, value)| self.retain(&mut value.node));
                    self.selection_set(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => {
                    self.selection_set(&mut fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
            for directive in directives_of(&selection.node) {
                for (_, value) in &directive.node.arguments {
                    self.mark_used(&value.node);
                }
            }
        }
    }

    fn retain(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name) if self.absent.contains(name) => {
                self.omitted.insert(name.clone());
                false
            }
            Value::Object(fields) => {
                fields.retain(|_, value| self.retain(value));
                true
            }
            Value::List(items) => {
                // Items of a list cannot be removed: an absent one is null.
                for item in items {
                    if !matches!(item, Value::Object(_)) || !self.retain(item) {
                        self.mark_used(item);
                    }
                }
                true
            }
            _ => true,
        }
    }

    fn mark_used(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => {
                self.used.insert(name.clone());
            }
            Value::List(items) => items.iter().for_each(|item| self.mark_used(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.mark_used(value)),
            _ => {}
        }
    }
}

fn directives_of(selection: &Selection) -> &[Positioned<async_graphql::parser::types::Directive>] {
    match selection {
        Selection::Field(field) => &field.node.directives,
        Selection::InlineFragment(fragment) => &fragment.node.directives,
        Selection::FragmentSpread(spread) => &spread.node.directives,
    }
}
