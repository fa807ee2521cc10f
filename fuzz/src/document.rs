//! Target `document`: the document guard, from the scan of a text to its cost.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::Variables;
use wasteland_tarot::graphql::guard::{CheckedOperation, Cost, Refusal};

use crate::guard::{assert_shows_no_literal, guard};
use crate::input::assert_constant;
use crate::literals::masked_document;

/// Steps for each byte that no check may exceed, comparisons of fields apart: those have a limit of their own.
const WORK_PER_BYTE: u64 = 4;

/// Costs of the operations by their names.
type Costs = BTreeMap<Option<String>, Cost>;

/// An accepted document is within all limits; a refusal is small, and shows no literal; the verdict is always the
/// same.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let verdict = examine(text);
    assert_eq!(verdict, examine(text), "two verdicts on one document");
    if let Err(refusal) = &verdict {
        guard().assert_well_formed(refusal, text);
    }
    if let Some(masked) = masked_document(text)
        && let Err(refusal) = examine(&masked)
    {
        assert_shows_no_literal(&refusal);
    }
}

fn examine(text: &str) -> Result<Costs, Refusal> {
    let limits = guard().limits();
    let none = Variables::default();
    let document = guard().check(text)?;
    assert!(text.len() <= limits.document_bytes, "too long");
    let bytes = u64::try_from(text.len()).expect("a length");
    let most = bytes * WORK_PER_BYTE + u64::try_from(limits.field_merges).expect("a limit");
    assert!(document.work() <= most, "{} steps for {bytes} bytes", document.work());

    let mut costs = Costs::new();
    for name in names(text) {
        if let Ok(operation) = document.operation(name) {
            costs.insert(operation.name().map(str::to_owned), cost(&operation, &none));
        }
    }
    assert!((1..=limits.operations).contains(&costs.len()), "{} operations", costs.len());
    Ok(costs)
}

/// Every word of a text, one of which may be the name of an operation, and none.
pub(crate) fn names(text: &str) -> BTreeSet<Option<&str>> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(Some).chain([None]).collect()
}

fn cost<'a>(operation: &CheckedOperation<'a>, variables: &'a Variables) -> Cost {
    let (limits, costs) = (guard().limits(), guard().costs());
    let depth = if operation.selects_schema() {
        limits.depth.max(limits.introspection_depth)
    } else {
        limits.depth
    };
    assert!(operation.depth() <= depth, "too deep: {}", operation.depth());
    assert!(operation.selections() <= limits.selections, "too many selections");
    assert!(operation.root_fields().len() <= limits.root_fields, "too many root fields");
    let cost = operation.cost(costs, variables, limits);
    assert_eq!(cost, operation.cost(costs, variables, limits), "two costs of one operation");
    if let Ok(points) = cost.allowed(limits.cost, limits) {
        assert!(points == cost.points && points <= limits.cost, "allowed at {points} points");
        assert!(cost.values <= limits.cost * limits.values_per_cost, "too many values");
    }
    if let Ok(coerced) = operation.coerce_variables(variables.clone(), guard().types()) {
        assert_constant(&operation.executable(&coerced, guard().types()));
    }
    cost
}
