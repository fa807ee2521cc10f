//! What a public answer is made with: the parts of what everybody may see, each of which a write makes
//! old as a whole. A scope is the beginning of keys; [`changes`](super::changes) purges it, and caches
//! outside know it by its surrogate key.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::generations::Scopes;
use super::pattern::Pattern;
use crate::config::cache::SURROGATE_KEY_BYTES;
use crate::domain::lock::lock;

/// A part of what everybody may see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The cards.
    Cards,
    /// The spreads.
    Spreads,
    /// The voices.
    Voices,
    /// The factions.
    Factions,
    /// What is counted: users, readings, draws, uses and ratings.
    Stats,
    /// Everybody's public readings, as a list.
    Feed,
    /// What others see of a user.
    User(Uuid),
    /// Who has that name, folded, if anybody.
    Username(String),
    /// Any public reading of a user.
    Owner(Uuid),
    /// The public readings of a user, as a list.
    Readings(Uuid),
    /// A public reading, or that it is none.
    Reading(Uuid),
}

impl Scope {
    /// The keys below it.
    pub(super) fn pattern(&self) -> Pattern {
        Pattern::of(format!("{self}:*"))
    }

    /// As caches outside know it. Whoever tells them that it is old tells them of [`Self::of_all`]
    /// as well.
    #[must_use]
    pub fn surrogate_key(&self) -> String {
        match self {
            Self::User(id) => format!("user-{id}"),
            Self::Username(name) => format!("username-{}", encoded(name)),
            Self::Owner(id) => format!("owner-{id}"),
            Self::Readings(id) => format!("readings-{id}"),
            Self::Reading(id) => format!("reading-{id}"),
            all => all.of_all().to_owned(),
        }
    }

    /// The surrogate key of what is made with too many of its kind to name them all.
    #[must_use]
    pub const fn of_all(&self) -> &'static str {
        match self {
            Self::Cards => "cards",
            Self::Spreads => "spreads",
            Self::Voices => "voices",
            Self::Factions => "factions",
            Self::Stats => "stats",
            Self::Feed => "feed",
            Self::User(_) => "all-users",
            Self::Username(_) => "all-usernames",
            Self::Owner(_) => "all-owners",
            Self::Readings(_) => "all-lists",
            Self::Reading(_) => "all-readings",
        }
    }
}

/// A name may hold anything; a part of a key may not.
fn encoded(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// As the beginning of keys.
impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cards => formatter.write_str("cards:list"),
            Self::Spreads => formatter.write_str("spreads:list"),
            Self::Voices => formatter.write_str("public:voices"),
            Self::Factions => formatter.write_str("public:factions"),
            Self::Stats => formatter.write_str("public:stats"),
            Self::Feed => formatter.write_str("public:feed"),
            Self::User(id) => write!(formatter, "public:user:{id}"),
            Self::Username(name) => write!(formatter, "public:username:{}", encoded(name)),
            Self::Owner(id) => write!(formatter, "public:owner:{id}"),
            Self::Readings(id) => write!(formatter, "public:readings:{id}"),
            Self::Reading(id) => write!(formatter, "public:reading:{id}"),
        }
    }
}

/// The beginnings of keys whose purge makes old what is made with these.
#[must_use]
pub fn beginnings(scopes: &BTreeSet<Scope>) -> Scopes {
    scopes.iter().map(|scope| Scopes::of(&scope.to_string())).collect()
}

/// The surrogate keys of an answer that is made with these, with blanks between them: at most
/// [`SURROGATE_KEY_BYTES`], with one for all of a kind where they would be longer.
#[must_use]
pub fn surrogate_keys(scopes: &BTreeSet<Scope>) -> String {
    let joined = |keys: BTreeSet<String>| keys.into_iter().collect::<Vec<_>>().join(" ");
    let keys = joined(scopes.iter().map(Scope::surrogate_key).collect());
    if keys.len() <= SURROGATE_KEY_BYTES {
        return keys;
    }
    joined(scopes.iter().map(|scope| scope.of_all().to_owned()).collect())
}

/// What a request has read of it so far.
#[derive(Debug, Clone, Default)]
pub struct MadeWith(Arc<Mutex<BTreeSet<Scope>>>);

impl MadeWith {
    /// It was read, or it was found that there is nothing.
    pub fn note(&self, scopes: impl IntoIterator<Item = Scope>) {
        lock(&self.0).extend(scopes);
    }

    /// All of it so far.
    #[must_use]
    pub fn so_far(&self) -> BTreeSet<Scope> {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogate_keys_that_are_too_long_are_those_of_all() {
        // `user-` and 36 characters, and a blank between two.
        let most = (SURROGATE_KEY_BYTES + 1) / 42;
        let users = |count: usize| -> BTreeSet<Scope> {
            (0..count).map(|number| Scope::User(Uuid::from_u128(number as u128))).collect()
        };
        let fine = surrogate_keys(&users(most));
        assert_eq!((fine.split(' ').count(), fine.len()), (most, 42 * most - 1));
        assert!(fine.starts_with("user-00000000-0000-0000-0000-000000000000 user-"), "{fine}");
        let mut more = users(most + 1);
        more.insert(Scope::Feed);
        assert_eq!(surrogate_keys(&more), "all-users feed");
    }

    #[test]
    fn each_scope_has_keys_of_its_own() {
        let id = Uuid::max();
        let scopes = [
            Scope::Cards,
            Scope::Spreads,
            Scope::Voices,
            Scope::Factions,
            Scope::Stats,
            Scope::Feed,
            Scope::User(id),
            Scope::Username("a:b c".to_owned()),
            Scope::Owner(id),
            Scope::Readings(id),
            Scope::Reading(id),
        ];
        let keys: BTreeSet<String> = scopes.iter().map(ToString::to_string).collect();
        let surrogates: BTreeSet<String> = scopes.iter().map(Scope::surrogate_key).collect();
        assert_eq!((keys.len(), surrogates.len()), (scopes.len(), scopes.len()));
        assert!(surrogates.iter().all(|key| !key.contains([' ', ':'])), "{surrogates:?}");
        assert!(keys.contains("public:username:YTpiIGM"), "{keys:?}");
    }
}
