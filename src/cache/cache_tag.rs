//! Cache tags: the parts of the public data, each of which a write invalidates as a whole. A tag is a key prefix that
//! [`invalidation`](super::invalidation) events purge, and has a surrogate key for HTTP caches outside.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::pattern::Pattern;
use super::purge_epochs::KeyPrefixes;
use crate::config::cache::SURROGATE_KEY_BYTES;
use crate::domain::lock::lock;

/// A part of the public data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheTag {
    /// The cards.
    Cards,
    /// The spreads.
    Spreads,
    /// The voices.
    Voices,
    /// The factions.
    Factions,
    /// Counts of users, readings, draws, uses and ratings.
    Stats,
    /// The list of all public readings.
    Feed,
    /// The public profile of a user.
    User(Uuid),
    /// The user with that name (folded), or the absence of one.
    Username(String),
    /// All public readings of a user.
    Owner(Uuid),
    /// The list of a user's public readings.
    Readings(Uuid),
    /// The public reading with that id, or the absence of one.
    Reading(Uuid),
}

impl CacheTag {
    /// Pattern of the keys below the tag.
    pub(super) fn pattern(&self) -> Pattern {
        Pattern::of(format!("{self}:*"))
    }

    /// Surrogate key in HTTP caches outside. Purge [`Self::surrogate_key_of_kind`] as well.
    #[must_use]
    pub fn surrogate_key(&self) -> String {
        match self {
            Self::User(id) => format!("user-{id}"),
            Self::Username(name) => format!("username-{}", encoded(name)),
            Self::Owner(id) => format!("owner-{id}"),
            Self::Readings(id) => format!("readings-{id}"),
            Self::Reading(id) => format!("reading-{id}"),
            all => all.surrogate_key_of_kind().to_owned(),
        }
    }

    /// Surrogate key of responses with too many tags of this kind to list them all.
    #[must_use]
    pub const fn surrogate_key_of_kind(&self) -> &'static str {
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

/// Encodes a name, which may contain separators, as a part of a key.
fn encoded(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The key prefix.
impl fmt::Display for CacheTag {
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

/// The key prefixes whose purges invalidate an entry with these tags.
#[must_use]
pub fn key_prefixes(tags: &BTreeSet<CacheTag>) -> KeyPrefixes {
    tags.iter().map(|tag| KeyPrefixes::of(&tag.to_string())).collect()
}

/// Surrogate keys of a response with these tags, separated by blanks: at most [`SURROGATE_KEY_BYTES`], with the keys of
/// whole kinds if they would be longer.
#[must_use]
pub fn surrogate_keys(tags: &BTreeSet<CacheTag>) -> String {
    let joined = |keys: BTreeSet<String>| keys.into_iter().collect::<Vec<_>>().join(" ");
    let keys = joined(tags.iter().map(CacheTag::surrogate_key).collect());
    if keys.len() <= SURROGATE_KEY_BYTES {
        return keys;
    }
    joined(tags.iter().map(|tag| tag.surrogate_key_of_kind().to_owned()).collect())
}

/// Cache tags of the public data that a request has read so far.
#[derive(Debug, Clone, Default)]
pub struct CacheTags(Arc<Mutex<BTreeSet<CacheTag>>>);

impl CacheTags {
    /// Adds tags of data that was read, or was looked up and is missing.
    pub fn record(&self, tags: impl IntoIterator<Item = CacheTag>) {
        lock(&self.0).extend(tags);
    }

    /// The tags so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeSet<CacheTag> {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_surrogate_keys_become_those_of_kinds() {
        // `user-`, 36 characters and a blank.
        let limit = (SURROGATE_KEY_BYTES + 1) / 42;
        let users = |count: usize| -> BTreeSet<CacheTag> {
            (0..count).map(|number| CacheTag::User(Uuid::from_u128(number as u128))).collect()
        };
        let fine = surrogate_keys(&users(limit));
        assert_eq!((fine.split(' ').count(), fine.len()), (limit, 42 * limit - 1));
        assert!(fine.starts_with("user-00000000-0000-0000-0000-000000000000 user-"), "{fine}");
        let mut more = users(limit + 1);
        more.insert(CacheTag::Feed);
        assert_eq!(surrogate_keys(&more), "all-users feed");
    }

    #[test]
    fn each_tag_has_keys_of_its_own() {
        let id = Uuid::max();
        let tags = [
            CacheTag::Cards,
            CacheTag::Spreads,
            CacheTag::Voices,
            CacheTag::Factions,
            CacheTag::Stats,
            CacheTag::Feed,
            CacheTag::User(id),
            CacheTag::Username("a:b c".to_owned()),
            CacheTag::Owner(id),
            CacheTag::Readings(id),
            CacheTag::Reading(id),
        ];
        let keys: BTreeSet<String> = tags.iter().map(ToString::to_string).collect();
        let surrogates: BTreeSet<String> = tags.iter().map(CacheTag::surrogate_key).collect();
        assert_eq!((keys.len(), surrogates.len()), (tags.len(), tags.len()));
        assert!(surrogates.iter().all(|key| !key.contains([' ', ':'])), "{surrogates:?}");
        assert!(keys.contains("public:username:YTpiIGM"), "{keys:?}");
    }
}
