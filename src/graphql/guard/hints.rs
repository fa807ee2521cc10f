//! Cache hints of whole operations, computed once for each document. Each fragment is walked once,
//! however often it is spread.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationType, Selection, SelectionSet,
};

use super::super::cache_hints::{CacheHints, Hints};

/// Cacheability of a part of an operation.
#[derive(Debug, Clone)]
enum Found {
    /// No data: `__typename`.
    Nothing,
    /// Cacheable with these hints.
    Public(Hints),
    /// Private: a field without a hint.
    Private,
}

impl Found {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Private, _) | (_, Self::Private) => Self::Private,
            (Self::Nothing, found) | (found, Self::Nothing) => found,
            (Self::Public(one), Self::Public(other)) => Self::Public(one.and(other)),
        }
    }
}

/// Cache hints of each query of a checked document, whose fragments have no cycles; none for an
/// operation with a private field.
pub(super) fn hints_of(
    document: &ExecutableDocument,
    table: &CacheHints,
) -> HashMap<Option<Name>, Hints> {
    let mut walk = Walk { document, table, fragments: HashMap::new() };
    let queries =
        document.operations.iter().filter(|(_, found)| found.node.ty == OperationType::Query);
    let hinted = queries.filter_map(|(name, operation)| {
        match walk.selection_set(&operation.node.selection_set.node, "Query") {
            Found::Public(hints) => Some((name.cloned(), hints)),
            Found::Nothing | Found::Private => None,
        }
    });
    hinted.collect()
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    table: &'a CacheHints,
    fragments: HashMap<&'a str, Found>,
}

impl<'a> Walk<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet, parent: &str) -> Found {
        let mut found = Found::Nothing;
        for selection in &set.items {
            found = found.and(match &selection.node {
                Selection::Field(field) => self.field(&field.node, parent),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let parent = on.map_or(parent, |on| on.node.on.node.as_str());
                    self.selection_set(&inline.node.selection_set.node, parent)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            });
            if matches!(found, Found::Private) {
                break;
            }
        }
        found
    }

    fn field(&mut self, field: &'a Field, parent: &str) -> Found {
        let name = field.name.node.as_str();
        if name == "__typename" {
            return Found::Nothing;
        }
        let table = self.table;
        match table.field(parent, name) {
            None => Found::Private,
            Some(hinted) => {
                let inner = self.selection_set(&field.selection_set.node, &hinted.returns);
                Found::Public(hinted.hint.into()).and(inner)
            }
        }
    }

    fn fragment(&mut self, name: &'a str) -> Found {
        if let Some(known) = self.fragments.get(name) {
            return known.clone();
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Found::Private };
        let on = fragment.node.type_condition.node.on.node.as_str();
        let found = self.selection_set(&fragment.node.selection_set.node, on);
        self.fragments.insert(name, found.clone());
        found
    }
}
