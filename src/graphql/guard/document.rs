//! A valid document within the limits: the value that is cached and executed. `walk` measures its
//! structure; here are the document, its operations, and the check of its variables.

use std::collections::HashMap;
use std::sync::Arc;

use apollo_compiler::ast;
use apollo_compiler::executable::ExecutableDocument as TypedDocument;
use apollo_compiler::validation::Valid;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Variables};
use sha2::{Digest, Sha256};

use super::super::cache_hints::{CacheHints, Hints};
use super::super::error_reporting::{ErrorReporting, listed};
use super::super::fast_json::document_plans::DocumentPlans;
use super::super::field_collection::merge_fields;
use super::super::type_system::TypeSystem;
use super::super::variables::OperationInputs;
use super::hints::hints_of;
use super::parse::{ParsedDocument, parse_document};
use super::refusal::{Refusal, ValidationError, at_most, saturated};
use super::scan::scan_document;
use super::validation::validate;
use super::values::constant_size;
use super::walk::{OperationCounts, Walk};
use crate::config::limits::{
    DOCUMENT_BYTES, DOCUMENT_NODE_BYTES, DocumentLimits, PLAN_FIELD_BYTES, QUOTED_CHARACTERS,
};
use crate::domain::truncated::quoted;

/// A document within the limits, not validated yet.
#[derive(Debug)]
pub struct MeasuredDocument<'t> {
    text: &'t str,
    syntax_tree: ast::Document,
    document: CheckedDocument,
}

/// A valid document within the limits, ready to be cached and executed.
#[derive(Debug)]
pub struct CheckedDocument {
    pub(super) document: ExecutableDocument,
    operations: HashMap<Option<Name>, OperationCounts>,
    variable_uses: HashMap<Name, u64>,
    inputs: HashMap<Option<Name>, OperationInputs>,
    hints: HashMap<Option<Name>, Hints>,
    /// Extent of the errors of its variables.
    reporting: ErrorReporting,
    /// Typed document for introspection; only if an operation selects the schema.
    introspection: Option<Valid<TypedDocument>>,
    hash: [u8; 32],
    merges_objects: bool,
    /// `None` if the selection sets that are executed differ from those of the text.
    plans: Option<Arc<DocumentPlans>>,
    weight_bytes: u32,
    work: u64,
}

/// An operation of a [`CheckedDocument`].
#[derive(Debug, Clone, Copy)]
pub struct CheckedOperation<'a> {
    pub(super) document: &'a ExecutableDocument,
    pub(super) definition: &'a OperationDefinition,
    name: Option<&'a str>,
    counts: OperationCounts,
    inputs: Option<&'a OperationInputs>,
    hints: Option<&'a Hints>,
    introspection: Option<&'a Valid<TypedDocument>>,
    /// True if fields with the same response key select objects, which are merged.
    merges_objects: bool,
    plans: Option<&'a Arc<DocumentPlans>>,
    reporting: ErrorReporting,
}

impl<'t> MeasuredDocument<'t> {
    /// Scans, parses and measures a document.
    ///
    /// # Errors
    ///
    /// The first limit that it exceeds, or the parser's error.
    pub fn measure(text: &'t str, limits: &DocumentLimits) -> Result<Self, Refusal> {
        let scanned = scan_document(text, limits)?;
        let ParsedDocument { syntax_tree, executable: document } =
            parse_document(text, scanned.tokens)?;
        at_most("operations", document.operations.iter().len(), limits.operations, None)?;
        at_most("fragments", document.fragments.len(), limits.fragments, None)?;

        let mut walk = Walk::new(&document, limits);
        let operations = walk.document()?;
        let bytes = DOCUMENT_BYTES + saturated(text.len()) + walk.nodes() * DOCUMENT_NODE_BYTES;
        // Plans have the fields of fragments once for each use.
        let bytes = operations.values().fold(bytes, |bytes, counts| {
            bytes.saturating_add(saturated(counts.selections).saturating_mul(PLAN_FIELD_BYTES))
        });
        let weight_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let work = scanned.work + walk.work();
        let merges_objects = walk.merges_objects();
        let variable_uses = walk.into_variable_uses();
        // `@skip` and `@include` are applied for each request.
        let has_directives = text.contains('@');
        let plans =
            (!merges_objects && !has_directives).then(|| Arc::new(DocumentPlans::of(&document)));
        let document = CheckedDocument {
            document,
            operations,
            variable_uses,
            inputs: HashMap::new(),
            hints: HashMap::new(),
            reporting: ErrorReporting { maximum: 1, names_schema: false },
            introspection: None,
            hash: Sha256::digest(text).into(),
            merges_objects,
            plans,
            weight_bytes,
            work,
        };
        Ok(Self { text, syntax_tree, document })
    }

    /// Validates the document.
    ///
    /// # Errors
    ///
    /// [`Refusal::ValidationFailed`].
    pub fn validate(
        self,
        types: &TypeSystem,
        reporting: ErrorReporting,
    ) -> Result<CheckedDocument, Refusal> {
        let valid = validate(&self.syntax_tree, self.text, types, reporting)?;
        let mut document = self.document;
        document.inputs = valid.inputs;
        document.reporting = reporting;
        let selects_schema = document.operations.values().any(|counts| counts.selects_schema);
        document.introspection = selects_schema.then_some(valid.document);
        Ok(document)
    }

    /// The document without validation, for tests of the limits: their documents fit no schema.
    #[cfg(test)]
    pub(super) fn unvalidated(self) -> CheckedDocument {
        self.document
    }
}

impl CheckedDocument {
    /// The document with the cache hints of its operations.
    #[must_use]
    pub fn with_hints(mut self, table: &CacheHints) -> Self {
        self.hints = hints_of(&self.document, table);
        self
    }

