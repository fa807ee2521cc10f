//! Variables of a request: coerced to the declared types, and substituted into the operation. Execution sees
//! constants only: async-graphql departs from the specification for absent variables, and coerces variables only
//! when their field is resolved.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ast::Type;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Value as Constant, Variables};
use async_graphql_value::Value;

use super::error_reporting::ErrorReporting;
use super::input_coercion::{InputCoercion, InputError, InputSource};
use super::type_system::TypeSystem;

/// Variables and fragments of an operation.
#[derive(Debug, Default)]
pub struct OperationInputs {
    /// Declared variables.
    pub variables: Vec<VariableInput>,
    /// Fragments that the operation reaches.
    pub fragments: Vec<Name>,
    /// Variables used at non-null positions. A nullable one may be absent there, which leaves the default of the
    /// position, but it may not be null.
    pub non_null_variables: HashSet<Name>,
}

/// Declaration of a variable.
#[derive(Debug)]
pub struct VariableInput {
    /// Name without `$`.
    pub name: Name,
    /// Declared type.
    pub ty: Type,
    /// Value if the variable is absent.
    pub default: Option<Constant>,
}

impl OperationInputs {
    /// Values of the declared variables. Variables that are absent and have no default are absent;
    /// undeclared ones are ignored.
    ///
    /// # Errors
    ///
    /// All values that do not fit their types, or are absent where one is required, in the order of the
    /// declarations.
    pub fn coerce(
        &self,
        mut variables: Variables,
        types: &TypeSystem,
        reporting: ErrorReporting,
    ) -> Result<Variables, Vec<InputError>> {
        let mut coerced = Variables::default();
        let mut errors = Vec::new();
        for VariableInput { name, ty, default } in &self.variables {
            let path = format!("${name}");
            let sent = variables.remove(name.as_str());
            let value = match (sent, default) {
                (None, Some(default)) => default.clone(),
                (None | Some(Constant::Null), _) if ty.is_non_null() => {
                    errors.push(InputError { path, expectation: "must have a value".to_owned() });
                    continue;
                }
                (None, None) => continue,
                (Some(value), _) => {
                    let mut value = value.into_value();
                    let coercion =
                        InputCoercion::new(types, InputSource::Variable, reporting, &path);
                    errors.extend(coercion.coerce(ty, &mut value).errors);
                    // JSON has no variables, so the value is a constant.
                    value.into_const().unwrap_or_default()
                }
            };
            if value == Constant::Null && self.non_null_variables.contains(name) {
                let expectation = "must not be null where it is used".to_owned();
                errors.push(InputError { path, expectation });
            }
            coerced.insert(name.clone(), value);
        }
        errors.truncate(reporting.maximum);
        if errors.is_empty() { Ok(coerced) } else { Err(errors) }
    }

    /// Document of the operation of this name and its fragments, with values in place of variables.
    #[must_use]
    pub fn executable(
        &self,
        document: &ExecutableDocument,
        operation: Option<&str>,
        variables: &Variables,
    ) -> Option<ExecutableDocument> {
        let definition = match (&document.operations, operation) {
            (DocumentOperations::Single(operation), _) => operation,
            (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name)?,
            (DocumentOperations::Multiple(operations), None) => operations.values().next()?,
        };
        let fragments = self.fragments.iter();
        let mut fragments: HashMap<_, _> = fragments
            .filter_map(|name| Some((name.clone(), document.fragments.get(name)?.clone())))
            .collect();
        let mut operation = definition.clone();
        if !self.variables.is_empty() {
            operation.node.variable_definitions.clear();
            let substitution = Substitution { variables };
            substitution.selection_set(&mut operation.node.selection_set.node);
            for fragment in fragments.values_mut() {
                substitution.selection_set(&mut fragment.node.selection_set.node);
            }
        }
        Some(ExecutableDocument { operations: DocumentOperations::Single(operation), fragments })
    }
}

/// Replacement of variables by their values.
struct Substitution<'a> {
    variables: &'a Variables,
}

impl Substitution<'_> {
    fn selection_set(&self, set: &mut SelectionSet) {
        for selection in &mut set.items {
            self.directives(selection.node.directives_mut());
            match &mut selection.node {
                Selection::Field(field) => {
                    self.arguments(&mut field.node.arguments);
                    self.selection_set(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => {
                    self.selection_set(&mut inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn directives(&self, directives: &mut [Positioned<Directive>]) {
        for directive in directives {
            self.arguments(&mut directive.node.arguments);
        }
    }

    /// An argument whose variable is absent is absent.
    fn arguments(&self, arguments: &mut Vec<(Positioned<Name>, Positioned<Value>)>) {
        arguments.retain_mut(|(_, value)| self.value(&mut value.node));
    }

    /// Replaces the variables in a value. False if the value is a variable that is absent.
    fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name) => match self.variables.get(name) {
                Some(constant) => {
                    *value = constant.clone().into_value();
                    true
                }
                None => false,
            },
            Value::Object(fields) => {
                fields.retain(|_, value| self.value(value));
                true
            }
            Value::List(items) => {
                // An item cannot be absent: it is null.
                for item in items {
                    if !self.value(item) {
                        *item = Value::Null;
                    }
                }
                true
            }
            _ => true,
        }
    }
}
