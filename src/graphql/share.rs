//! Share links and shared readings. A shared reading is an object of its own, so that no cache
//! mixes it with the owner's reading.

use async_graphql::{Context, Enum, ID, Object};
use object_macro::object;

use super::card::Card;
use super::context::{RequestContext, request};
use super::enums::{Karma, Locale, Orientation, VoiceKey};
use super::errors::{ApiError, without_user_errors};
use super::id::GlobalId;
use super::list::List;
use super::reading::{DrawnCard, missing, not_loaded};
use super::scalars::{DateTime, Url};
use super::spread::Spread;
use crate::db::query::columns::DrawnCardColumns;
use crate::db::readings::{ReadingRow, ReadingTexts};
use crate::db::shares::{ShareRow, SharedReadingRow};
use crate::loaders::DrawnCardsOfReading;
use crate::services::shares::{self, ShareAccess};

/// Query fields that return shared readings.
#[derive(Default)]
pub struct ShareQuery;

#[Object]
impl ShareQuery {
    /// The shared reading of a link; null if there is no such link. A link is deleted with its reading, with
    /// its owner's account, and some time after it was closed.
    async fn shared_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Token of the link: the last part of its address.", secret)] token: String,
        #[graphql(desc = "Grant from `unlockSharedReading`, for a link with a password.", secret)]
        grant: Option<String>,
    ) -> Option<Result<SharedReading, ApiError>> {
        let request = request(context);
        let session = request.session.for_field("Query.sharedReading");
        let opened = shares::open(&session, &request.services, &token, grant.as_deref()).await;
        without_user_errors(opened).transpose().map(|opened| opened.map(SharedReading))
    }
}

/// Status of a share link.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareStatus {
    /// Open.
    Open,
    /// Protected: unlock it by `unlockSharedReading`.
    PasswordRequired,
    /// Expired.
    Expired,
    /// Revoked by its owner.
    Revoked,
}

/// A reading shared by a link.
pub struct SharedReading(pub ShareAccess);

impl SharedReading {
    fn open(&self) -> Option<&SharedReadingRow> {
        match &self.0 {
            ShareAccess::Open(row) => Some(row),
            ShareAccess::PasswordRequired | ShareAccess::Expired | ShareAccess::Revoked => None,
        }
    }
}

/// A reading shared by a link. All fields but `status` are null unless the link is open.
#[Object]
impl SharedReading {
    /// Status of the link.
    async fn status(&self) -> ShareStatus {
        match self.0 {
            ShareAccess::Open(_) => ShareStatus::Open,
            ShareAccess::PasswordRequired => ShareStatus::PasswordRequired,
            ShareAccess::Expired => ShareStatus::Expired,
            ShareAccess::Revoked => ShareStatus::Revoked,
        }
    }

    /// Title given by its owner, at most 100 characters; null if none was given.
    async fn title(&self) -> Option<&str> {
        self.open()?.share.title.as_deref()
    }

    /// Description given by its owner, at most 300 characters; null if none was given.
    async fn description(&self) -> Option<&str> {
        self.open()?.share.description.as_deref()
    }

    /// Content of the reading.
    async fn content(&self) -> Option<SharedReadingContent<'_>> {
        self.open().map(SharedReadingContent)
    }
}

/// The part of a reading that is visible through its share link.
struct SharedReadingContent<'a>(&'a SharedReadingRow);

impl SharedReadingContent<'_> {
    fn reading(&self) -> &ReadingRow {
        &self.0.reading
    }

    fn texts(&self) -> Result<&ReadingTexts, ApiError> {
        let texts = self.reading().texts.as_ref();
        texts.ok_or_else(|| not_loaded("the texts of a reading"))
    }
}

