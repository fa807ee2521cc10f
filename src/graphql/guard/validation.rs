//! Validation against the schema, once for each document: the rules of the specification by
//! apollo-compiler, and the values of literals by [`InputCoercion`], which variables pass as well. So a
//! document that was validated fails in no resolver because of how it was written.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use apollo_compiler::Node;
use apollo_compiler::ast::{self, InputValueDefinition};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::executable::{
    DirectiveList, ExecutableDocument, Operation, Selection, SelectionSet, VariableDefinition,
};
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::{DiagnosticList, Valid};
use async_graphql::Name;

use super::super::input_coercion::{InputCoercion, InputSource};
use super::super::type_system::TypeSystem;
use super::super::variables::{OperationInputs, VariableInput};
use super::parse::value_of;
use super::positions::Positions;
use super::refusal::{Refusal, ValidationError};

/// Report of the errors of a document.
#[derive(Debug, Clone, Copy)]
pub struct ErrorReport {
    /// Maximum number of errors.
    pub maximum: usize,
    /// True to add the names that an unknown name resembles. They reveal the schema.
    pub suggests_names: bool,
}

/// A valid document.
pub(super) struct ValidDocument {
    /// For introspection.
    pub(super) document: Valid<ExecutableDocument>,
    /// Variables and fragments of each operation.
    pub(super) inputs: HashMap<Option<Name>, OperationInputs>,
}

/// Validates a document. `text` is the one that it was parsed from.
///
/// # Errors
///
/// The errors in the order of the text, as many as the report may have.
pub(super) fn validate(
    tree: &ast::Document,
    text: &str,
    types: &TypeSystem,
    report: ErrorReport,
) -> Result<ValidDocument, Refusal> {
    let refuse = |errors: &DiagnosticList| refusal(errors, text, types, report);
    let schema = types.schema();
    let mut document = tree.to_executable(schema).map_err(|failed| refuse(&failed.errors))?;
    // Before the other rules: their messages about values repeat the value.
    let mut walk = LiteralWalk { types, positions: Positions::new(text), errors: Vec::new() };
    let operations: Vec<(&Node<Operation>, DefinitionInputs)> = document
        .operations
        .iter()
        .map(|operation| {
            let mut inputs = DefinitionInputs::default();
            walk.defaults(operation);
            walk.directives(&operation.directives, &mut inputs);
            walk.selection_set(&operation.selection_set, &mut inputs);
            (operation, inputs)
        })
        .collect();
    let mut fragments = HashMap::new();
    for (name, fragment) in &document.fragments {
        let mut inputs = DefinitionInputs::default();
        walk.directives(&fragment.directives, &mut inputs);
        walk.selection_set(&fragment.selection_set, &mut inputs);
        fragments.insert(Name::new(name), inputs);
    }
    if !walk.errors.is_empty() {
        walk.errors.truncate(report.maximum);
        return Err(Refusal::ValidationFailed { errors: walk.errors });
    }
    let inputs = operations.into_iter().map(|(operation, inputs)| {
        let name = operation.name.as_ref().map(Name::new);
        (name, inputs.of_operation(operation, &fragments))
    });
    let inputs = inputs.collect();
    remove_null_defaults(&mut document);
    let document = document.validate(schema).map_err(|failed| refuse(&failed.errors))?;
    Ok(ValidDocument { document, inputs })
}

/// Removes defaults of null. A variable with one may stand where a variable without a default may, and the
/// library takes it for one with a value.
fn remove_null_defaults(document: &mut ExecutableDocument) {
    let operations = &mut document.operations;
    for operation in operations.anonymous.iter_mut().chain(operations.named.values_mut()) {
        let is_null = |variable: &Node<VariableDefinition>| {
            variable.default_value.as_ref().is_some_and(|default| default.is_null())
        };
        if operation.variables.iter().any(is_null) {
            for variable in &mut operation.make_mut().variables {
                if is_null(variable) {
                    variable.make_mut().default_value = None;
                }
            }
        }
    }
}

fn refusal(
    diagnostics: &DiagnosticList,
    text: &str,
    types: &TypeSystem,
    report: ErrorReport,
) -> Refusal {
    let mut positions = Positions::new(text);
    let errors = diagnostics.iter().take(report.maximum).map(|diagnostic| {
        let at = diagnostic.error.location().map(|span| positions.at(span.offset()));
        let mut message = diagnostic.error.to_string();
        if report.suggests_names
            && let Some(name) = suggestion(&message, types)
        {
            let _ = write!(message, "; did you mean `{name}`?");
        }
        ValidationError::new(&message, at)
    });
    Refusal::ValidationFailed { errors: errors.collect() }
}

