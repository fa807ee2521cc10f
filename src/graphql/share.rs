//! Share links, and what they lead to. A shared reading is an object of its own, so that no cache
//! mixes it with the owner's reading.

use async_graphql::{Context, Enum, ID, Object};

use super::card::Card;
use super::context::request;
use super::enums::{Karma, Locale, Orientation, VoiceKey};
use super::errors::{ApiError, without_user_errors};
use super::id::GlobalId;
use super::reading::{DrawnCard, missing};
use super::scalars::{DateTime, Url};
use super::spread::Spread;
use crate::db::DbError;
use crate::db::query::columns::Columns;
use crate::db::readings::{ReadingRow, ReadingTexts};
use crate::db::shares::{ShareRow, SharedReadingRow};
use crate::loaders::DrawnCardsOfReading;
use crate::services::shares::{self, ShareAccess};

/// Fields of the query type that answer shared readings.
#[derive(Default)]
pub struct ShareQuery;

#[Object]
impl ShareQuery {
    /// What a share link leads to; null if there never was such a link.
    async fn shared_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The last part of the link's address.", secret)] token: String,
        #[graphql(
            desc = "What `unlockSharedReading` gave, where the link has a password.",
            secret
        )]
        grant: Option<String>,
    ) -> Option<Result<SharedReading, ApiError>> {
        let request = request(context);
        let session = request.session.for_field("Query.sharedReading");
        let opened = shares::open(&session, &request.services, &token, grant.as_deref()).await;
        without_user_errors(opened).transpose().map(|opened| opened.map(SharedReading))
    }
}

/// What has become of a share link.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareStatus {
    /// It can be read.
    Open,
    /// It can be read by who knows its password.
    PasswordRequired,
    /// It is over.
    Expired,
    /// Its owner revoked it.
    Revoked,
}

/// What a share link leads to.
pub struct SharedReading(pub ShareAccess);

impl SharedReading {
    fn open(&self) -> Option<&SharedReadingRow> {
        match &self.0 {
            ShareAccess::Open(row) => Some(row),
            ShareAccess::PasswordRequired | ShareAccess::Expired | ShareAccess::Revoked => None,
        }
    }
}

/// What a share link leads to. All but the status is null unless it is open.
#[Object]
impl SharedReading {
    /// What has become of the link.
    async fn status(&self) -> ShareStatus {
        match self.0 {
            ShareAccess::Open(_) => ShareStatus::Open,
            ShareAccess::PasswordRequired => ShareStatus::PasswordRequired,
            ShareAccess::Expired => ShareStatus::Expired,
            ShareAccess::Revoked => ShareStatus::Revoked,
        }
    }

    /// What its owner called it, at most 100 characters; null if nothing.
    async fn title(&self) -> Option<&str> {
        self.open()?.share.title.as_deref()
    }

    /// What its owner said of it, at most 300 characters; null if nothing.
    async fn description(&self) -> Option<&str> {
        self.open()?.share.description.as_deref()
    }

    /// The reading.
    async fn content(&self) -> Option<SharedReadingContent<'_>> {
        self.open().map(SharedReadingContent)
    }
}

/// A reading as whoever has its link sees it.
struct SharedReadingContent<'a>(&'a SharedReadingRow);

impl SharedReadingContent<'_> {
    fn reading(&self) -> &ReadingRow {
        &self.0.reading
    }

    fn texts(&self) -> Result<&ReadingTexts, ApiError> {
        let texts = self.reading().texts.as_ref();
        texts.ok_or_else(|| DbError::NotLoaded { what: "the texts of a reading" }.into())
    }
}

/// A reading as whoever has its link sees it.
#[Object]
impl SharedReadingContent<'_> {
    /// What was asked.
    async fn question(&self) -> &str {
        &self.reading().question
    }

    /// The spread that the cards were drawn for.
    async fn spread(&self, context: &Context<'_>) -> Result<Spread, ApiError> {
        let id = self.reading().spread_template_id;
        let found = request(context).catalogue.spread(id).map(Spread::of);
        found.ok_or_else(|| missing(format!("spread {id}")))
    }

    /// Which voice speaks.
    async fn character_voice(&self) -> VoiceKey {
        self.reading().character_voice.into()
    }

    /// The tone of the reading.
    async fn karma_context(&self) -> Karma {
        self.reading().karma_context.into()
    }

    /// What its owner is called: the display name, else the username.
    async fn author_name(&self) -> &str {
        &self.0.author
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.reading().created_at)
    }

    /// What the voice says of the reading as a whole.
    async fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.interpretation)
    }

    /// The reading in one line.
    async fn summary(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.summary)
    }

    /// The language that it was composed in.
    async fn locale(&self) -> Locale {
        self.reading().locale.into()
    }

    /// The cards in the order of their positions. At most 15.
    async fn cards(&self, context: &Context<'_>) -> Result<Vec<SharedCard>, ApiError> {
        let of = DrawnCardsOfReading { reading: self.reading().id, columns: Columns::WithTexts };
        Ok(DrawnCard::all(context, "SharedReadingContent.cards", of)
            .await?
            .into_iter()
            .map(SharedCard)
            .collect())
    }
}

/// A card in its place in a shared reading: a drawn card without an id that leads to its reading.
struct SharedCard(DrawnCard);

/// A card in its place in a shared reading.
#[Object]
impl SharedCard {
    /// The number of its position, from 1.
    async fn position(&self) -> i16 {
        self.0.row().position_number
    }

    /// What the position was called when the card was drawn.
    async fn position_name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        Ok(self.0.texts()?.position_name.get(locale.into()))
    }

    /// What a card in the position spoke of when it was drawn.
    async fn position_meaning(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        Ok(self.0.texts()?.position_meaning.get(locale.into()))
    }

    /// How it lies.
    async fn orientation(&self) -> Orientation {
        self.0.row().orientation.into()
    }

    /// Which card.
    async fn card(&self, context: &Context<'_>) -> Result<Card, ApiError> {
        self.0.card(context).map(Card::of)
    }

    /// What the card means as it lies.
    async fn meaning(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<String, ApiError> {
        self.0.meaning_in(context, locale).map(str::to_owned)
    }

    /// What the reading's voice says of the card in this place, in the reading's language.
    async fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.0.texts()?.interpretation)
    }
}

/// A secret link to one reading of the viewer's.
#[derive(Clone)]
pub struct ShareLink(pub ShareRow);

/// A secret link to one reading of the viewer's.
#[Object]
impl ShareLink {
    /// The link's id, for `node` and `revokeShare`.
    pub async fn id(&self) -> ID {
        GlobalId::ShareLink(self.0.id).encode()
    }

    /// The address to give to others.
    async fn url(&self, context: &Context<'_>) -> Url {
        Url(shares::share_url(&request(context).services, &self.0))
    }

    /// What its page is called, at most 100 characters; null if nothing was said.
    async fn title(&self) -> Option<&str> {
        self.0.title.as_deref()
    }

    /// What its page says, at most 300 characters; null if nothing was said.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Whether a password has to be given.
    async fn has_password(&self) -> bool {
        self.0.password_hash.is_some()
    }

    /// When it is over; null if never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// How often it was opened, more or less: accesses of the last seconds may be missing.
    async fn access_count(&self) -> i64 {
        self.0.access_count
    }

    /// When it was last opened; null if never.
    async fn last_accessed_at(&self) -> Option<DateTime> {
        self.0.last_access_at.map(DateTime)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}
