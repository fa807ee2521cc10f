//! What a write changes, and which values that makes old. It stands here and nowhere else: whoever
//! writes says what was changed, and this says what is purged for it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::pattern::Pattern;
use super::scope::Scope;

/// What a write has changed. Servers tell each other so in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Somebody registered.
    UserRegistered {
        /// Folded.
        username: String,
    },
    /// What others see of a user was changed.
    UserChanged {
        /// Who.
        user: Uuid,
        /// The names before and after, folded.
        usernames: [String; 2],
    },
    /// A user deleted their account.
    UserDeleted {
        /// Who.
        user: Uuid,
        /// The name that they had, folded.
        username: String,
    },
    /// A reading was made, changed or deleted.
    ReadingChanged {
        /// Which.
        reading: Uuid,
        /// Whose it is.
        owner: Uuid,
        /// Whether others saw it before or see it now.
        is_public: bool,
    },
    /// Some readings of a user were changed, and which is not known.
    ReadingsChanged {
        /// Whose they are.
        owner: Uuid,
    },
    /// Cards or spreads were changed, and are read anew already.
    CatalogueReplaced,
    /// What was written before is in the counters now.
    CountersFolded,
    /// Nothing: an admin wants it computed anew.
    Invalidated {
        /// The keys that are meant.
        pattern: Pattern,
    },
    /// Nobody knows what.
    Anything,
}

impl Change {
    /// What others are to read.
    #[must_use]
    pub fn say(changes: &[Self]) -> serde_json::Value {
        serde_json::to_value(changes).unwrap_or_default()
    }

    /// What another server says. One of another version may know changes that this one does not.
    #[must_use]
    pub fn read(said: serde_json::Value) -> Vec<Self> {
        serde_json::from_value(said).unwrap_or_else(|_| vec![Self::Anything])
    }

    /// Whether cards or spreads may be others now.
    #[must_use]
    pub fn concerns_catalogue(&self) -> bool {
        matches!(self, Self::CatalogueReplaced | Self::Anything)
    }

    /// The patterns of the keys whose values it makes old.
    pub(super) fn purges(&self) -> Vec<Pattern> {
        let own = |user: Uuid| Pattern::of(format!("user:{user}:*"));
        let of_user = |user: Uuid| [own(user), Pattern::of(format!("analytics:{user}:*"))];
        let with = |scopes: &[Scope], others: &[Pattern]| {
            scopes.iter().map(Scope::pattern).chain(others.iter().cloned()).collect()
        };
        match self {
            // That there is nobody of that name.
            Self::UserRegistered { username } => with(&[Scope::Username(username.clone())], &[]),
            Self::UserChanged { user, usernames: [before, after] } => {
                let names = [before, after].map(|name| Scope::Username(name.clone()));
                with(&[&names[..], &[Scope::User(*user)]].concat(), &[own(*user)])
            }
            Self::UserDeleted { user, username } => {
                let public = [
                    Scope::Username(username.clone()),
                    Scope::User(*user),
                    Scope::Owner(*user),
                    Scope::Readings(*user),
                    Scope::Feed,
                ];
                with(&public, &of_user(*user))
            }
            Self::ReadingChanged { owner, is_public: false, .. } => with(&[], &of_user(*owner)),
            Self::ReadingChanged { reading, owner, is_public: true } => {
                let public = [Scope::Reading(*reading), Scope::Readings(*owner), Scope::Feed];
                with(&public, &of_user(*owner))
            }
            Self::ReadingsChanged { owner } => {
                let public = [Scope::Owner(*owner), Scope::Readings(*owner), Scope::Feed];
                with(&public, &of_user(*owner))
            }
            Self::CatalogueReplaced => {
                with(&[Scope::Cards, Scope::Spreads, Scope::Voices, Scope::Factions], &[])
            }
            Self::CountersFolded => with(&[Scope::Stats], &[]),
            Self::Invalidated { pattern } => with(&[], std::slice::from_ref(pattern)),
            Self::Anything => with(&[], &[Pattern::of("*".to_owned())]),
        }
    }
}
