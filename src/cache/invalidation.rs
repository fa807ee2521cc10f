//! Invalidation events and their rules: a service records the event of its write, and the rules here, and nowhere else,
//! say which keys are purged for it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cache_tag::CacheTag;
use super::pattern::Pattern;

/// A change by a write. Servers exchange events as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvalidationEvent {
    /// A user registered.
    UserRegistered {
        /// Name, folded.
        username: String,
    },
    /// The public profile of a user changed.
    UserChanged {
        /// Id of the user.
        user: Uuid,
        /// Names before and after, folded.
        usernames: [String; 2],
    },
    /// A user deleted their account.
    UserDeleted {
        /// Id of the user.
        user: Uuid,
        /// Name before, folded.
        username: String,
    },
    /// A user was deactivated. What belongs to them is seen by nobody any more.
    UserDeactivated {
        /// Id of the user.
        user: Uuid,
        /// Name, folded.
        username: String,
    },
    /// A user was reactivated. Anything that is public may show what belongs to them, or its absence.
    UserReactivated,
    /// A reading was created, changed or deleted.
    ReadingChanged {
        /// Id of the reading.
        reading: Uuid,
        /// Id of the owner.
        owner: Uuid,
        /// Visibility before or after the change, the wider of the two.
        visibility: ReadingVisibility,
    },
    /// Any number of readings of a user changed.
    ReadingsChanged {
        /// Id of the owner.
        owner: Uuid,
    },
    /// All access tokens of a user were revoked. No cached value depends on them.
    TokensRevoked {
        /// Id of the user.
        user: Uuid,
        /// Epoch before which no token is valid.
        epoch: i32,
    },
    /// Cards or spreads changed.
    CatalogueReplaced,
    /// Deltas were folded into the counters.
    CountersFolded,
    /// An admin requested a purge; nothing changed.
    AdminRequested {
        /// Pattern of the keys.
        pattern: Pattern,
    },
    /// Unknown: everything is purged.
    Everything,
}

/// Viewers of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingVisibility {
    /// The owner alone: no public response has it.
    Private,
    /// Everyone.
    Public,
}

impl InvalidationEvent {
    /// Events as JSON, for the outbox and for other servers.
    #[must_use]
    pub fn to_json(events: &[Self]) -> serde_json::Value {
        serde_json::to_value(events).unwrap_or_default()
    }

    /// Events of another server. Another version of the program may have events that this one does not have:
    /// they are read as [`InvalidationEvent::Everything`].
    #[must_use]
    pub fn from_json(json: serde_json::Value) -> Vec<Self> {
        serde_json::from_value(json).unwrap_or_else(|_| vec![Self::Everything])
    }

    /// True if the catalogue in memory must be loaded again.
    #[must_use]
    pub fn affects_catalogue(&self) -> bool {
        matches!(self, Self::CatalogueReplaced | Self::Everything)
    }

    /// True if revocations of access tokens must be read again.
    #[must_use]
    pub fn may_revoke_tokens(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Patterns of the keys to purge.
    pub(super) fn key_patterns(&self) -> Vec<Pattern> {
        let own = |user: Uuid| Pattern::of(format!("user:{user}:*"));
        let of_user = |user: Uuid| [own(user), Pattern::of(format!("analytics:{user}:*"))];
        let with = |tags: &[CacheTag], others: &[Pattern]| {
            tags.iter().map(CacheTag::pattern).chain(others.iter().cloned()).collect()
        };
        match self {
            // The cached "no such user" of that name.
            Self::UserRegistered { username } => with(&[CacheTag::Username(username.clone())], &[]),
            Self::UserChanged { user, usernames: [before, after] } => {
                let names = [before, after].map(|name| CacheTag::Username(name.clone()));
                with(&[&names[..], &[CacheTag::User(*user)]].concat(), &[own(*user)])
            }
            Self::UserDeleted { user, username } | Self::UserDeactivated { user, username } => {
                let public = [
                    CacheTag::Username(username.clone()),
                    CacheTag::User(*user),
                    CacheTag::Owner(*user),
                    CacheTag::Readings(*user),
                    CacheTag::Feed,
                ];
                with(&public, &of_user(*user))
            }
            // Whose a missing reading was, no cached absence of it says.
            Self::UserReactivated => with(&[], &[Pattern::of("public:*".to_owned())]),
            Self::ReadingChanged { owner, visibility: ReadingVisibility::Private, .. } => {
                with(&[], &of_user(*owner))
            }
            Self::ReadingChanged { reading, owner, visibility: ReadingVisibility::Public } => {
                let public =
                    [CacheTag::Reading(*reading), CacheTag::Readings(*owner), CacheTag::Feed];
                with(&public, &of_user(*owner))
            }
            Self::ReadingsChanged { owner } => {
                let public = [CacheTag::Owner(*owner), CacheTag::Readings(*owner), CacheTag::Feed];
                with(&public, &of_user(*owner))
            }
            Self::CatalogueReplaced => with(
                &[CacheTag::Cards, CacheTag::Spreads, CacheTag::Voices, CacheTag::Factions],
                &[],
            ),
            Self::TokensRevoked { .. } => Vec::new(),
            Self::CountersFolded => with(&[CacheTag::Stats], &[]),
            Self::AdminRequested { pattern } => with(&[], std::slice::from_ref(pattern)),
            Self::Everything => with(&[], &[Pattern::of("*".to_owned())]),
        }
    }
}
