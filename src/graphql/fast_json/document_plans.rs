//! Plans that are kept with a document: those of selection sets without variables, which are the same in each request.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value as Literal;

use crate::domain::lock::lock;

/// A plan of any type.
pub(super) type SharedPlan = Arc<dyn Any + Send + Sync>;

/// Plans of a document, for all requests with it.
pub struct DocumentPlans {
    /// Positions of the fields, fragments and operations whose selection sets depend on variables.
    varying: HashSet<Pos>,
    /// By the position of the selection set's field; `None` for one that the library has to resolve.
    plans: Mutex<HashMap<Pos, Option<SharedPlan>>>,
}

impl fmt::Debug for DocumentPlans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DocumentPlans").finish_non_exhaustive()
    }
}

impl DocumentPlans {
    /// No plans yet. The document has no cycles of fragments, and its selection sets are executed as they stand.
    #[must_use]
    pub fn of(document: &ExecutableDocument) -> Self {
        let mut search =
            VariableSearch { document, fragments: HashMap::new(), varying: HashSet::new() };
        for (_, operation) in document.operations.iter() {
            search.selection_set(&operation.node.selection_set);
        }
        Self { varying: search.varying, plans: Mutex::default() }
    }

    /// True if the plan of the selection set at a position depends on variables.
    pub(super) fn varies(&self, at: Pos) -> bool {
        self.varying.contains(&at)
    }

    /// The plan of the selection set at a position, made if it is new.
    pub(super) fn get(
        &self,
        at: Pos,
        make: impl FnOnce() -> Option<SharedPlan>,
    ) -> Option<SharedPlan> {
        lock(&self.plans).entry(at).or_insert_with(make).clone()
    }
}

/// Search for the selection sets with variables, those of fragments included.
struct VariableSearch<'a> {
    document: &'a ExecutableDocument,
    /// Fragments visited so far: true if they depend on variables.
    fragments: HashMap<&'a Name, bool>,
    varying: HashSet<Pos>,
}

impl<'a> VariableSearch<'a> {
    /// True if a selection set depends on variables.
    fn selection_set(&mut self, set: &'a Positioned<SelectionSet>) -> bool {
        let mut varies = false;
        for selection in &set.node.items {
            varies |= match &selection.node {
                Selection::Field(field) => self.field(&field.node),
                Selection::InlineFragment(inline) => self.selection_set(&inline.node.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
        }
        if varies {
            self.varying.insert(set.pos);
        }
        varies
    }

    fn field(&mut self, field: &'a Field) -> bool {
        let has_variable = field.arguments.iter().any(|(_, value)| has_variable(&value.node));
        self.selection_set(&field.selection_set) || has_variable
    }

    fn fragment(&mut self, name: &'a Name) -> bool {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let Some(fragment) = self.document.fragments.get(name) else { return false };
        let varies = self.selection_set(&fragment.node.selection_set);
        self.fragments.insert(name, varies);
        varies
    }
}

fn has_variable(value: &Literal) -> bool {
    match value {
        Literal::Variable(_) => true,
        Literal::List(items) => items.iter().any(has_variable),
        Literal::Object(fields) => fields.values().any(has_variable),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn selection_sets_with_variables_are_planned_for_each_request() {
        let document = parse_query(
            "query ($n: Int, $l: Locale) { a(first: $n) { b { c } } d { ...F } e { f(x: [{y: $l}]) { g } } }
             fragment F on T { h(locale: $l) { i } }",
        );
        let plans = DocumentPlans::of(&document.expect("a document"));
        let mut lines: Vec<_> = plans.varying.iter().map(|at| (at.line, at.column)).collect();
        lines.sort_unstable();
        // The operation, the sets of `d` and `e`, and the fragment.
        assert_eq!(lines, [(1, 29), (1, 58), (1, 69), (2, 30)]);
        assert!(!plans.varies(Pos { line: 1, column: 44 }), "the set of `a`");
    }
}
