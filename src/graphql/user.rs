//! Users.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use object_macro::object;
use uuid::Uuid;

use super::category::Category;
use super::context::{RequestContext, request};
use super::enums::{FactionKey, Karma, VoiceKey};
use super::errors::ApiError;
use super::fast_json::Direct;
use super::id::{GlobalId, opaque_id};
use super::inputs::search_text;
use super::pagination::{Connection, PageArguments};
use super::reading::Reading;
use super::reading_lists::{ListName, ReadingConnection, ReadingFilter, ReadingOrder};
use super::scalars::DateTime;
use super::statistics::{Analytics, UserStats, user_stats};
use super::tag::{Tag, TagKey, TagOrder};
use crate::cache::cache_tag::CacheTag;
use crate::db::categories::CategoryRow;
use crate::db::reading_writes::TagRow;
use crate::db::users::{UserRow, user_by_username};
use crate::domain::page::{FetchedRows, Total};
use crate::domain::reading;
use crate::domain::reading_list::{
    ReadingList, ReadingOrder as ReadingListOrder, ReadingOrderField,
};
use crate::domain::user::fold_username;
use crate::loaders::ReadingsPageOfUser;
use crate::services::readings::{self, DailyQuota};
use crate::services::tags;

/// Query fields that return users.
#[derive(Default)]
pub struct UserQuery;

#[Object]
impl UserQuery {
    /// The signed-in user; null without an access token.
    async fn viewer(&self, context: &Context<'_>) -> Option<Result<User, ApiError>> {
        let row = request(context).viewer_row().await.transpose()?;
        Some(row.map(User))
    }

    /// The user with this username, case-insensitive; null if it does not exist.
    async fn user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Username, 1 to 50 characters, case-insensitive.")] username: String,
    ) -> Option<Result<User, ApiError>> {
        let request = request(context);
        let session = request.session.for_field("Query.user");
        let username = fold_username(&username);
        let found = user_by_username(&session, &username).await;
        let user = found.as_ref().ok().and_then(|row| Some(CacheTag::User(row.as_ref()?.id)));
        request.cache_tags.record(user.into_iter().chain([CacheTag::Username(username)]));
        let row = found.map_err(ApiError::from).transpose()?;
        Some(row.map(|row| User(Arc::new(row))))
    }
}

/// A user.
#[derive(Clone)]
pub struct User(pub Arc<UserRow>);

impl User {
    /// True if the viewer may see fields that are restricted to the user and admins.
    async fn is_open_to_viewer(&self, context: &Context<'_>) -> Result<bool, ApiError> {
        let request = request(context);
        if request.viewer().is(self.0.id) {
            return Ok(true);
        }
        Ok(request.viewer_row().await?.is_some_and(|viewer| viewer.is_admin))
    }

