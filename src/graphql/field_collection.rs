//! One field for each response key, as the specification collects fields and merges their selection sets
//! (sections 6.3.2 and 6.4.3). async-graphql executes each occurrence of a field: a mutation would write
//! twice, and two reads of one list at different times would be mixed in one response.

use std::collections::{HashMap, HashSet};

use apollo_compiler::Name as TypeName;
use apollo_compiler::schema::ExtendedType;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, InlineFragment,
    OperationType, Selection, SelectionSet, TypeCondition,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value;

use super::type_system::TypeSystem;

/// Merges the fields of each selection set of an operation whose variables are replaced by their values.
/// Fragments are expanded, and `@skip` and `@include` applied.
pub fn merge_fields(document: &mut ExecutableDocument, types: &TypeSystem) {
    let fragments = std::mem::take(&mut document.fragments);
    let collection = FieldCollection { types, fragments: &fragments };
    let merge = |kind: OperationType, set: &mut SelectionSet| {
        if let Some(root) = types.schema().root_operation(kind_of(kind)) {
            *set = collection.merge(&[&*set], root);
        }
    };
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            merge(operation.node.ty, &mut operation.node.selection_set.node);
        }
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                merge(operation.node.ty, &mut operation.node.selection_set.node);
            }
        }
    }
}

const fn kind_of(kind: OperationType) -> apollo_compiler::ast::OperationType {
    match kind {
        OperationType::Query => apollo_compiler::ast::OperationType::Query,
        OperationType::Mutation => apollo_compiler::ast::OperationType::Mutation,
        OperationType::Subscription => apollo_compiler::ast::OperationType::Subscription,
    }
}

struct FieldCollection<'a> {
    types: &'a TypeSystem,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
}

/// Fields of an object by response key, in the order of their first occurrence.
#[derive(Default)]
struct CollectedFields<'a> {
    fields: Vec<CollectedField<'a>>,
    index_of: HashMap<&'a str, usize>,
    visited_fragments: HashSet<&'a str>,
}

struct CollectedField<'a> {
    first: &'a Positioned<Field>,
    selection_sets: Vec<&'a SelectionSet>,
}

