//! The document guard as a server has it, and the promises of its refusals.

use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use wasteland_tarot::config::limits::{DocumentLimits, MESSAGE_CHARACTERS};
use wasteland_tarot::graphql::cache_hints::CacheHints;
use wasteland_tarot::graphql::documents::Documents;
use wasteland_tarot::graphql::error_reporting::ErrorReporting;
use wasteland_tarot::graphql::guard::{CheckedDocument, CostTable, MeasuredDocument, Refusal};
use wasteland_tarot::graphql::sdl;
use wasteland_tarot::graphql::type_system::TypeSystem;

use crate::literals::MASK;
use crate::server::settings;

/// The parts of the guard.
pub(crate) struct Guard {
    documents: Documents,
    hints: CacheHints,
    reporting: ErrorReporting,
}

/// The guard with default limits.
pub(crate) fn guard() -> &'static Guard {
    static GUARD: LazyLock<Guard> = LazyLock::new(|| {
        let settings = settings("sqlite://unused.db");
        let schema = parse_schema(sdl()).expect("the schema parses");
        Guard {
            documents: Documents::load(&settings).expect("every list has a bound"),
            hints: CacheHints::from_schema(&schema).expect("the hints fit the schema"),
            reporting: ErrorReporting { maximum: settings.limits.errors, names_schema: true },
        }
    });
    &GUARD
}

impl Guard {
    pub(crate) fn limits(&self) -> &DocumentLimits {
        self.documents.limits()
    }

    pub(crate) fn types(&self) -> &'static TypeSystem {
        self.documents.types()
    }

    pub(crate) fn costs(&self) -> &CostTable {
        self.documents.costs()
    }

    /// Checks a document, without the cache of documents.
    pub(crate) fn check(&self, text: &str) -> Result<CheckedDocument, Refusal> {
        let measured = MeasuredDocument::measure(text, self.limits())?;
        Ok(measured.validate(self.types(), self.reporting)?.with_hints(&self.hints))
    }

    /// Panics unless the refusal is small, and its location is in the text.
    pub(crate) fn assert_well_formed(&self, refusal: &Refusal, text: &str) {
        assert!(refusal.further().len() < self.reporting.maximum, "too many errors: {refusal:?}");
        for message in messages(refusal) {
            assert!(!message.is_empty(), "no message: {refusal:?}");
            assert_is_short(&message);
        }
        let further = refusal.further().iter().filter_map(|error| error.at);
        let lines = text.split(['\n', '\r']).count();
        for at in refusal.location().into_iter().chain(further) {
            assert!((1..=lines).contains(&at.line) && at.column >= 1, "outside of the text: {at}");
        }
        match refusal {
            Refusal::TooLarge { found, maximum, .. } => assert!(found > maximum, "{refusal:?}"),
            Refusal::TooDeep { depth, maximum, .. } => assert!(depth > maximum, "{refusal:?}"),
            Refusal::CostExceeded { cost, maximum } => assert!(cost > maximum, "{refusal:?}"),
            Refusal::ValidationFailed { errors } | Refusal::BadVariables { errors } => {
                assert!(!errors.is_empty(), "{refusal:?}");
            }
            Refusal::ParseFailed { .. } | Refusal::BadOperationName { .. } => {}
        }
    }
}

/// Panics if a message is too long for people, or has control characters.
pub(crate) fn assert_is_short(message: &str) {
    assert!(message.chars().count() <= MESSAGE_CHARACTERS, "a long message: {message}");
    assert!(!message.contains(char::is_control), "control characters: {message:?}");
}

/// Panics if a message shows a part of a literal, which may be a password. All literals are masked.
pub(crate) fn assert_shows_no_literal(refusal: &Refusal) {
    for message in messages(refusal) {
        assert!(!message.contains(MASK), "the message shows a literal: {message}");
    }
}

fn messages(refusal: &Refusal) -> impl Iterator<Item = String> {
    let further = refusal.further().iter().map(|error| error.message.clone());
    std::iter::once(refusal.to_string()).chain(further)
}