    /// The request, if this user is its viewer.
    fn own<'a>(&self, context: &Context<'a>) -> Option<&'a RequestContext> {
        let request = request(context);
        request.viewer().is(self.0.id).then_some(request)
    }

    /// Rejects an order that would reveal private values of the user.
    fn check_order(
        &self,
        request: &RequestContext,
        order: ReadingListOrder,
    ) -> Result<(), ApiError> {
        if order.field == ReadingOrderField::Satisfaction && !request.viewer().is(self.0.id) {
            return Err(ApiError::BadInput {
                argument: "orderBy",
                message: "`orderBy` may be SATISFACTION for one's own readings only".to_owned(),
            });
        }
        Ok(())
    }

    async fn private<T>(
        &self,
        context: &Context<'_>,
        value: impl FnOnce(&UserRow) -> T,
    ) -> Option<Result<T, ApiError>> {
        match self.is_open_to_viewer(context).await {
            Ok(true) => Some(Ok(value(&self.0))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// A registered user. E-mail, roles, score and voice are null for everyone but the user and admins.
#[object]
impl User {
    /// Id of the user, for `node`.
    pub fn id(&self) -> GlobalId {
        GlobalId::User(self.0.id)
    }

    /// Unique name, in lower case, 1 to 50 characters.
    fn username(&self) -> &str {
        &self.0.username
    }

    /// Display name, 1 to 100 characters; null if none was chosen.
    fn display_name(&self) -> Option<&str> {
        self.0.display_name.as_deref()
    }

    /// Self-description, at most 500 characters; null if none was given.
    fn bio(&self) -> Option<&str> {
        self.0.bio.as_deref()
    }

    /// Faction of the user.
    fn faction(&self) -> FactionKey {
        self.0.faction.into()
    }

    /// Karma class of the user, derived from the karma score.
    fn karma(&self) -> Karma {
        reading::Karma::from_score(self.0.karma_score).into()
    }

    /// Time of registration.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Readings of the user, the newest first by default. The user sees all of them, archived ones
    /// only by `filter`; everyone else sees the public ones that are not archived.
    #[expect(clippy::too_many_arguments, reason = "they are the field's in the contract")]
    async fn readings(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Page size from the end of the list, 0 to 100 (default 20 with `before`)."
        )]
        last: Option<i32>,
        #[graphql(desc = "Return the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Return the readings that match (default: all that are not archived).")]
        filter: Option<ReadingFilter>,
        #[graphql(desc = "Order of the list (default: newest first).")] order_by: Option<
            ReadingOrder,
        >,
        #[graphql(
            desc = "Substring of the question or, for the owner, of the notes; case-insensitive, at most 100 characters. An empty text matches all."
        )]
        search: Option<String>,
    ) -> Result<Direct<ReadingConnection>, ApiError> {
        let request = request(context);
        let order = order_by.map(Into::into).unwrap_or_default();
        self.check_order(request, order)?;
        let name = ListName::of_user(order);
        let page = name.request(context, &PageArguments { first, after, last, before })?;
        let mut filter = filter.unwrap_or_default().into_domain()?;
        filter.search = search_text(search)?;
        let columns = Reading::columns_of_connection(&context.look_ahead());
        let key = ReadingsPageOfUser {
            user: self.0.id,
            list: Arc::new(ReadingList { filter, order }),
            request: page.clone(),
            columns,
        };
        let loaded = request.loaders.readings_page_by_user_id.load_one(key).await?;
        let page = loaded.unwrap_or_else(|| {
            page.page(FetchedRows {
                rows: Vec::new(),
                has_other_side: false,
                total: Some(Total::exact(0)),
            })
        });
        Ok(Direct(ReadingConnection::new(name, page)))
    }

    /// E-mail address. Null for everyone but the user and admins.
    async fn email(&self, context: &Context<'_>) -> Option<Result<String, ApiError>> {
        self.private(context, |row| row.email.clone()).await
    }

    /// True for admins. Null for everyone but the user and admins.
    async fn is_admin(&self, context: &Context<'_>) -> Option<Result<bool, ApiError>> {
        self.private(context, |row| row.is_admin).await
    }

    /// True for premium users: a larger daily limit and premium spreads. Null for everyone but the
    /// user and admins.
    async fn is_premium(&self, context: &Context<'_>) -> Option<Result<bool, ApiError>> {
        self.private(context, |row| row.is_premium).await
    }

    /// Karma score, 0 to 100. Null for everyone but the user and admins.
    async fn karma_score(&self, context: &Context<'_>) -> Option<Result<i16, ApiError>> {
        self.private(context, |row| row.karma_score).await
    }

    /// Default voice of new readings. Null for everyone but the user and admins.
    async fn preferred_voice(&self, context: &Context<'_>) -> Option<Result<VoiceKey, ApiError>> {
        self.private(context, |row| row.preferred_voice.into()).await
    }

    /// Statistics of the user's readings. Null for everyone but the user and admins.
    async fn stats(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Offset of the local time zone from UTC in minutes, -720 to 840; days begin at local midnight.",
            default = 0
        )]
        utc_offset_minutes: i32,
    ) -> Option<Result<UserStats, ApiError>> {
        match self.is_open_to_viewer(context).await {
            Ok(true) => Some(user_stats(request(context), self.0.id, utc_offset_minutes).await),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Charts of the user's readings. Null for everyone but the user and admins.
    async fn analytics(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Offset of the local time zone from UTC in minutes, -720 to 840; days begin at local midnight.",
            default = 0
        )]
        utc_offset_minutes: i32,
    ) -> Option<Result<Analytics, ApiError>> {
        let analytics = self.private(context, |row| Analytics::of(row.id, utc_offset_minutes));
        analytics.await.map(Result::flatten)
    }

    /// Daily limit of new readings. Null for everyone but the user.
    async fn reading_quota(&self, context: &Context<'_>) -> Option<Result<ReadingQuota, ApiError>> {
        let request = self.own(context)?;
        let used = request.loaders.usage_today_by_user_id.load_one(self.0.id).await;
        let quota = |used: Option<i32>| {
            let quota = readings::quota(&request.services, &self.0, used.unwrap_or_default());
            ReadingQuota::of(self.0.id, quota)
        };
        Some(used.map(quota).map_err(ApiError::from))
    }

    /// Tags of the user's readings. Null for everyone but the user.
    async fn tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Substring of the name, at most 100 characters.")] search: Option<String>,
        #[graphql(desc = "Order of the list.", default_with = "TagOrder::MostUsed")]
        order_by: TagOrder,
    ) -> Option<Result<Direct<Connection<Tag>>, ApiError>> {
        self.own(context)?;
        let arguments = PageArguments { first, after, last: None, before: None };
        Some(tags_page(context, self.0.id, &arguments, search, order_by).await.map(Direct))
    }

    /// Categories of the user, by name. At most 100. Null for everyone but the user.
    async fn categories(&self, context: &Context<'_>) -> Option<Result<Vec<Category>, ApiError>> {
        let request = self.own(context)?;
        let rows = request.loaders.categories_by_user_id.load_one(self.0.id).await;
        let categories = |rows: Option<Arc<[Arc<CategoryRow>]>>| {
            rows.iter().flat_map(|rows| rows.iter()).map(Arc::clone).map(Category).collect()
        };
        Some(rows.map(categories).map_err(ApiError::from))
    }
}