impl<'a> FieldCollection<'a> {
    /// The merged selection set of these sets on a type. Of an abstract type it has an inline fragment for each
    /// possible object type.
    fn merge(&self, sets: &[&'a SelectionSet], type_name: &str) -> SelectionSet {
        if let Some(ExtendedType::Object(_)) = self.types.schema().types.get(type_name) {
            return self.merge_on_object(sets, type_name);
        }
        let mut items = Vec::new();
        for object in self.possible_types(type_name) {
            let set = self.merge_on_object(sets, object);
            if !set.items.is_empty() {
                items.push(Positioned::new(inline_fragment(object, set), Pos::default()));
            }
        }
        SelectionSet { items }
    }

    fn merge_on_object(&self, sets: &[&'a SelectionSet], object: &str) -> SelectionSet {
        let mut collected = CollectedFields::default();
        for set in sets {
            self.collect(set, object, &mut collected);
        }
        let items = collected.fields.into_iter().map(|CollectedField { first, selection_sets }| {
            let mut field = first.clone();
            field.node.directives.clear();
            if let Ok(definition) = self.types.schema().type_field(object, &first.node.name.node) {
                let returned = definition.ty.inner_named_type();
                field.node.selection_set.node = self.merge(&selection_sets, returned);
            }
            Positioned::new(Selection::Field(field), first.pos)
        });
        SelectionSet { items: items.collect() }
    }

    /// The recursion ends because a checked document has no cycles, and each fragment is visited once.
    fn collect(&self, set: &'a SelectionSet, object: &str, collected: &mut CollectedFields<'a>) {
        for selection in set.items.iter().filter(|selection| is_included(&selection.node)) {
            match &selection.node {
                Selection::Field(field) => collected.add(field),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    if condition.is_none_or(|on| self.applies(&on.node.on.node, object)) {
                        self.collect(&inline.node.selection_set.node, object, collected);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.fragments.get(name)
                        && collected.visited_fragments.insert(name)
                        && self.applies(&fragment.node.type_condition.node.on.node, object)
                    {
                        self.collect(&fragment.node.selection_set.node, object, collected);
                    }
                }
            }
        }
    }

    fn applies(&self, condition: &str, object: &str) -> bool {
        condition == object || self.types.schema().is_subtype(condition, object)
    }

    /// Object types of an abstract type; none of a leaf type.
    fn possible_types(&self, type_name: &str) -> impl Iterator<Item = &TypeName> {
        let schema = self.types.schema();
        let members = schema.get_union(type_name).map(|union| &union.members);
        let members = members.into_iter().flatten().map(|member| &**member);
        let objects = self.types.implementers().get(type_name).map(|found| &found.objects);
        members.chain(objects.into_iter().flatten())
    }
}

impl<'a> CollectedFields<'a> {
    fn add(&mut self, field: &'a Positioned<Field>) {
        let key = field.node.response_key().node.as_str();
        let index = *self.index_of.entry(key).or_insert_with(|| {
            self.fields.push(CollectedField { first: field, selection_sets: Vec::new() });
            self.fields.len() - 1
        });
        self.fields[index].selection_sets.push(&field.node.selection_set.node);
    }
}

/// False if `@skip` or `@include` leaves the selection out.
fn is_included(selection: &Selection) -> bool {
    let directives = match selection {
        Selection::Field(field) => &field.node.directives,
        Selection::InlineFragment(inline) => &inline.node.directives,
        Selection::FragmentSpread(spread) => &spread.node.directives,
    };
    directives.iter().all(|Positioned { node, .. }| match node.name.node.as_str() {
        "skip" => !condition_of(node),
        "include" => condition_of(node),
        _ => true,
    })
}

fn condition_of(directive: &Directive) -> bool {
    let condition = directive.get_argument("if");
    matches!(condition.map(|value| &value.node), Some(Value::Boolean(true)))
}

fn inline_fragment(object: &TypeName, set: SelectionSet) -> Selection {
    let position = Pos::default();
    let on = Positioned::new(Name::new(object.as_str()), position);
    Selection::InlineFragment(Positioned::new(
        InlineFragment {
            type_condition: Some(Positioned::new(TypeCondition { on }, position)),
            directives: Vec::new(),
            selection_set: Positioned::new(set, position),
        },
        position,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    const SCHEMA: &str = "
        interface Node { id: ID! best: User }
        type User implements Node { id: ID! name: String best: User friends: [Node!]! }
        type Suit implements Node { id: ID! best: User rank: Int }
        type Query { viewer: User node: Node found: Found }
        type Mutation { rename: User }
        union Found = User | Suit";

    /// A selection set as text.
    fn written(set: &SelectionSet) -> String {
        let items = set.items.iter().map(|item| match &item.node {
            Selection::Field(field) => {
                let alias = field.node.alias.as_ref();
                let alias = alias.map(|alias| format!("{}:", alias.node)).unwrap_or_default();
                let inner = &field.node.selection_set.node;
                let inner = if inner.items.is_empty() { String::new() } else { written(inner) };
                format!("{alias}{}{inner}", field.node.name.node)
            }
            Selection::InlineFragment(inline) => {
                let on = inline.node.type_condition.as_ref().expect("a condition");
                format!("...{}{}", on.node.on.node, written(&inline.node.selection_set.node))
            }
            Selection::FragmentSpread(_) => "...?".to_owned(),
        });
        format!("{{{}}}", items.collect::<Vec<_>>().join(" "))
    }

    fn merged(text: &str) -> String {
        let types = TypeSystem::parse(SCHEMA).expect("a schema");
        let mut document = parse_query(text).expect("a document");
        merge_fields(&mut document, &types);
        assert!(document.fragments.is_empty());
        let (_, operation) = document.operations.iter().next().expect("an operation");
        written(&operation.node.selection_set.node)
    }

    #[test]
    fn each_response_key_is_one_field() {
        let cases = [
            ("{viewer{id} viewer{name id}}", "{viewer{id name}}"),
            ("{a:viewer{id} viewer{id} a:viewer{name}}", "{a:viewer{id name} viewer{id}}"),
            (
                "{viewer{best{id}} ...F} fragment F on Query{viewer{best{name}}}",
                "{viewer{best{id name}}}",
            ),
            ("{...F ...F ...{viewer{id}}} fragment F on Query{viewer{id}}", "{viewer{id}}"),
            ("mutation{rename{id} rename{name}}", "{rename{id name}}"),
            ("{viewer{id id ...on Node{id} ...on Suit{rank}}}", "{viewer{id}}"),
        ];
        for (text, expected) in cases {
            assert_eq!(merged(text), expected, "{text}");
        }
    }

    #[test]
    fn fields_of_an_abstract_type_are_merged_for_each_object_type() {
        let text = "{node{best{id} ...on User{best{name}} ...on Suit{rank}}}";
        let expected = "{node{...Suit{best{id} rank} ...User{best{id name}}}}";
        let found = merged(text);
        let other = "{node{...User{best{id name}} ...Suit{best{id} rank}}}";
        assert!(found == expected || found == other, "{found}");
        let text = "{found{...on User{best{id}} ...on Node{best{name}}}}";
        assert_eq!(merged(text), "{found{...User{best{id name}} ...Suit{best{name}}}}");
    }

    #[test]
    fn skipped_occurrences_are_left_out() {
        let cases = [
            ("{viewer{id} viewer@skip(if:true){name}}", "{viewer{id}}"),
            ("{viewer{id} viewer@include(if:true){name}}", "{viewer{id name}}"),
            ("{viewer{id} ...@include(if:false){viewer{name}}}", "{viewer{id}}"),
            // A fragment that is skipped once may be spread again.
            (
                "{...F@skip(if:true) viewer{id} ...F} fragment F on Query{viewer{name}}",
                "{viewer{id name}}",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(merged(text), expected, "{text}");
        }
    }
}
