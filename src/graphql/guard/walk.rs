//! Measures a parsed document. Each operation and fragment is walked once, and the result of a fragment
//! is cached, so the work for fragments that spread each other is that of their length, not of their
//! expansion. Aliases and directives are counted as written; since fragments multiply aliases, root
//! fields and selections are counted after expansion.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value as Literal;

use super::merge::FieldMerges;
use super::refusal::{Refusal, at_most};
use super::values::{Size, constant_size, literal_size};
use crate::config::limits::DocumentLimits;

/// Measures of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct OperationCounts {
    pub(super) depth: usize,
    pub(super) selections: usize,
    pub(super) selects_schema: bool,
}

/// Measures of a selection set, fragments expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    nesting: usize,
    selections: usize,
    /// Fields of the set itself, inline fragments and spreads included, and true if one of them
    /// selects the schema.
    fields: usize,
    selects_schema: bool,
    depth: usize,
    /// For a set inside an introspection, which a fragment cannot know of itself.
    introspection_depth: usize,
    introspection_lists: usize,
}

impl Extent {
    /// Adds the set of a field or fragment.
    fn enclose(&mut self, inner: &Self) {
        self.nesting = self.nesting.max(inner.nesting + 1);
        self.selections = self.selections.saturating_add(inner.selections);
    }

    /// Adds the set of a fragment, whose fields belong to this set.
    fn include(&mut self, inner: &Self) {
        self.enclose(inner);
        self.fields = self.fields.saturating_add(inner.fields);
        self.selects_schema |= inner.selects_schema;
        self.depth = self.depth.max(inner.depth);
        self.introspection_depth = self.introspection_depth.max(inner.introspection_depth);
        self.introspection_lists = self.introspection_lists.max(inner.introspection_lists);
    }
}

