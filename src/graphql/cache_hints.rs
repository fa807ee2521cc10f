//! What may be kept of an answer, by whom and for how long: one table for all types and fields, from
//! which come the stored answers, the headers for caches outside, and the hints in the printed schema.
//!
//! Invariant: what the table does not name is private. A new field is kept nowhere until it is named
//! here, together with what it is made with where its loader does not say that.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};

use crate::cache::policy::Row;
use crate::cache::scope::Scope;

/// To whom an answer is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Whoever asks.
    Everybody,
    /// Whoever is not signed in. Others may see more.
    SignedOut,
}

/// Revalidation of a cached response by downstream caches: browsers and CDNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revalidation {
    /// After its TTL: reference data, which only admins change.
    WhenExpired,
    /// Before each use.
    Always,
}

/// What the table says of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// To whom it is the same.
    pub audience: Audience,
    /// What caches outside may do with it.
    pub revalidation: Revalidation,
    /// The row of the TTL table that says for how long it is kept.
    pub row: Row,
    /// What it is made with, whatever the arguments are. The rest is noted while it is loaded.
    made_with: &'static [Scope],
}

impl Hint {
    const fn reference(row: Row, made_with: &'static [Scope]) -> Self {
        Self {
            audience: Audience::Everybody,
            revalidation: Revalidation::WhenExpired,
            row,
            made_with,
        }
    }

    const fn changing(made_with: &'static [Scope]) -> Self {
        let (audience, revalidation) = (Audience::Everybody, Revalidation::Always);
        Self { audience, revalidation, row: Row::PublicData, made_with }
    }

    const fn signed_out(self) -> Self {
        Self { audience: Audience::SignedOut, revalidation: Revalidation::Always, ..self }
    }
}

const CARDS: Hint = Hint::reference(Row::CardsList, &[Scope::Cards]);
const SPREADS: Hint = Hint::reference(Row::SpreadsList, &[Scope::Spreads]);
const VOICES: Hint = Hint::reference(Row::PublicData, &[Scope::Voices]);
const FACTIONS: Hint = Hint::reference(Row::PublicData, &[Scope::Factions]);
/// What holds a page together, or is the same for all types.
const PAGES: Hint = Hint::reference(Row::PublicData, &[]);
/// Counters change all the time.
const COUNTERS: Hint = Hint::changing(&[Scope::Stats]);
const STATS: Hint = Hint::changing(&[Scope::Stats, Scope::Cards, Scope::Spreads]);
const MEANING: Hint = Hint::changing(&[Scope::Cards]);
const FEED: Hint = Hint::changing(&[Scope::Feed]);
/// Spreads in an order that counters tell.
const PICKS: Hint =
    Hint { row: Row::SpreadsList, ..Hint::changing(&[Scope::Spreads, Scope::Stats]) };
/// People and their readings: which they are is noted while they are loaded.
const PEOPLE: Hint = Hint::changing(&[]);
/// Owners see their own that are not public.
const OWN_ALSO: Hint = PEOPLE.signed_out();
const ANY_NODE: Hint =
    Hint::changing(&[Scope::Cards, Scope::Spreads, Scope::Voices, Scope::Factions]).signed_out();

/// Types with the hint of all their fields that [`FIELDS`] does not name.
const TYPES: &[(Hint, &[&str])] = &[
    (CARDS, &["Card", "CardConnection", "CardEdge", "SuitInfo"]),
    (SPREADS, &["Spread", "SpreadConnection", "SpreadEdge", "SpreadPosition"]),
    (VOICES, &["Voice"]),
    (FACTIONS, &["Faction"]),
    (PAGES, &["Node", "PageInfo"]),
    (STATS, &["PublicStats"]),
    (PICKS, &["PopularSpreads", "SpreadRecommendation"]),
    (PEOPLE, &["DrawnCard", "ReadingConnection", "ReadingEdge"]),
];

