//! Variables by the letter of the specification, where the library departs from it.
//!
//! It looks for the variables of `@skip` and `@include` only among those that were sent, and it
//! refuses a nullable variable at an argument that has a default, which is how clients write
//! optional arguments. So defaults are filled in here, a variable that was sent with a value counts
//! as non-null, and an argument whose variable was not sent is left out, as the specification asks.

use std::collections::HashSet;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Value as Constant, Variables};
use async_graphql_value::Value;

use super::errors::ApiError;

/// Prepares the document and the variables of one request for execution.
///
/// # Errors
///
/// A variable that must have a value has none.
pub fn prepare_variables(
    document: &mut ExecutableDocument,
    operation: Option<&str>,
    mut variables: Variables,
) -> Result<Variables, ApiError> {
    let Some(definition) = operation_mut(&mut document.operations, operation) else {
        return Ok(variables);
    };
    let absent = settle_definitions(definition, &mut variables)?;
    // Fragments may serve several operations, and what is left out for one would be missed by the
    // others; such documents are run as they are.
    if absent.is_empty() || document.operations.iter().len() > 1 {
        return Ok(variables);
    }
    let mut omission = Omission { absent, omitted: HashSet::new(), kept: HashSet::new() };
    if let Some(definition) = operation_mut(&mut document.operations, operation) {
        omission.selection_set(&mut definition.selection_set.node);
    }
    for fragment in document.fragments.values_mut() {
        omission.selection_set(&mut fragment.node.selection_set.node);
    }
    // A definition whose every use was left out would be refused as unused. One that had no use in
    // the first place stays, and is refused.
    if let Some(definition) = operation_mut(&mut document.operations, operation) {
        definition.variable_definitions.retain(|variable| {
            let name = &variable.node.name.node;
            omission.kept.contains(name) || !omission.omitted.contains(name)
        });
    }
    Ok(variables)
}

/// Prepares a document for validation before any of its variables are known: as if each was sent.
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

/// Gives variables their defaults, and answers those that have no value at all.
fn settle_definitions(
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

/// Leaves out the arguments and input fields whose variable has no value.
struct Omission {
    absent: HashSet<Name>,
    omitted: HashSet<Name>,
    kept: HashSet<Name>,
}

impl Omission {
    fn selection_set(&mut self, set: &mut SelectionSet) {
        for selection in &mut set.items {
            match &mut selection.node {
                Selection::Field(field) => {
                    field.node.arguments.retain_mut(|(_, value)| self.keeps(&mut value.node));
                    self.selection_set(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => {
                    self.selection_set(&mut fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
            for directive in directives_of(&selection.node) {
                for (_, value) in &directive.node.arguments {
                    self.keep_all(&value.node);
                }
            }
        }
    }

    fn keeps(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name) if self.absent.contains(name) => {
                self.omitted.insert(name.clone());
                false
            }
            Value::Object(fields) => {
                fields.retain(|_, value| self.keeps(value));
                true
            }
            Value::List(items) => {
                // An item cannot be left out: it is null.
                for item in items {
                    if !matches!(item, Value::Object(_)) || !self.keeps(item) {
                        self.keep_all(item);
                    }
                }
                true
            }
            _ => true,
        }
    }

    fn keep_all(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => {
                self.kept.insert(name.clone());
            }
            Value::List(items) => items.iter().for_each(|item| self.keep_all(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.keep_all(value)),
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
