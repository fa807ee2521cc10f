//! Ids as clients see them: opaque, with the kind of the object inside, so that a reading's id
//! given for a card is found out and named.

use std::fmt::Write as _;

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::errors::ApiError;
use crate::domain::card::Suit;
use crate::domain::faction::FactionKey;
use crate::domain::voice::VoiceKey;

/// The id of any object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobalId {
    /// A card.
    Card(Uuid),
    /// A category of the viewer's.
    Category(Uuid),
    /// A card drawn in a reading, by its position.
    DrawnCard(Uuid, i16),
    /// A faction.
    Faction(FactionKey),
    /// A reading.
    Reading(Uuid),
    /// A spread.
    Spread(Uuid),
    /// A position of a spread.
    SpreadPosition(Uuid, i16),
    /// A suit.
    SuitInfo(Suit),
    /// A user.
    User(Uuid),
    /// A voice.
    Voice(VoiceKey),
}

impl GlobalId {
    /// The name of the object's type.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Card(_) => "Card",
            Self::Category(_) => "Category",
            Self::DrawnCard(..) => "DrawnCard",
            Self::Faction(_) => "Faction",
            Self::Reading(_) => "Reading",
            Self::Spread(_) => "Spread",
            Self::SpreadPosition(..) => "SpreadPosition",
            Self::SuitInfo(_) => "SuitInfo",
            Self::User(_) => "User",
            Self::Voice(_) => "Voice",
        }
    }

    /// As clients see it.
    #[must_use]
    pub fn encode(self) -> ID {
        let mut text = format!("{}:", self.type_name());
        match self {
            Self::Card(id)
            | Self::Category(id)
            | Self::Reading(id)
            | Self::Spread(id)
            | Self::User(id) => {
                let _ = write!(text, "{}", id.simple());
            }
            Self::DrawnCard(id, number) | Self::SpreadPosition(id, number) => {
                let _ = write!(text, "{}:{number}", id.simple());
            }
            Self::Faction(key) => text.push_str(key.as_str()),
            Self::SuitInfo(suit) => text.push_str(suit.as_str()),
            Self::Voice(key) => text.push_str(key.as_str()),
        }
        ID(URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads what a client sent; `None` if it never came from here.
    #[must_use]
    pub fn decode(id: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let (kind, key) = text.split_once(':')?;
        let numbered = || {
            let (id, number) = key.split_once(':')?;
            Some((uuid(id)?, number.parse().ok()?))
        };
        let read = match kind {
            "Card" => Self::Card(uuid(key)?),
            "Category" => Self::Category(uuid(key)?),
            "DrawnCard" => numbered().map(|(id, number)| Self::DrawnCard(id, number))?,
            "Faction" => Self::Faction(key.parse().ok()?),
            "Reading" => Self::Reading(uuid(key)?),
            "Spread" => Self::Spread(uuid(key)?),
            "SpreadPosition" => numbered().map(|(id, number)| Self::SpreadPosition(id, number))?,
            "SuitInfo" => Self::SuitInfo(key.parse().ok()?),
            "User" => Self::User(uuid(key)?),
            "Voice" => Self::Voice(key.parse().ok()?),
            _ => return None,
        };
        // One object, one id: other spellings of the same key are not ours.
        (read.encode().as_str() == id).then_some(read)
    }

    /// Reads an id argument.
    ///
    /// # Errors
    ///
    /// It is no id of ours.
    pub fn parse(argument: &'static str, id: &str) -> Result<Self, ApiError> {
        Self::decode(id).ok_or_else(|| ApiError::BadInput {
            argument,
            message: format!("`{argument}` is {id:?}, which is no id of this server"),
        })
    }

    /// The error for an id of the wrong kind.
    #[must_use]
    pub fn refuse(self, argument: &'static str, expected: &str) -> ApiError {
        ApiError::BadInput {
            argument,
            message: format!(
                "`{argument}` must be the id of a {expected}; it is the id of a {}",
                self.type_name()
            ),
        }
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}
