//! Global ids: opaque to clients, with the type of the object inside, so that an error can name the type
//! of a wrong id.

use std::borrow::Cow;
use std::io::Write as _;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, ID, OutputType, Positioned, ServerResult, Value};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::errors::ApiError;
use crate::config::limits::QUOTED_CHARACTERS;
use crate::domain::card::Suit;
use crate::domain::faction::FactionKey;
use crate::domain::truncated::quoted;
use crate::domain::voice::VoiceKey;

/// Maximum bytes of a decoded id: the name of its type and its key. Part of the format.
const PLAIN_BYTES_MAXIMUM: usize = 54;
/// Maximum bytes of an encoded id.
const ENCODED_BYTES_MAXIMUM: usize = PLAIN_BYTES_MAXIMUM.div_ceil(3) * 4;

/// Id of any object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobalId {
    /// A card.
    Card(Uuid),
    /// A category of the viewer.
    Category(Uuid),
    /// A card drawn in a reading, by its position.
    DrawnCard(Uuid, i16),
    /// A faction.
    Faction(FactionKey),
    /// A reading.
    Reading(Uuid),
    /// A share link of the viewer.
    ShareLink(Uuid),
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

/// `ID` in the schema.
impl OutputType for GlobalId {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        Ok(Value::String(self.encode().0))
    }
}

impl From<GlobalId> for ID {
    fn from(id: GlobalId) -> Self {
        id.encode()
    }
}

impl GlobalId {
    /// Name of the object's type.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Card(_) => "Card",
            Self::Category(_) => "Category",
            Self::DrawnCard(..) => "DrawnCard",
            Self::Faction(_) => "Faction",
            Self::Reading(_) => "Reading",
            Self::ShareLink(_) => "ShareLink",
            Self::Spread(_) => "Spread",
            Self::SpreadPosition(..) => "SpreadPosition",
            Self::SuitInfo(_) => "SuitInfo",
            Self::User(_) => "User",
            Self::Voice(_) => "Voice",
        }
    }

    /// The id for clients.
    #[must_use]
    pub fn encode(self) -> ID {
        let mut text = Vec::with_capacity(ENCODED_BYTES_MAXIMUM);
        self.encode_into(&mut text);
        ID(String::from_utf8_lossy(&text).into_owned())
    }

    /// Appends the id for clients: letters, digits, `-` and `_`. A page has hundreds of ids, so
    /// this does not allocate.
    pub fn encode_into(self, to: &mut Vec<u8>) {
        let mut plain = [0; PLAIN_BYTES_MAXIMUM];
        let mut room = &mut plain[..];
        let kind = self.type_name();
        // Sufficient for the longest id; a test measures it.
        let _ = match self {
            Self::Card(id)
            | Self::Category(id)
            | Self::Reading(id)
            | Self::ShareLink(id)
            | Self::Spread(id)
            | Self::User(id) => write!(room, "{kind}:{}", id.simple()),
            Self::DrawnCard(id, number) | Self::SpreadPosition(id, number) => {
                write!(room, "{kind}:{}:{number}", id.simple())
            }
            Self::Faction(key) => write!(room, "{kind}:{key}"),
            Self::SuitInfo(suit) => write!(room, "{kind}:{suit}"),
            Self::Voice(key) => write!(room, "{kind}:{key}"),
        };
        let length = PLAIN_BYTES_MAXIMUM - room.len();
        let start = to.len();
        to.resize(start + ENCODED_BYTES_MAXIMUM, 0);
        let encoded = URL_SAFE_NO_PAD.encode_slice(&plain[..length], &mut to[start..]);
        to.truncate(start + encoded.unwrap_or_default());
    }

    /// Parses an id of a client; `None` if this server did not issue it.
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
            "ShareLink" => Self::ShareLink(uuid(key)?),
            "Spread" => Self::Spread(uuid(key)?),
            "SpreadPosition" => numbered().map(|(id, number)| Self::SpreadPosition(id, number))?,
            "SuitInfo" => Self::SuitInfo(key.parse().ok()?),
            "User" => Self::User(uuid(key)?),
            "Voice" => Self::Voice(key.parse().ok()?),
            _ => return None,
        };
        // Each object has one id: other spellings of the same key are rejected.
        (read.encode().as_str() == id).then_some(read)
    }

    /// Parses an id argument.
    ///
    /// # Errors
    ///
    /// [`ApiError::BadInput`] if this server did not issue it.
    pub fn parse(argument: &'static str, id: &str) -> Result<Self, ApiError> {
        Self::decode(id).ok_or_else(|| ApiError::BadInput {
            argument,
            message: if let Some(kind) = opaque_kind(id) {
                format!("`{argument}` is the id of a {kind}, which is for client caches only")
            } else {
                let id = quoted(id, QUOTED_CHARACTERS);
                format!("`{argument}` is {id}, which is no id of this server")
            },
        })
    }

    /// Error of an id of the wrong type.
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

/// Types whose ids are for client caches only.
const OPAQUE_KINDS: [&str; 8] = [
    "AdminUser",
    "AuditEntry",
    "Analytics",
    "PublicStats",
    "ReadingQuota",
    "SlowQuery",
    "Tag",
    "UserStats",
];

fn opaque_kind(id: &str) -> Option<&'static str> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let (kind, _) = text.split_once(':')?;
    OPAQUE_KINDS.into_iter().find(|opaque| *opaque == kind)
}

/// Id for client caches of an object that `node` does not return: its type and what it depends on.
#[must_use]
pub(super) fn opaque_id(kind: &str, key: &str) -> ID {
    ID(URL_SAFE_NO_PAD.encode(format!("{kind}:{key}")))
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ids_have_room() {
        let id = Uuid::max();
        let longest = [
            GlobalId::SpreadPosition(id, i16::MIN),
            GlobalId::DrawnCard(id, i16::MIN),
            GlobalId::Category(id),
        ];
        let voices = VoiceKey::ALL.iter().map(|key| GlobalId::Voice(*key));
        let factions = FactionKey::ALL.iter().map(|key| GlobalId::Faction(*key));
        let suits = Suit::ALL.iter().map(|suit| GlobalId::SuitInfo(*suit));
        for id in longest.into_iter().chain(voices).chain(factions).chain(suits) {
            assert_eq!(GlobalId::decode(&id.encode()), Some(id), "{id:?}");
        }
    }
}