/// The part of a reading that is visible through its share link.
#[Object]
impl SharedReadingContent<'_> {
    /// Question, 1 to 500 characters.
    async fn question(&self) -> &str {
        &self.reading().question
    }

    /// Spread of the reading, even if it is no longer active.
    async fn spread(&self, context: &Context<'_>) -> Result<Spread, ApiError> {
        let id = self.reading().spread_template_id;
        let found = request(context).catalogue.spread(id).map(Spread::of);
        found.ok_or_else(|| missing(format!("spread {id}")))
    }

    /// Voice of the interpretation.
    async fn character_voice(&self) -> VoiceKey {
        self.reading().character_voice.into()
    }

    /// Tone of the reading.
    async fn karma_context(&self) -> Karma {
        self.reading().karma_context.into()
    }

    /// Name of the owner: the display name, otherwise the username.
    async fn author_name(&self) -> &str {
        &self.0.author
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        DateTime(self.reading().created_at)
    }

    /// Interpretation of the whole reading, in the reading's language.
    async fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.interpretation)
    }

    /// Summary in one line, in the reading's language.
    async fn summary(&self) -> Result<&str, ApiError> {
        let summary = self.reading().summary.as_deref();
        summary.ok_or_else(|| not_loaded("the summary of a reading"))
    }

    /// Language of the interpretation and summary.
    async fn locale(&self) -> Locale {
        self.reading().locale.into()
    }

    /// Drawn cards in the order of their positions. At most 15.
    async fn cards(&self, context: &Context<'_>) -> Result<List<SharedCard>, ApiError> {
        let of = DrawnCardsOfReading {
            reading: self.reading().id,
            columns: DrawnCardColumns::WithTexts,
        };
        Ok(DrawnCard::all(context, "SharedReadingContent.cards", of)
            .await?
            .into_iter()
            .map(SharedCard)
            .collect())
    }
}

/// A card drawn for a position of a shared reading, without an id that leads to the reading.
struct SharedCard(DrawnCard);

/// A card drawn for a position of a shared reading.
#[object]
impl SharedCard {
    /// Number of the position, from 1.
    fn position(&self) -> i16 {
        self.0.row().position_number
    }

    /// Name of the position at the time of the draw.
    fn position_name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        self.0.position_name_in(locale)
    }

    /// Meaning of the position at the time of the draw.
    fn position_meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        self.0.position_meaning_in(locale)
    }

    /// Orientation of the card.
    fn orientation(&self) -> Orientation {
        self.0.row().orientation.into()
    }

    /// The card.
    fn card(&self, request: &RequestContext) -> Result<Card, ApiError> {
        self.0.card_of(request).map(Card::of)
    }

    /// Meaning of the card in its orientation.
    fn meaning<'a>(
        &'a self,
        request: &'a RequestContext,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&'a str, ApiError> {
        self.0.meaning_in(request, locale)
    }

    /// Interpretation of the card in this position, in the reading's language.
    fn interpretation(&self) -> Result<&str, ApiError> {
        self.0.own_interpretation()
    }
}

/// A secret link to one reading, visible to its owner alone.
#[derive(Clone)]
pub struct ShareLink(pub ShareRow);

/// A secret link to one reading, visible to its owner alone.
#[Object]
impl ShareLink {
    /// Id of the link, for `node` and `revokeShare`.
    pub async fn id(&self) -> ID {
        GlobalId::ShareLink(self.0.id).encode()
    }

    /// Address of the shared reading's page.
    async fn url(&self, context: &Context<'_>) -> Url {
        Url(shares::share_url(&request(context).services, &self.0))
    }

    /// Title of the page, at most 100 characters; null if none was given.
    async fn title(&self) -> Option<&str> {
        self.0.title.as_deref()
    }

    /// Description of the page, at most 300 characters; null if none was given.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// True if a password is required.
    async fn has_password(&self) -> bool {
        self.0.password_hash.is_some()
    }

    /// Time of expiry; null if it does not expire.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// Number of accesses, updated every few seconds.
    async fn access_count(&self) -> i64 {
        self.0.access_count
    }

    /// Time of the last access; null if it was never opened.
    async fn last_accessed_at(&self) -> Option<DateTime> {
        self.0.last_access_at.map(DateTime)
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}
