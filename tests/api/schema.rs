//! The schema: `schema.graphql` is printed from the code, everything in it is described, and it
//! fulfils the contract that clients build against.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
};

use wasteland_tarot::graphql::field_costs::{SURCHARGES, list_bounds};
use wasteland_tarot::graphql::guard::CostTable;
use wasteland_tarot::graphql::sdl;

/// The contract with other people's clients: names, types and nullability.
const CONTRACT: &str = include_str!("contract.graphql");

/// Parts of the contract that the server does not have yet: a type, a field, or an argument. Each
/// entry must be missing, so the list can only shrink.
const PENDING: &[&str] =
    &["Admin.operations", "OperationStats", "ReadingCreatedEvent", "ReadingScope", "Subscription"];

/// The names of all mutations.
pub fn mutation_names() -> BTreeSet<String> {
    let types = types_of(sdl());
    fields_of(&types["Mutation"]).iter().map(|field| field.node.name.node.to_string()).collect()
}

pub fn types_of(sdl: &str) -> BTreeMap<String, TypeDefinition> {
    let document = parse_schema(sdl).expect("the schema can be parsed");
    document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            _ => None,
        })
        .map(|definition| (definition.name.node.to_string(), definition))
        .collect()
}

pub fn fields_of(definition: &TypeDefinition) -> &[async_graphql::Positioned<FieldDefinition>] {
    match &definition.kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn input_fields_of(
    definition: &TypeDefinition,
) -> &[async_graphql::Positioned<InputValueDefinition>] {
    match &definition.kind {
        TypeKind::InputObject(input) => &input.fields,
        _ => &[],
    }
}

fn interfaces_of(definition: &TypeDefinition) -> Vec<String> {
    match &definition.kind {
        TypeKind::Object(object) => {
            object.implements.iter().map(|one| one.node.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

pub fn enum_values_of(definition: &TypeDefinition) -> Vec<String> {
    match &definition.kind {
        TypeKind::Enum(values) => {
            values.values.iter().map(|one| one.node.value.node.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

/// A type and a default, as text.
fn signature(value: &InputValueDefinition) -> String {
    let default = value.default_value.as_ref().map(|value| format!(" = {}", value.node));
    format!("{}{}", value.ty.node, default.unwrap_or_default())
}

/// Everything that a schema offers, by its path, with its type.
fn offers(types: &BTreeMap<String, TypeDefinition>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, definition) in types {
        let kind = match &definition.kind {
            TypeKind::Scalar => "scalar",
            TypeKind::Object(_) => "type",
            TypeKind::Interface(_) => "interface",
            TypeKind::Union(_) => "union",
            TypeKind::Enum(_) => "enum",
            TypeKind::InputObject(_) => "input",
        };
        all.insert(name.clone(), kind.to_owned());
        for interface in interfaces_of(definition) {
            all.insert(format!("{name} implements {interface}"), String::new());
        }
        for value in enum_values_of(definition) {
            all.insert(format!("{name}.{value}"), String::new());
        }
        for field in fields_of(definition) {
            let path = format!("{name}.{}", field.node.name.node);
            for argument in &field.node.arguments {
                let argument = &argument.node;
                all.insert(format!("{path}({})", argument.name.node), signature(argument));
            }
            all.insert(path, field.node.ty.node.to_string());
        }
        for field in input_fields_of(definition) {
            all.insert(format!("{name}.{}", field.node.name.node), signature(&field.node));
        }
    }
    all
}

fn is_pending(path: &str) -> bool {
    PENDING.iter().any(|pending| {
        path == *pending
            || path.strip_prefix(pending).is_some_and(|rest| rest.starts_with(['.', '(', ' ']))
    })
}

#[test]
fn the_file_holds_the_schema_of_the_code() {
    let file = include_str!("../../schema.graphql");
    assert!(
        file == sdl(),
        "schema.graphql differs; print it with: cargo run -- schema > schema.graphql"
    );
}

#[test]
fn the_contract_holds_but_for_pending_parts() {
    let (contract, ours) = (offers(&types_of(CONTRACT)), offers(&types_of(sdl())));
    let mut differences = Vec::new();
    for (path, expected) in &contract {
        match ours.get(path) {
            _ if is_pending(path) => {}
            None => differences.push(format!("{path}: missing")),
            Some(found) if found != expected => {
                differences.push(format!("{path}: {found}, and not {expected}"));
            }
            Some(_) => {}
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn pending_parts_are_in_the_contract_and_missing() {
    let (contract, ours) = (offers(&types_of(CONTRACT)), offers(&types_of(sdl())));
    let done: Vec<_> = PENDING
        .iter()
        .filter(|path| ours.contains_key(**path) || !contract.contains_key(**path))
        .collect();
    assert!(done.is_empty(), "take these from the list: {done:?}");
    let sorted: BTreeSet<_> = PENDING.iter().collect();
    assert_eq!(sorted.len(), PENDING.len(), "an entry stands twice");
}

#[test]
fn everything_has_a_description() {
    let mut bare = Vec::new();
    for (name, definition) in types_of(sdl()) {
        if definition.description.is_none() {
            bare.push(name.clone());
        }
        for field in fields_of(&definition) {
            let path = format!("{name}.{}", field.node.name.node);
            for argument in &field.node.arguments {
                if argument.node.description.is_none() {
                    bare.push(format!("{path}({})", argument.node.name.node));
                }
            }
            if field.node.description.is_none() {
                bare.push(path);
            }
        }
        for field in input_fields_of(&definition) {
            if field.node.description.is_none() {
                bare.push(format!("{name}.{}", field.node.name.node));
            }
        }
        if let TypeKind::Enum(values) = &definition.kind {
            for value in &values.values {
                if value.node.description.is_none() {
                    bare.push(format!("{name}.{}", value.node.value.node));
                }
            }
        }
    }
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

#[test]
fn nothing_is_printed_as_an_extension() {
    let sdl = sdl();
    assert!(!sdl.lines().any(|line| line.starts_with("extend ")), "{sdl}");
}

#[test]
fn every_list_is_a_connection_or_has_a_bound() {
    let limits = crate::support::app::settings_of("sqlite://unused.db", &[]).limits;
    let bounds = list_bounds(&limits.document);
    let costs = CostTable::from_sdl(sdl(), &bounds);
    assert!(costs.is_ok(), "{costs:?}");

    // Each bound is needed: a missing one is detected.
    for missing in 0..bounds.len() {
        let mut rest = bounds.clone();
        let bound = rest.remove(missing);
        assert!(CostTable::from_sdl(sdl(), &rest).is_err(), "{}.{}", bound.type_name, bound.field);
    }
}

#[test]
fn every_surcharge_has_a_field() {
    let limits = crate::support::app::settings_of("sqlite://unused.db", &[]).limits;
    let costs = CostTable::from_sdl(sdl(), &list_bounds(&limits.document)).expect("bounds");
    let charged = costs.with_surcharges(&SURCHARGES);
    assert!(charged.is_ok(), "{charged:?}");
    // Whatever reads all of somebody's readings is dear.
    let analytics = &types_of(sdl())["Analytics"];
    let dear = |name: &str| {
        SURCHARGES.iter().any(|charge| charge.type_name == "Analytics" && charge.field == name)
    };
    for field in fields_of(analytics).iter().map(|field| field.node.name.node.as_str()) {
        assert_eq!(dear(field), field != "id", "{field}");
    }
}
