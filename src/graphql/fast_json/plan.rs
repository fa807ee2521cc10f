//! Planner: reads a selection set, the fields of its fragments included.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{ContextSelectionSet, InputType, Positioned};

/// A set of columns to read for an object.
pub trait ColumnSet {
    /// The smallest set with the columns of the selected fields.
    fn of(selects: impl Fn(&str) -> bool) -> Self;
}

/// Builder of a plan.
pub struct Planner<'a> {
    context: &'a ContextSelectionSet<'a>,
}

/// Fields of one selection set with the same response key.
pub struct SelectedField<'a> {
    pub(super) response_key: &'a str,
    fields: Vec<&'a Positioned<Field>>,
}

impl<'a> SelectedField<'a> {
    pub(super) fn of(field: &'a Positioned<Field>) -> Self {
        Self { response_key: field.node.response_key().node.as_str(), fields: vec![field] }
    }

    fn is_same_as(&self, field: &Positioned<Field>) -> bool {
        self.fields.first().is_some_and(|first| {
            let (first, field) = (&first.node, &field.node);
            first.name.node == field.name.node && first.arguments == field.arguments
        })
    }

    /// Name of the field in the schema.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fields.first().map_or("", |field| field.node.name.node.as_str())
    }
}

impl<'a> Planner<'a> {
    pub(super) fn new(context: &'a ContextSelectionSet<'a>) -> Self {
        Self { context }
    }

    /// Columns to read for the object that a field returns.
    #[must_use]
    pub fn columns<C: ColumnSet>(&self, selected: &SelectedField<'a>) -> C {
        C::of(|name| {
            let mut sets = selected.fields.iter().map(|field| &field.node.selection_set.node);
            sets.any(|set| self.selects(set, name))
        })
    }

    /// True if a selection set or one of its fragments has a field of that name.
    fn selects(&self, set: &SelectionSet, name: &str) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => field.node.name.node == name,
            Selection::InlineFragment(fragment) => {
                self.selects(&fragment.node.selection_set.node, name)
            }
            Selection::FragmentSpread(spread) => {
                let fragments = &self.context.query_env.fragments;
                fragments
                    .get(&spread.node.fragment_name.node)
                    .is_some_and(|fragment| self.selects(&fragment.node.selection_set.node, name))
            }
        })
    }

    /// Fields of an object of that type; `None` if the library has to resolve them.
    pub(super) fn selection(
        &self,
        type_name: &str,
        selected: &SelectedField<'a>,
    ) -> Option<Vec<SelectedField<'a>>> {
        let mut fields = Vec::new();
        for field in &selected.fields {
            self.collect(type_name, &field.node.selection_set, &mut fields)?;
        }
        Some(fields)
    }

    fn collect(
        &self,
        type_name: &str,
        set: &'a Positioned<SelectionSet>,
        selected: &mut Vec<SelectedField<'a>>,
    ) -> Option<()> {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    // `@skip` and `@include` were applied before; other directives are unknown here.
                    if !field.node.directives.is_empty() {
                        return None;
                    }
                    let response_key = field.node.response_key().node.as_str();
                    match selected.iter_mut().find(|other| other.response_key == response_key) {
                        // Under different type conditions the library allows two fields with one response
                        // key, resolves both and returns the first.
                        Some(other) if !other.is_same_as(field) => return None,
                        Some(other) => other.fields.push(field),
                        None => selected.push(SelectedField::of(field)),
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    if condition.is_none_or(|on| self.is_a(type_name, &on.node.on.node)) {
                        self.collect(type_name, &fragment.node.selection_set, selected)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.context.query_env.fragments.get(name)?;
                    if self.is_a(type_name, &fragment.node.type_condition.node.on.node) {
                        self.collect(type_name, &fragment.node.selection_set, selected)?;
                    }
                }
            }
        }
        Some(())
    }

    fn is_a(&self, type_name: &str, condition: &str) -> bool {
        type_name == condition
            || (self.context.schema_env.registry.implements.get(type_name))
                .is_some_and(|interfaces| interfaces.contains(condition))
    }

    /// An argument of a field; required without a default.
    pub fn argument<A: InputType>(
        &self,
        selected: &SelectedField<'a>,
        name: &str,
        default: Option<fn() -> A>,
    ) -> Option<A> {
        let field = selected.fields.first()?;
        Some(self.context.with_field(field).param_value(name, default).ok()?.1)
    }
}