/// State of a walk through one document.
pub(super) struct Walk<'a> {
    document: &'a ExecutableDocument,
    limits: &'a DocumentLimits,
    merges: FieldMerges<'a>,
    /// By name; none during the walk of the fragment, which reveals a cycle.
    fragments: HashMap<&'a Name, Option<Extent>>,
    variable_uses: HashMap<&'a Name, u64>,
    aliases: usize,
    directives: usize,
    nodes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, limits: &'a DocumentLimits) -> Self {
        Self {
            document,
            limits,
            merges: FieldMerges::new(document, limits),
            fragments: HashMap::new(),
            variable_uses: HashMap::new(),
            aliases: 0,
            directives: 0,
            nodes: 0,
        }
    }

    /// Number of selections, directives, variable definitions and values.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes
    }

    /// Number of steps.
    pub(super) fn work(&self) -> u64 {
        self.nodes + self.merges.work()
    }

    /// True if fields with the same response key select objects.
    pub(super) fn merges_objects(&self) -> bool {
        self.merges.merges_objects()
    }

    /// Number of uses of each variable in arguments.
    pub(super) fn into_variable_uses(self) -> HashMap<Name, u64> {
        self.variable_uses.into_iter().map(|(name, uses)| (name.clone(), uses)).collect()
    }

    /// Walks the operations, then the unused fragments, because validation walks those as well.
    pub(super) fn document(&mut self) -> Result<HashMap<Option<Name>, OperationCounts>, Refusal> {
        // The parser stores both in hash maps; sorted, the same document always gives the same
        // error.
        let mut sorted: Vec<_> = self.document.operations.iter().collect();
        sorted.sort_by_key(|(_, operation)| operation.pos);
        let mut operations = HashMap::new();
        for (name, operation) in sorted {
            operations.insert(name.cloned(), self.operation(operation)?);
        }
        let mut sorted: Vec<_> = self.document.fragments.iter().collect();
        sorted.sort_by_key(|(_, fragment)| fragment.pos);
        for (name, fragment) in sorted {
            self.fragment(name, fragment.pos, 1)?;
        }
        Ok(operations)
    }

    fn operation(
        &mut self,
        operation: &'a Positioned<OperationDefinition>,
    ) -> Result<OperationCounts, Refusal> {
        let at = operation.pos;
        self.directives(&operation.node.directives)?;
        for definition in &operation.node.variable_definitions {
            self.nodes += 1;
            self.directives(&definition.node.directives)?;
            if let Some(default) = &definition.node.default_value {
                self.value(constant_size(&default.node), default.pos)?;
            }
        }
        let extent = self.selection_set(&operation.node.selection_set, 1)?;
        at_most("root fields", extent.fields, self.limits.root_fields, at)?;
        let (depth, maximum) = (extent.depth, self.limits.depth);
        if depth > maximum {
            return Err(Refusal::TooDeep { depth, maximum, at });
        }
        let Extent { selections, selects_schema, .. } = extent;
        Ok(OperationCounts { depth, selections, selects_schema })
    }

    /// `level` is the nesting of the set, 1 for that of the operation: the recursion ends at the
    /// limit even for chains of fragments.
    fn selection_set(
        &mut self,
        set: &'a Positioned<SelectionSet>,
        level: usize,
    ) -> Result<Extent, Refusal> {
        self.check_nesting(level, set.pos)?;
        let mut extent = Extent { nesting: 1, ..Extent::default() };
        for selection in &set.node.items {
            self.nodes += 1;
            extent.selections = extent.selections.saturating_add(1);
            self.directives(selection.node.directives())?;
            match &selection.node {
                Selection::Field(field) => self.field(field, level, &mut extent)?,
                Selection::InlineFragment(inline) => {
                    extent.include(&self.selection_set(&inline.node.selection_set, level + 1)?);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    extent.include(&self.fragment(name, selection.pos, level + 1)?);
                }
            }
            at_most("selections", extent.selections, self.limits.selections, selection.pos)?;
        }
        self.merges.check(&set.node)?;
        Ok(extent)
    }

    fn field(
        &mut self,
        field: &'a Positioned<Field>,
        level: usize,
        extent: &mut Extent,
    ) -> Result<(), Refusal> {
        let at = field.pos;
        let Field { alias, name, arguments, selection_set, .. } = &field.node;
        self.aliases += usize::from(alias.is_some());
        at_most("aliases", self.aliases, self.limits.aliases, at)?;
        for (_, value) in arguments {
            self.argument(value)?;
        }

        extent.fields = extent.fields.saturating_add(1);
        let selects_schema = matches!(name.node.as_str(), "__schema" | "__type");
        extent.selects_schema |= selects_schema;
        if selection_set.node.items.is_empty() {
            return Ok(());
        }
        let inner = self.selection_set(selection_set, level + 1)?;
        extent.enclose(&inner);
        let depth = inner.introspection_depth + 1;
        let lists = inner.introspection_lists + usize::from(multiplies_introspection(&name.node));
        if selects_schema {
            let maximum = self.limits.introspection_depth;
            if depth > maximum {
                return Err(Refusal::TooDeep { depth, maximum, at });
            }
            return at_most(
                "nested introspection lists",
                lists,
                self.limits.introspection_lists,
                at,
            );
        }
        extent.depth = extent.depth.max(inner.depth + usize::from(!is_wrapper(&field.node)));
        extent.introspection_depth = extent.introspection_depth.max(depth);
        extent.introspection_lists = extent.introspection_lists.max(lists);
        Ok(())
    }

    /// Measures of a fragment; empty for an undefined one, which validation rejects.
    fn fragment(&mut self, name: &'a Name, at: Pos, level: usize) -> Result<Extent, Refusal> {
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Extent::default());
        };
        match self.fragments.get(name) {
            Some(Some(known)) => {
                self.check_nesting(level + known.nesting - 1, at)?;
                return Ok(*known);
            }
            Some(None) => {
                let message = format!("fragment {name} spreads itself");
                return Err(Refusal::validation_failed(&message, at));
            }
            None => {}
        }
        self.fragments.insert(name, None);
        self.directives(&fragment.node.directives)?;
        let extent = self.selection_set(&fragment.node.selection_set, level)?;
        self.fragments.insert(name, Some(extent));
        Ok(extent)
    }

    fn check_nesting(&self, level: usize, at: Pos) -> Result<(), Refusal> {
        at_most("nesting with fragments expanded", level, self.limits.expanded_nesting, at)
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<(), Refusal> {
        for directive in directives {
            self.nodes += 1;
            self.directives += 1;
            at_most("directives", self.directives, self.limits.directives, directive.pos)?;
            for (_, value) in &directive.node.arguments {
                self.argument(value)?;
            }
        }
        Ok(())
    }

    fn argument(&mut self, value: &'a Positioned<Literal>) -> Result<(), Refusal> {
        let uses = &mut self.variable_uses;
        let size = literal_size(&value.node, &mut |name| {
            *uses.entry(name).or_default() += 1;
            1
        });
        self.value(size, value.pos)
    }

    fn value(&mut self, size: Size, at: Pos) -> Result<(), Refusal> {
        self.nodes += size.weight;
        at_most("list items", size.longest_list, self.limits.list_items, at)
    }
}

/// True for a field that is a part of a connection and not an object of its own: by its name, and
/// by having no arguments, because the root fields `node(id:)` and `nodes(ids:)` load objects.
fn is_wrapper(field: &Field) -> bool {
    field.arguments.is_empty() && matches!(field.name.node.as_str(), "edges" | "node" | "nodes")
}

/// True for the lists through which introspected types refer to each other: each multiplies the
/// response by the schema.
fn multiplies_introspection(field: &str) -> bool {
    matches!(field, "fields" | "inputFields" | "interfaces" | "possibleTypes")
}