    /// The operation of a request with this `operationName`.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadOperationName`] if there is none of that name, or no name and several
    /// operations.
    pub fn operation(&self, name: Option<&str>) -> Result<CheckedOperation<'_>, Refusal> {
        let mut operations = self.document.operations.iter();
        let found = match name {
            Some(wanted) => operations.find(|(name, _)| name.is_some_and(|name| name == wanted)),
            None if operations.len() == 1 => operations.next(),
            None => None,
        };
        let counted =
            found.and_then(|found| Some((found, self.operations.get(&found.0.cloned())?)));
        let Some(((name, definition), counts)) = counted else {
            return Err(Refusal::bad_operation_name(&self.unknown_operation(name)));
        };
        Ok(CheckedOperation {
            document: &self.document,
            definition: &definition.node,
            name: name.map(Name::as_str),
            counts: *counts,
            inputs: self.inputs.get(&name.cloned()),
            merges_objects: self.merges_objects,
            plans: self.plans.as_ref(),
            hints: self.hints.get(&name.cloned()),
            introspection: self.introspection.as_ref(),
            reporting: self.reporting,
        })
    }

    /// Message about an operation that is not there.
    fn unknown_operation(&self, name: Option<&str>) -> String {
        let operations = self.document.operations.iter();
        let mut names: Vec<&str> =
            operations.filter_map(|(name, _)| name.map(Name::as_str)).collect();
        names.sort_unstable();
        match name.map(|name| quoted(name, QUOTED_CHARACTERS)) {
            None => format!("several operations: operationName must be one of {}", listed(names)),
            Some(name) if names.is_empty() => {
                format!("no operation is named {name}: the only one has no name")
            }
            Some(name) => {
                format!("no operation is named {name}; the document has {}", listed(names))
            }
        }
    }

    /// Rejects variables that are too large for their uses in the document.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`]: a list is too long, values nest too deeply, or a large variable is
    /// used too often.
    pub fn check_variables(
        &self,
        variables: &Variables,
        limits: &DocumentLimits,
    ) -> Result<(), Refusal> {
        let mut found = 0_u64;
        for (name, value) in variables.iter() {
            let size = constant_size(value);
            at_most("list items", size.longest_list, limits.list_items, None)?;
            at_most("variables nesting", size.nesting, limits.nesting, None)?;
            let uses = self.variable_uses.get(name).copied().unwrap_or_default();
            found = found.saturating_add(uses.saturating_mul(size.weight));
        }
        let maximum = limits.argument_values;
        if found > maximum {
            return Err(Refusal::TooLarge { what: "argument values", found, maximum, at: None });
        }
        Ok(())
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Approximate memory in bytes, as the weight of a cache entry.
    #[must_use]
    pub fn weight_bytes(&self) -> u32 {
        self.weight_bytes
    }

    /// Number of steps of the check.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work
    }
}

impl<'a> CheckedOperation<'a> {
    /// Query, mutation or subscription.
    #[must_use]
    pub fn kind(&self) -> OperationType {
        self.definition.ty
    }

    /// Name in the document, which a request may omit.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.name
    }

    /// Cache hints; none if any field is private.
    #[must_use]
    pub fn hints(&self) -> Option<&'a Hints> {
        self.hints
    }

    /// Coerces the variables of a request to the declared types.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadVariables`]: values that do not fit, or are absent where one is required.
    pub fn coerce_variables(
        &self,
        variables: Variables,
        types: &TypeSystem,
    ) -> Result<Variables, Refusal> {
        let Some(inputs) = self.inputs else { return Ok(variables) };
        inputs.coerce(variables, types, self.reporting).map_err(|errors| {
            let errors = errors.iter().map(|error| ValidationError::new(&error.to_string(), None));
            Refusal::BadVariables { errors: errors.collect() }
        })
    }

    /// The operation with its fragments, with these values in place of its variables, and with one field for
    /// each response key, for `Request::set_parsed_query`.
    #[must_use]
    pub fn executable(&self, variables: &Variables, types: &TypeSystem) -> ExecutableDocument {
        let executable =
            self.inputs.and_then(|inputs| inputs.executable(self.document, self.name, variables));
        let mut executable = executable.unwrap_or_else(|| self.document.clone());
        if self.merges_objects {
            merge_fields(&mut executable, types);
        }
        executable
    }

    /// Plans of its selection sets; `None` if those differ between requests.
    #[must_use]
    pub fn plans(&self) -> Option<Arc<DocumentPlans>> {
        self.plans.cloned()
    }

    /// Typed document, if an operation selects the schema.
    #[must_use]
    pub fn introspection(&self) -> Option<&'a Valid<TypedDocument>> {
        self.introspection
    }

    /// True if it selects `__schema` or `__type`.
    #[must_use]
    pub fn selects_schema(&self) -> bool {
        self.counts.selects_schema
    }

    /// Root fields in the order of the document, fragments expanded.
    #[must_use]
    pub fn root_fields(&self) -> Vec<&'a Field> {
        let mut fields = Vec::new();
        self.collect(&self.definition.selection_set.node, &mut fields);
        fields
    }

    /// Recursion ends: cycles of fragments and the number of root fields were checked.
    fn collect(&self, set: &'a SelectionSet, fields: &mut Vec<&'a Field>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => fields.push(&field.node),
                Selection::InlineFragment(fragment) => {
                    self.collect(&fragment.node.selection_set.node, fields);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name) {
                        self.collect(&fragment.node.selection_set.node, fields);
                    }
                }
            }
        }
    }

    /// Depth: levels of objects, as the limit counts them.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.counts.depth
    }

    /// Number of selections, fragments expanded.
    #[must_use]
    pub fn selections(&self) -> usize {
        self.counts.selections
    }
}
