//! Target `input`: validation and coercion of literals and variables. An input is a document, a line `---`, and the
//! JSON of the variables.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Value as Constant, Variables};
use async_graphql_value::Value;
use serde_json::Value as Json;
use wasteland_tarot::graphql::guard::{CheckedDocument, CheckedOperation};

use crate::document::names;
use crate::guard::{assert_shows_no_literal, guard};
use crate::literals::masked_json;

/// Line between document and variables.
pub const SEPARATOR: &str = "\n---\n";

/// Accepted variables are within the limits, and their coercion is stable; an operation is executed without a
/// variable; a refusal is small, and shows no value.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, variables) = text.split_once(SEPARATOR).unwrap_or((text, "{}"));
    let Ok(variables @ Json::Object(_)) = serde_json::from_str::<Json>(variables) else { return };
    let Ok(document) = guard().check(text) else { return };
    let sent = Variables::from_json(variables.clone());
    let masked = Variables::from_json(masked_json(variables));
    for name in names(text) {
        if let Ok(operation) = document.operation(name) {
            coerce(&document, &operation, &sent);
            if let Err(refusal) = operation.coerce_variables(masked.clone(), guard().types()) {
                assert_shows_no_literal(&refusal);
            }
        }
    }
}

fn coerce(document: &CheckedDocument, operation: &CheckedOperation<'_>, sent: &Variables) {
    let (limits, types) = (guard().limits(), guard().types());
    if let Err(refusal) = document.check_variables(sent, limits) {
        return guard().assert_well_formed(&refusal, "");
    }
    for value in sent.values() {
        let Size { items, nesting } = Size::of(value);
        assert!(items <= limits.list_items, "a list of {items}");
        assert!(nesting <= limits.nesting, "nested {nesting} times");
    }
    match operation.coerce_variables(sent.clone(), types) {
        Err(refusal) => guard().assert_well_formed(&refusal, ""),
        Ok(coerced) => {
            let json = coerced.clone().into_value().into_json().expect("constants are JSON");
            let again = operation.coerce_variables(Variables::from_json(json), types);
            assert_eq!(again.as_ref(), Ok(&coerced), "coerced values are coerced to others");
            assert_constant(&operation.executable(&coerced, types));
            let cost = operation.cost(guard().costs(), &coerced, limits);
            let again = document.operation(operation.name()).expect("it is there");
            let again = again.cost(guard().costs(), &coerced, limits);
            assert_eq!(cost, again, "two costs of one operation");
        }
    }
}

/// Size of a value.
#[derive(Default)]
pub(crate) struct Size {
    /// Items of the longest list.
    pub(crate) items: usize,
    /// Levels of lists and objects.
    pub(crate) nesting: usize,
}

impl Size {
    pub(crate) fn of(value: &Constant) -> Self {
        let (own, inner): (usize, Vec<Self>) = match value {
            Constant::List(items) => (items.len(), items.iter().map(Self::of).collect()),
            Constant::Object(fields) => (0, fields.values().map(Self::of).collect()),
            _ => return Self::default(),
        };
        let nested = inner.iter().map(|size| size.nesting).max().unwrap_or_default();
        let items = inner.iter().map(|size| size.items).max().unwrap_or_default();
        Self { items: items.max(own), nesting: nested + 1 }
    }
}

/// Panics if a variable is left in the document.
pub(crate) fn assert_constant(document: &ExecutableDocument) {
    for (_, operation) in document.operations.iter() {
        assert_constant_set(&operation.node.selection_set.node);
    }
    for fragment in document.fragments.values() {
        assert_constant_set(&fragment.node.selection_set.node);
    }
}

fn assert_constant_set(set: &SelectionSet) {
    for selection in &set.items {
        for directive in selection.node.directives() {
            assert_constant_arguments(&directive.node.arguments);
        }
        match &selection.node {
            Selection::Field(field) => {
                assert_constant_arguments(&field.node.arguments);
                assert_constant_set(&field.node.selection_set.node);
            }
            Selection::InlineFragment(inline) => {
                assert_constant_set(&inline.node.selection_set.node);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn assert_constant_arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) {
    for (name, value) in arguments {
        let constant = value.node.clone().into_const();
        assert!(constant.is_some(), "the argument {} has a variable", name.node);
    }
}
