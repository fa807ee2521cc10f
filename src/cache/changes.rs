//! What a write changes, and which values that makes old. It stands here and nowhere else: whoever
//! writes says what was changed, and this says what is purged for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::pattern::Pattern;

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
        let of_user = |user: Uuid| [format!("user:{user}:*"), format!("analytics:{user}:*")];
        let purges = match self {
            // That there is nobody of that name.
            Self::UserRegistered { username } => vec![username_scope(username)],
            Self::UserChanged { user, usernames } => {
                let names = usernames.iter().map(|name| username_scope(name));
                names.chain([format!("user:{user}:*"), user_scope(*user)]).collect()
            }
            Self::UserDeleted { user, username } => {
                let public = [
                    username_scope(username),
                    user_scope(*user),
                    owner_scope(*user),
                    readings_scope(*user),
                    FEED.to_owned(),
                ];
                public.into_iter().chain(of_user(*user)).collect()
            }
            Self::ReadingChanged { owner, is_public: false, .. } => of_user(*owner).into(),
            Self::ReadingChanged { reading, owner, is_public: true } => {
                let public = [reading_scope(*reading), readings_scope(*owner), FEED.to_owned()];
                public.into_iter().chain(of_user(*owner)).collect()
            }
            Self::ReadingsChanged { owner } => {
                let public = [owner_scope(*owner), readings_scope(*owner), FEED.to_owned()];
                public.into_iter().chain(of_user(*owner)).collect()
            }
            Self::CatalogueReplaced => vec!["cards:list:*".to_owned(), "spreads:list:*".to_owned()],
            Self::CountersFolded => vec!["public:stats:*".to_owned()],
            Self::Invalidated { pattern } => return vec![pattern.clone()],
            Self::Anything => vec!["*".to_owned()],
        };
        purges.into_iter().map(Pattern::of).collect()
    }
}

/// Everybody's public readings.
const FEED: &str = "public:feed:*";

/// What others see of a user.
fn user_scope(user: Uuid) -> String {
    format!("public:user:{user}:*")
}

/// Who has that name.
fn username_scope(username: &str) -> String {
    // A name may hold anything; a part of a key may not.
    format!("public:username:{}:*", URL_SAFE_NO_PAD.encode(username))
}

/// The public readings of a user, as a list.
fn readings_scope(owner: Uuid) -> String {
    format!("public:readings:{owner}:*")
}

/// Any public reading of a user.
fn owner_scope(owner: Uuid) -> String {
    format!("public:owner:{owner}:*")
}

/// A public reading.
fn reading_scope(reading: Uuid) -> String {
    format!("public:reading:{reading}:*")
}