/// Name that the unknown field or argument of a message resembles. Diagnostics have no parts but their
/// message.
fn suggestion<'a>(message: &str, types: &'a TypeSystem) -> Option<&'a str> {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let fields_of = |type_name: &str| -> Vec<&'a Node<FieldDefinition>> {
        match types.schema().types.get(type_name) {
            Some(ExtendedType::Object(found)) => found.fields.values().collect(),
            Some(ExtendedType::Interface(found)) => found.fields.values().collect(),
            _ => Vec::new(),
        }
    };
    let (unknown, candidates): (&str, Vec<&'a str>) = match *names.as_slice() {
        [type_name, field] if message.contains("does not have a field") => {
            (field, fields_of(type_name).iter().map(|field| field.name.as_str()).collect())
        }
        [argument, coordinate] if message.starts_with("the argument") => {
            let (type_name, field) = coordinate.split_once('.')?;
            let fields = fields_of(type_name);
            let found = fields.iter().find(|found| found.name == field)?;
            (argument, found.arguments.iter().map(|argument| argument.name.as_str()).collect())
        }
        _ => return None,
    };
    let nearest = candidates
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, unknown), name))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (nearest.0 >= RESEMBLANCE).then_some(nearest.1)
}

/// Jaro-Winkler similarity from which a name is suggested: a letter wrong or missing, or another case.
const RESEMBLANCE: f64 = 0.8;

/// Variables and spreads of one operation or fragment, without those of its fragments.
#[derive(Debug, Default)]
struct DefinitionInputs {
    non_null_variables: HashSet<Name>,
    fragments: HashSet<Name>,
}

impl DefinitionInputs {
    /// Adds the fragments that the operation reaches.
    fn of_operation(
        mut self,
        operation: &Operation,
        fragments: &HashMap<Name, Self>,
    ) -> OperationInputs {
        let mut reached: Vec<Name> = self.fragments.drain().collect();
        let mut next = 0;
        while let Some(name) = reached.get(next).cloned() {
            next += 1;
            let Some(fragment) = fragments.get(&name) else { continue };
            self.non_null_variables.extend(fragment.non_null_variables.iter().cloned());
            for name in &fragment.fragments {
                if !reached.contains(name) {
                    reached.push(name.clone());
                }
            }
        }
        let variables = operation.variables.iter().map(|variable| VariableInput {
            name: Name::new(&variable.name),
            ty: (*variable.ty).clone(),
            default: variable
                .default_value
                .as_ref()
                .and_then(|value| value_of(value)?.into_const()),
        });
        OperationInputs {
            variables: variables.collect(),
            fragments: reached,
            non_null_variables: self.non_null_variables,
        }
    }
}

/// Walk over all literals of a document. Each fragment is walked once, as it is written.
struct LiteralWalk<'a> {
    types: &'a TypeSystem,
    positions: Positions<'a>,
    errors: Vec<ValidationError>,
}

impl LiteralWalk<'_> {
    fn defaults(&mut self, operation: &Operation) {
        for variable in &operation.variables {
            if let Some(default) = &variable.default_value {
                let name = format!("${}", variable.name);
                self.literal(&name, &variable.ty, default, &mut DefinitionInputs::default());
            }
        }
    }

    fn selection_set(&mut self, set: &SelectionSet, inputs: &mut DefinitionInputs) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.definition.arguments, &field.arguments, inputs);
                    self.directives(&field.directives, inputs);
                    if let Some(set) = &field.selection_set {
                        self.selection_set(set, inputs);
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives, inputs);
                    self.selection_set(&inline.selection_set, inputs);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives, inputs);
                    inputs.fragments.insert(Name::new(&spread.fragment_name));
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList, inputs: &mut DefinitionInputs) {
        let types = self.types;
        for directive in directives {
            if let Some(definition) = types.schema().directive_definitions.get(&directive.name) {
                self.arguments(&definition.arguments, &directive.arguments, inputs);
            }
        }
    }

    /// Arguments without a definition are left to the rules.
    fn arguments(
        &mut self,
        definitions: &[Node<InputValueDefinition>],
        arguments: &[Node<ast::Argument>],
        inputs: &mut DefinitionInputs,
    ) {
        for argument in arguments {
            let mut definitions = definitions.iter();
            if let Some(found) = definitions.find(|definition| definition.name == argument.name) {
                self.literal(&argument.name, &found.ty, &argument.value, inputs);
            }
        }
    }

    fn literal(
        &mut self,
        name: &str,
        ty: &ast::Type,
        literal: &Node<ast::Value>,
        inputs: &mut DefinitionInputs,
    ) {
        if let Some(repeated) = repeated_field(literal) {
            let message = format!("`{name}` has a field that is given twice");
            return self.fail(&message, repeated.location());
        }
        // The parser has refused numbers without a value.
        let Some(mut value) = value_of(literal) else { return };
        let mut coercion = InputCoercion::new(self.types, InputSource::Literal, name);
        let result = coercion.coerce(ty, &mut value);
        inputs.non_null_variables.extend(coercion.into_non_null_variables());
        if let Err(error) = result {
            self.fail(&error.to_string(), literal.location());
        }
    }

    fn fail(&mut self, message: &str, span: Option<SourceSpan>) {
        let at = span.map(|span| self.positions.at(span.offset()));
        self.errors.push(ValidationError::new(message, at));
    }
}

/// Name of the first field of an object that has a field of the same name before it.
fn repeated_field(literal: &ast::Value) -> Option<&apollo_compiler::Name> {
    match literal {
        ast::Value::List(items) => items.iter().find_map(|item| repeated_field(item)),
        ast::Value::Object(fields) => {
            let mut names = HashSet::new();
            fields.iter().find_map(|(name, value)| {
                if names.insert(name) { repeated_field(value) } else { Some(name) }
            })
        }
        _ => None,
    }
}