async fn tags_page(
    context: &Context<'_>,
    owner: Uuid,
    arguments: &PageArguments,
    search: Option<String>,
    order: TagOrder,
) -> Result<Connection<Tag>, ApiError> {
    let request = request(context);
    let page = arguments.request::<TagKey>(context, &request.limits, order.list())?;
    let all = request.loaders.tags_by_user_id.load_one(owner).await?.unwrap_or_default();
    let search = search_text(search)?;
    let listed = tags::list(&all, search.as_deref(), order.into());
    let page = page.slice_by_key(&listed, |row| TagKey::of(order, row));
    let key = |row: &TagRow| TagKey::of(order, row);
    Ok(Connection::new(order.list(), page, key, |row| Tag { owner, row }))
}

/// Limit of new readings on a UTC day.
#[derive(SimpleObject)]
pub struct ReadingQuota {
    /// Id for client caches, not that of the user. `node` does not accept it.
    id: ID,
    /// Maximum number of readings on a UTC day.
    limit: i32,
    /// Number of readings made today, deleted ones included.
    used: i32,
    /// Number of readings left today.
    remaining: i32,
    /// Start of the next UTC day.
    resets_at: DateTime,
}

impl ReadingQuota {
    fn of(user: Uuid, DailyQuota { limit, used, resets_at }: DailyQuota) -> Self {
        let id = opaque_id("ReadingQuota", &user.simple().to_string());
        let remaining = (limit - used).max(0);
        Self { id, limit, used, remaining, resets_at: DateTime(resets_at) }
    }
}