/// Fields with a hint of their own.
const FIELDS: &[(&str, Hint, &[&str])] = &[
    ("Query", CARDS, &["card", "cardByCode", "cards", "suits"]),
    ("Query", SPREADS, &["spread", "spreadByName"]),
    // Admins may see inactive ones, and the most used come first.
    ("Query", PICKS.signed_out(), &["spreads"]),
    ("Query", PICKS, &["popularSpreads", "recommendedSpreads"]),
    ("Query", VOICES, &["voices"]),
    ("Query", FACTIONS, &["factions"]),
    ("Query", STATS, &["publicStats"]),
    ("Query", FEED, &["publicReadings"]),
    ("Query", OWN_ALSO, &["reading", "user"]),
    ("Query", ANY_NODE, &["node", "nodes"]),
    ("Card", COUNTERS, &["drawCount"]),
    ("Spread", COUNTERS, &["meanRating", "usageCount"]),
    // Of the card as it is now; all else of a drawn card is as it was drawn.
    ("DrawnCard", MEANING, &["meaning"]),
    (
        "Reading",
        PEOPLE,
        &[
            "cards",
            "characterVoice",
            "createdAt",
            "focusArea",
            "id",
            "interpretation",
            "karmaContext",
            "locale",
            "privacyLevel",
            "question",
            "radiationFactor",
            "spread",
            "spreadType",
            "summary",
            "tags",
            "updatedAt",
            "user",
            "version",
            "voice",
        ],
    ),
    ("User", PEOPLE, &["bio", "createdAt", "displayName", "faction", "id", "karma", "username"]),
    ("User", OWN_ALSO, &["readings"]),
];

/// The hint of a field; none if it is private.
#[must_use]
pub fn hint_of(type_name: &str, field: &str) -> Option<Hint> {
    let own = FIELDS.iter().find(|(of, _, fields)| *of == type_name && fields.contains(&field));
    own.map(|(_, hint, _)| *hint).or_else(|| hint_of_type(type_name))
}

fn hint_of_type(type_name: &str) -> Option<Hint> {
    TYPES.iter().find(|(_, types)| types.contains(&type_name)).map(|(hint, _)| *hint)
}

/// What the table says of several fields together: the strictest of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// To whom the answer is the same.
    pub audience: Audience,
    /// What caches outside may do with it.
    pub revalidation: Revalidation,
    /// For how long it is kept at most.
    pub ttl: Duration,
    /// What it is made with, whatever the arguments are.
    pub made_with: BTreeSet<Scope>,
}

impl Hints {
    /// With another field.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.audience = self.audience.max(other.audience);
        self.revalidation = self.revalidation.max(other.revalidation);
        self.ttl = self.ttl.min(other.ttl);
        self.made_with.extend(other.made_with);
        self
    }
}

impl From<Hint> for Hints {
    fn from(hint: Hint) -> Self {
        Self {
            audience: hint.audience,
            revalidation: hint.revalidation,
            ttl: hint.row.ttl(),
            made_with: hint.made_with.iter().cloned().collect(),
        }
    }
}

/// Why the table does not fit the schema: a mistake in this program, which a test finds first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheHintsError {
    /// The schema cannot be read.
    #[error("schema cannot be parsed: {0}")]
    Schema(String),
    /// The table names what the schema does not have, as `Type` or `Type.field`.
    #[error("cache hints that fit nothing: {}", .0.join(", "))]
    Unfitting(Vec<String>),
}

/// The hints of the fields that are not private, and the types that they answer.
#[derive(Debug)]
pub struct CacheHints {
    types: HashMap<String, HashMap<String, HintedField>>,
}

/// A field that is not private.
#[derive(Debug)]
pub struct HintedField {
    /// What the table says of it.
    pub hint: Hint,
    /// The type that it answers, apart from lists.
    pub returns: String,
}

