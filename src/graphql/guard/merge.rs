//! Rejects different fields with the same response key in one selection set. Validation would reject
//! them too, but it reports each argument of each pair once for each set around them: a document of
//! 9 KB, within all other limits, made 27 million errors in 56 s and 13 GB. The rules are those of the
//! library, so nothing is rejected here that it accepts.

use std::collections::{HashMap, HashSet};

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use super::refusal::{Refusal, at_most, saturated};
use super::values::literal_size;
use crate::config::limits::DocumentLimits;

/// Comparison of fields, with one budget for all sets of a document.
pub(super) struct FieldMerges<'a> {
    document: &'a ExecutableDocument,
    limits: &'a DocumentLimits,
    compared: usize,
    merges_objects: bool,
}

/// Response keys of one set: the first field by type condition and key.
#[derive(Default)]
struct ResponseKeys<'a> {
    fields: HashMap<(Option<&'a str>, &'a str), &'a Field>,
    fragments: HashSet<&'a str>,
    objects: HashSet<&'a str>,
}

impl<'a> FieldMerges<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, limits: &'a DocumentLimits) -> Self {
        Self { document, limits, compared: 0, merges_objects: false }
    }

    /// Number of steps so far.
    pub(super) fn work(&self) -> u64 {
        saturated(self.compared)
    }

    /// True if fields with the same response key select objects.
    pub(super) fn merges_objects(&self) -> bool {
        self.merges_objects
    }

    /// Compares the fields of one set, its fragments included. The nesting and the absence of
    /// cycles are checked before: this recurses through fragments.
    pub(super) fn check(&mut self, set: &'a SelectionSet) -> Result<(), Refusal> {
        self.collect(set, None, &mut ResponseKeys::default())
    }

    fn collect(
        &mut self,
        set: &'a SelectionSet,
        condition: Option<&'a str>,
        keys: &mut ResponseKeys<'a>,
    ) -> Result<(), Refusal> {
        for selection in &set.items {
            self.count(1)?;
            match &selection.node {
                Selection::Field(field) => self.field(field, condition, keys)?,
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let condition = on.map_or(condition, |on| Some(on.node.on.node.as_str()));
                    self.collect(&inline.node.selection_set.node, condition, keys)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name)
                        && keys.fragments.insert(name)
                    {
                        let condition = Some(fragment.node.type_condition.node.on.node.as_str());
                        self.collect(&fragment.node.selection_set.node, condition, keys)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'a Positioned<Field>,
        condition: Option<&'a str>,
        keys: &mut ResponseKeys<'a>,
    ) -> Result<(), Refusal> {
        let key = field.node.response_key().node.as_str();
        if !field.node.selection_set.node.items.is_empty() && !keys.objects.insert(key) {
            self.merges_objects = true;
        }
        let first = *keys.fields.entry((condition, key)).or_insert(&field.node);
        if std::ptr::eq(first, &raw const field.node) {
            return Ok(());
        }
        let weight: u64 = field
            .node
            .arguments
            .iter()
            .map(|(_, value)| literal_size(&value.node, &mut |_| 1).weight)
            .sum();
        self.count(
            first.arguments.len() * field.node.arguments.len()
                + usize::try_from(weight).unwrap_or(usize::MAX),
        )?;
        let is_same = first.name.node == field.node.name.node
            && first.arguments.len() == field.node.arguments.len()
            && first
                .arguments
                .iter()
                .all(|(name, value)| field.node.get_argument(&name.node) == Some(value));
        if is_same {
            return Ok(());
        }
        let message = format!(
            "fields with the response name `{key}` differ in name or arguments: give one of them an alias"
        );
        Err(Refusal::validation_failed(&message, field.pos))
    }

    fn count(&mut self, steps: usize) -> Result<(), Refusal> {
        self.compared = self.compared.saturating_add(steps);
        at_most("field merges", self.compared, self.limits.field_merges, None)
    }
}
