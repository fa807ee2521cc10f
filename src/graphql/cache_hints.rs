//! Cache hints of types and fields: audience, revalidation and TTL. This table is the source of the
//! response cache, the headers for downstream caches, and the hints in the printed schema.
//!
//! Invariant: fields that the table does not name are private. A new field is cached nowhere until it is
//! named here, with its cache tags, unless its loader adds them.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use async_graphql::parser::types::{
    BaseType, FieldDefinition, ServiceDocument, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};

use crate::cache::cache_tag::CacheTag;
use crate::cache::policy::CachePolicy;

/// Viewers to whom a response is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// All viewers.
    Everybody,
    /// Anonymous viewers. Others may see more.
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

/// Cache hint of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Viewers to whom it is the same.
    pub audience: Audience,
    /// Revalidation by downstream caches.
    pub revalidation: Revalidation,
    /// Cache policy, with the TTL.
    pub policy: CachePolicy,
    /// Cache tags for any arguments. Loaders add the others.
    cache_tags: &'static [CacheTag],
}

impl Hint {
    const fn reference(policy: CachePolicy, cache_tags: &'static [CacheTag]) -> Self {
        Self {
            audience: Audience::Everybody,
            revalidation: Revalidation::WhenExpired,
            policy,
            cache_tags,
        }
    }

    const fn changing(cache_tags: &'static [CacheTag]) -> Self {
        let (audience, revalidation) = (Audience::Everybody, Revalidation::Always);
        Self { audience, revalidation, policy: CachePolicy::PublicData, cache_tags }
    }

    const fn signed_out(self) -> Self {
        Self { audience: Audience::SignedOut, revalidation: Revalidation::Always, ..self }
    }
}

const CARDS: Hint = Hint::reference(CachePolicy::CardsList, &[CacheTag::Cards]);
const SPREADS: Hint = Hint::reference(CachePolicy::SpreadsList, &[CacheTag::Spreads]);
const VOICES: Hint = Hint::reference(CachePolicy::PublicData, &[CacheTag::Voices]);
const FACTIONS: Hint = Hint::reference(CachePolicy::PublicData, &[CacheTag::Factions]);
/// Parts of a page, and fields of all types.
const PAGES: Hint = Hint::reference(CachePolicy::PublicData, &[]);
/// Counters change all the time.
const COUNTERS: Hint = Hint::changing(&[CacheTag::Stats]);
const STATS: Hint = Hint::changing(&[CacheTag::Stats, CacheTag::Cards, CacheTag::Spreads]);
const MEANING: Hint = Hint::changing(&[CacheTag::Cards]);
const FEED: Hint = Hint::changing(&[CacheTag::Feed]);
/// Spreads, ordered by counters.
const PICKS: Hint = Hint {
    policy: CachePolicy::SpreadsList,
    ..Hint::changing(&[CacheTag::Spreads, CacheTag::Stats])
};
/// Users and their readings; loaders add their tags.
const PEOPLE: Hint = Hint::changing(&[]);
/// Owners see their private ones as well.
const OWN_ALSO: Hint = PEOPLE.signed_out();
const ANY_NODE: Hint =
    Hint::changing(&[CacheTag::Cards, CacheTag::Spreads, CacheTag::Voices, CacheTag::Factions])
        .signed_out();

/// Types, each with the hint of all of its fields that [`FIELDS`] does not name.
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
    // A text of the current card; the other fields of a drawn card never change.
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

/// Combined hints of several fields: the strictest of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// Viewers to whom the response is the same.
    pub audience: Audience,
    /// Revalidation by downstream caches.
    pub revalidation: Revalidation,
    /// Maximum TTL.
    pub ttl: Duration,
    /// Cache tags for any arguments.
    pub cache_tags: BTreeSet<CacheTag>,
}

impl Hints {
    /// Combination with another field.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.audience = self.audience.max(other.audience);
        self.revalidation = self.revalidation.max(other.revalidation);
        self.ttl = self.ttl.min(other.ttl);
        self.cache_tags.extend(other.cache_tags);
        self
    }
}

impl From<Hint> for Hints {
    fn from(hint: Hint) -> Self {
        Self {
            audience: hint.audience,
            revalidation: hint.revalidation,
            ttl: hint.policy.ttl(),
            cache_tags: hint.cache_tags.iter().cloned().collect(),
        }
    }
}

/// Mismatch of the table and the schema: a bug, which a test finds first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheHintsError {
    /// Unknown types or fields in the table, as `Type` or `Type.field`.
    #[error("cache hints that fit nothing: {}", .0.join(", "))]
    Unfitting(Vec<String>),
}

/// Hints of all fields that are not private, and the types that they return.
#[derive(Debug)]
pub struct CacheHints {
    types: HashMap<String, HashMap<String, HintedField>>,
}

/// A field that is not private.
#[derive(Debug)]
pub struct HintedField {
    /// Its hint.
    pub hint: Hint,
    /// Named type that it returns, without lists.
    pub returns: String,
}

impl CacheHints {
    /// The hints of a parsed schema.
    ///
    /// # Errors
    ///
    /// The table does not fit it.
    pub fn from_schema(schema: &ServiceDocument) -> Result<Self, CacheHintsError> {
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

/// Directive of the hints, as defined by Apollo.
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

/// The printed schema with the hints of its types, and of fields that differ from their types.
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
                Revalidation::WhenExpired => hint.policy.ttl().as_secs(),
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