impl CacheHints {
    /// Reads the printed schema.
    ///
    /// # Errors
    ///
    /// The table does not fit it.
    pub fn from_sdl(sdl: &str) -> Result<Self, CacheHintsError> {
        let schema =
            parse_schema(sdl).map_err(|error| CacheHintsError::Schema(error.to_string()))?;
        let mut types: HashMap<String, HashMap<String, HintedField>> = HashMap::new();
        for definition in &schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let type_name = definition.node.name.node.as_str();
            for field in fields_of(&definition.node) {
                let Some(hint) = hint_of(type_name, &field.name.node) else { continue };
                let returns = named(&field.ty.node).to_owned();
                let fields = types.entry(type_name.to_owned()).or_default();
                fields.insert(field.name.node.to_string(), HintedField { hint, returns });
            }
        }
        let hints = Self { types };
        let unfitting = hints.unfitting();
        if unfitting.is_empty() { Ok(hints) } else { Err(CacheHintsError::Unfitting(unfitting)) }
    }

    fn unfitting(&self) -> Vec<String> {
        let types = TYPES.iter().flat_map(|(_, types)| *types);
        let types =
            types.filter(|name| !self.types.contains_key(**name)).map(|name| (*name).to_owned());
        let fields =
            FIELDS.iter().flat_map(|(of, _, fields)| fields.iter().map(move |field| (of, field)));
        let fields = fields.filter(|(of, field)| self.field(of, field).is_none());
        types.chain(fields.map(|(of, field)| format!("{of}.{field}"))).collect()
    }

    /// A field that is not private.
    #[must_use]
    pub fn field(&self, type_name: &str, field: &str) -> Option<&HintedField> {
        self.types.get(type_name)?.get(field)
    }
}

fn fields_of(definition: &TypeDefinition) -> impl Iterator<Item = &FieldDefinition> {
    let fields = match &definition.kind {
        TypeKind::Object(object) => object.fields.as_slice(),
        TypeKind::Interface(interface) => interface.fields.as_slice(),
        _ => &[],
    };
    fields.iter().map(|field| &field.node)
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

/// The directive of the hints, as Apollo's gateways and other caches read it.
const DIRECTIVE: &str = r#"
"""
Who may receive a cached value.
"""
enum CacheControlScope {
	"""
	Everybody: shared caches may store it.
	"""
	PUBLIC
	"""
	The client that it was sent to: private caches alone.
	"""
	PRIVATE
}

"""
Maximum age of a cached field, or of all fields of a type. Fields without a hint are private and must not
be cached. Some fields may be cached for anonymous viewers alone: follow the headers of the response.
"""
directive @cacheControl(
	"""
	Seconds for which a cached value may be used without revalidation. 0: revalidate each time.
	"""
	maxAge: Int
	"""
	Who may receive a cached value.
	"""
	scope: CacheControlScope
) on OBJECT | INTERFACE | FIELD_DEFINITION
"#;

/// The printed schema with the hints of its types, and of the fields that differ from their types.
#[must_use]
pub fn with_hints(sdl: &str) -> String {
    const DESCRIPTION: &str = "\"\"\"";
    let mut hinted = String::with_capacity(sdl.len() * 11 / 10);
    let (mut in_description, mut in_type, mut field) = (false, None, None);
    for line in sdl.lines() {
        let describes = in_description || line.trim() == DESCRIPTION;
        in_description ^= line.trim() == DESCRIPTION;
        let declares = ["type ", "interface "].iter().find_map(|word| line.strip_prefix(word));
        let in_field = line.strip_prefix('\t').filter(|rest| !rest.starts_with('\t'));
        let mut hint = None;
        if describes {
        } else if let Some(rest) = declares {
            in_type = rest.split([' ', '{']).next();
            hint = in_type.and_then(hint_of_type);
        } else if line == "}" {
            in_type = None;
        } else if let (Some(type_name), Some(rest)) = (in_type, in_field) {
            if !rest.starts_with(')') {
                field = rest.split(['(', ':']).next();
            }
            // With arguments its last line ends it.
            if !rest.ends_with('(') {
                let own = field.and_then(|field| hint_of(type_name, field));
                hint = own.filter(|hint| Some(*hint) != hint_of_type(type_name));
            }
        }
        let (start, end) = if declares.is_some() && !describes {
            line.strip_suffix(" {").map_or((line, ""), |start| (start, " {"))
        } else {
            (line, "")
        };
        hinted.push_str(start);
        if let Some(hint) = hint {
            let seconds = match hint.revalidation {
                Revalidation::WhenExpired => hint.row.ttl().as_secs(),
                Revalidation::Always => 0,
            };
            // Writing to a string cannot fail.
            let _ = write!(hinted, " @cacheControl(maxAge: {seconds}, scope: PUBLIC)");
        }
        hinted.push_str(end);
        hinted.push('\n');
    }
    match hinted.find("\nschema {") {
        Some(at) => hinted.insert_str(at, DIRECTIVE.trim_end()),
        None => hinted.push_str(DIRECTIVE),
    }
    hinted
}
