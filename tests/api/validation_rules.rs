//! The validation rules, by their names in graphql-js: documents that follow each rule and documents that violate
//! it, with the same verdict from graphql-js.

use wasteland_tarot::graphql::guard::MeasuredDocument;
use wasteland_tarot::graphql::type_system::TypeSystem;

use crate::graphql_js::{REPORTING, reference_verdicts};
use crate::support::app::settings_with;

struct Rule {
    name: &'static str,
    valid: &'static [&'static str],
    invalid: &'static [&'static str],
}

// `SingleFieldSubscriptions` has no case: the schema has no subscriptions.
const RULES: [Rule; 25] = [
    Rule {
        name: "ExecutableDefinitions",
        valid: &["{ __typename }", "query Q { __typename } mutation M { __typename }"],
        invalid: &[
            "{ __typename } type Card { id: ID! }",
            "{ __typename } extend type Query { a: Int }",
            "{ __typename } schema { query: Query }",
            "{ __typename } directive @a on FIELD",
        ],
    },
    Rule {
        name: "UniqueOperationNames",
        valid: &[
            "query A { __typename } query B { __typename }",
            "query A { ...A } fragment A on Query { __typename }",
        ],
        invalid: &[
            "query A { __typename } query A { __typename }",
            "query A { __typename } mutation A { __typename }",
        ],
    },
    Rule {
        name: "LoneAnonymousOperation",
        valid: &["{ __typename }", "{ ...F } fragment F on Query { __typename }"],
        invalid: &[
            "{ __typename } query A { __typename }",
            "{ __typename } { __typename }",
            "query { __typename } mutation { __typename }",
        ],
    },
    Rule {
        name: "KnownTypeNames",
        valid: &[
            "query ($a: ID!) { node(id: $a) { ... on Card { id } } }",
            "{ ...F } fragment F on Query { __typename }",
        ],
        invalid: &[
            "query ($a: Nothing) { node(id: $a) { id } }",
            "{ ... on Nothing { __typename } }",
            "{ ...F } fragment F on Nothing { __typename }",
            "query ($a: [[Nothing!]!]!) { node(id: $a) { id } }",
        ],
    },
    Rule {
        name: "FragmentsOnCompositeTypes",
        valid: &[
            "{ ... on Query { __typename } }",
            "{ node(id: 1) { ... on Node { id } } }",
            "{ ... { __typename } }",
        ],
        invalid: &[
            "{ ... on Locale { __typename } }",
            "{ ... on String { __typename } }",
            "{ ... on CardFilter { __typename } }",
            "{ ...F } fragment F on ID { __typename }",
        ],
    },
    Rule {
        name: "VariablesAreInputTypes",
        valid: &[
            "query ($a: CardFilter) { cards(filter: $a) { totalCount } }",
            "query ($a: [ID!]!) { nodes(ids: $a) { id } }",
        ],
        invalid: &[
            "query ($a: Card) { cards { totalCount } }",
            "query ($a: [Node!]!) { nodes(ids: $a) { id } }",
        ],
    },
    Rule {
        name: "ScalarLeafs",
        valid: &["{ voices { id displayName } }"],
        invalid: &[
            "{ voices }",
            "{ voices { id { a } } }",
            "{ viewer }",
            "{ cards { nodes { suit { a } } } }",
            "{ __typename { a } }",
        ],
    },
    Rule {
        name: "FieldsOnCorrectType",
        valid: &[
            "{ node(id: 1) { id ... on Card { name } } }",
            "{ __typename voices { __typename } }",
            "{ __schema { types { name } } __type(name: \"A\") { name } }",
        ],
        invalid: &[
            "{ nothing }",
            "{ node(id: 1) { name } }",
            "{ voices { nothing } }",
            "mutation { voices { id } }",
            "{ voices { __schema { description } } }",
            "{ ... on Voice { id } }",
        ],
    },
    Rule {
        name: "UniqueFragmentNames",
        valid: &[
            "{ ...A ...B } fragment A on Query { __typename } fragment B on Query { __typename }",
        ],
        invalid: &[
            "{ ...A } fragment A on Query { __typename } fragment A on Query { a: __typename }",
        ],
    },
    Rule {
        name: "KnownFragmentNames",
        valid: &["{ ...A } fragment A on Query { ...B } fragment B on Query { __typename }"],
        invalid: &["{ ...A }", "{ ...A } fragment A on Query { ...B }"],
    },
    Rule {
        name: "NoUnusedFragments",
        valid: &["query A { ...F } query B { ...F } fragment F on Query { __typename }"],
        invalid: &[
            "{ __typename } fragment F on Query { __typename }",
            "{ ...A } fragment A on Query { __typename } fragment B on Query { ...A }",
        ],
    },
    Rule {
        name: "PossibleFragmentSpreads",
        valid: &[
            "{ node(id: 1) { ... on Card { id } ... on Reading { id } } }",
            "{ voices { ... on Node { id } } }",
            "{ voices { ... { id } } }",
        ],
        invalid: &[
            "{ voices { ... on Card { id } } }",
            "{ voices { ...F } } fragment F on Card { id }",
            "{ node(id: 1) { ... on PageInfo { __typename } } }",
        ],
    },
    Rule {
        name: "NoFragmentCycles",
        valid: &["{ ...A ...A } fragment A on Query { ...B } fragment B on Query { __typename }"],
        invalid: &[
            "{ ...A } fragment A on Query { ...A }",
            "{ ...A } fragment A on Query { __typename ...B } fragment B on Query { ...A }",
            "{ viewer { ...A } } fragment A on User { readings { nodes { user { ...A } } } }",
        ],
    },
    Rule {
        name: "UniqueVariableNames",
        valid: &[
            "query A($a: ID!) { node(id: $a) { id } } query B($a: ID!) { node(id: $a) { id } }",
        ],
        invalid: &[
            "query ($a: ID!, $a: ID!) { node(id: $a) { id } }",
            "query ($a: ID!, $a: Int) { node(id: $a) { id } }",
        ],
    },
    Rule {
        name: "NoUndefinedVariables",
        valid: &["query ($a: ID!) { ...F } fragment F on Query { node(id: $a) { id } }"],
        invalid: &[
            "{ node(id: $a) { id } }",
            "query ($b: ID!) { node(id: $a) { id } other: node(id: $b) { id } }",
            "query A($a: ID!) { ...F } query B { ...F } fragment F on Query { node(id: $a) { id } }",
            "{ nodes(ids: [$a]) { id } }",
            "{ __typename @skip(if: $a) }",
            "{ cards(filter: { suits: $a }) { totalCount } }",
        ],
    },
    Rule {
        name: "NoUnusedVariables",
        valid: &[
            "query ($a: Boolean!) { __typename @skip(if: $a) }",
            "query ($a: ID!) { nodes(ids: [$a]) { id } }",
        ],
        invalid: &[
            "query ($a: Int) { __typename }",
            "query A($a: ID!) { node(id: $a) { id } } query B($a: ID!) { __typename }",
        ],
    },
    Rule {
        name: "KnownDirectives",
        valid: &[
            "{ __typename @skip(if: false) @include(if: true) }",
            "{ ... @include(if: true) { __typename } }",
        ],
        invalid: &[
            "{ __typename @nothing }",
            "query @skip(if: true) { __typename }",
            "{ voices @deprecated { id } }",
            "{ ...F } fragment F on Query @include(if: true) { __typename }",
            "query ($a: ID! @nothing) { node(id: $a) { id } }",
            "{ voices @cacheControl(maxAge: 1) { id } }",
        ],
    },
    Rule {
        name: "UniqueDirectivesPerLocation",
        valid: &["{ a: __typename @skip(if: true) b: __typename @skip(if: true) }"],
        invalid: &[
            "{ __typename @skip(if: true) @skip(if: true) }",
            "{ ... @include(if: true) @include(if: false) { __typename } }",
        ],
    },
    Rule {
        name: "KnownArgumentNames",
        valid: &["{ cards(first: 1, search: \"a\") { totalCount } }"],
        invalid: &[
            "{ cards(nothing: 1) { totalCount } }",
            "{ __typename(a: 1) }",
            "{ __typename @skip(if: true, unless: false) }",
            "{ voices(first: 1) { id } }",
        ],
    },
    Rule {
        name: "UniqueArgumentNames",
        valid: &["{ cards(first: 1) { totalCount } a: cards(first: 1) { totalCount } }"],
        invalid: &[
            "{ cards(first: 1, first: 1) { totalCount } }",
            "{ __typename @skip(if: true, if: true) }",
        ],
    },
    Rule {
        name: "ValuesOfCorrectType",
        valid: &[
            "{ cards(first: -0, after: null) { totalCount } }",
            "{ nodes(ids: \"a\") { id } }",
            "{ nodes(ids: [1, \"a\"]) { id } }",
            "{ voices { displayName(locale: ZH_HANT) } }",
            "query ($a: Int = 1, $b: [ID!] = \"a\") { cards(first: $a) { totalCount } nodes(ids: $b) { id } }",
            "{ publicReadings(filter: { createdAt: { from: \"2026-11-30T08:00:00Z\" } }) { totalCount } }",
        ],
        invalid: &[
            "{ cards(first: \"1\") { totalCount } }",
            "{ cards(first: 1.0) { totalCount } }",
            "{ cards(first: 2147483648) { totalCount } }",
            "{ cards(first: [1]) { totalCount } }",
            "{ cards(search: 1) { totalCount } }",
            "{ cards(search: EN) { totalCount } }",
            "{ nodes(ids: [null]) { id } }",
            "{ nodes(ids: null) { id } }",
            "{ node(id: 1.5) { id } }",
            "{ node(id: true) { id } }",
            "{ voices { displayName(locale: \"EN\") } }",
            "{ voices { displayName(locale: FR) } }",
            "{ voices { displayName(locale: null) } }",
            "{ __typename @skip(if: 1) }",
            "{ cards(filter: 1) { totalCount } }",
            "{ cards(filter: { nothing: 1 }) { totalCount } }",
            "{ cards(orderBy: { field: NOTHING }) { totalCount } }",
            "query ($a: Int = \"1\") { cards(first: $a) { totalCount } }",
            "mutation { login(input: {}) { __typename } }",
            "{ publicReadings(filter: { createdAt: { from: \"yesterday\" } }) { totalCount } }",
        ],
    },
    Rule {
        name: "ProvidedRequiredArguments",
        valid: &["{ node(id: 1) { id } }", "{ voices { displayName } }"],
        invalid: &["{ node { id } }", "{ __typename @skip }", "mutation { login { __typename } }"],
    },
    Rule {
        name: "VariablesInAllowedPosition",
        valid: &[
            "query ($a: ID!) { node(id: $a) { id } }",
            "query ($a: ID = \"a\") { node(id: $a) { id } }",
            "query ($a: Locale) { voices { displayName(locale: $a) } }",
            "query ($a: Int!) { cards(first: $a) { totalCount } }",
            "query ($a: [ID!]!) { nodes(ids: $a) { id } }",
        ],
        invalid: &[
            "query ($a: ID) { node(id: $a) { id } }",
            "query ($a: ID = null) { node(id: $a) { id } }",
            "query ($a: String!) { node(id: $a) { id } }",
            "query ($a: [ID]!) { nodes(ids: $a) { id } }",
            "query ($a: ID!) { nodes(ids: $a) { id } }",
            "query ($a: ID) { nodes(ids: [$a]) { id } }",
            "query ($a: Boolean) { __typename @skip(if: $a) }",
            "query ($a: Int) { ...F } fragment F on Query { cards(search: $a) { totalCount } }",
        ],
    },
    Rule {
        name: "OverlappingFieldsCanBeMerged",
        valid: &[
            "{ voices { id id } voices { displayName } }",
            "{ cards(first: 1) { totalCount } cards(first: 1) { nodes { id } } }",
            "{ node(id: 1) { ... on Card { x: name } ... on Reading { x: question } } }",
            "{ node(id: 1) { ... on Card { x: name(locale: EN) } ... on Spread { x: displayName(locale: ZH_HANT) } } }",
        ],
        invalid: &[
            "{ voices { x: id x: displayName } }",
            "{ cards(first: 1) { totalCount } cards(first: 2) { totalCount } }",
            "{ cards(first: 1) { totalCount } cards { totalCount } }",
            "query ($a: Int, $b: Int) { cards(first: $a) { totalCount } cards(first: $b) { totalCount } }",
            "{ ...A voices { x: displayName } } fragment A on Query { voices { x: id } }",
            "{ node(id: 1) { ... on Card { x: id } ... on Reading { x: question } } }",
            "{ node(id: 1) { ... on Card { x: name } ... on User { x: readings { totalCount } } } }",
        ],
    },
    Rule {
        name: "UniqueInputFieldNames",
        valid: &[
            "{ publicReadings(filter: { tagsAny: [\"a\"], spreadTypes: [] }) { totalCount } }",
        ],
        invalid: &[
            "{ publicReadings(filter: { tagsAny: [\"a\"], tagsAny: [\"a\"] }) { totalCount } }",
            "{ publicReadings(filter: { createdAt: { from: null, from: null } }) { totalCount } }",
        ],
    },
];

#[tokio::test]
async fn each_rule_has_the_verdict_of_graphql_js_on_both_sides() {
    let types = TypeSystem::served().expect("a valid schema");
    let limits = settings_with(&[]).limits.document;
    let cases = || {
        RULES.iter().flat_map(|rule| {
            let valid = rule.valid.iter().map(|document| (rule.name, *document, true));
            valid.chain(rule.invalid.iter().map(|document| (rule.name, *document, false)))
        })
    };
    for (rule, document, is_valid) in cases() {
        let checked = MeasuredDocument::measure(document, &limits)
            .and_then(|document| document.validate(types, REPORTING));
        assert_eq!(checked.is_ok(), is_valid, "{rule}: {document}: {:?}", checked.err());
    }
    let documents: Vec<String> = cases().map(|(_, document, _)| document.to_owned()).collect();
    let test = "each_rule_has_the_verdict_of_graphql_js_on_both_sides";
    let Some(verdicts) = reference_verdicts(test, &documents).await else { return };
    for ((rule, document, is_valid), theirs) in cases().zip(verdicts) {
        assert_eq!(theirs.is_none(), is_valid, "{rule}: {document}: {theirs:?}");
    }
}
