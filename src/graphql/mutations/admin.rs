//! Mutations for admins.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::{card_key, spread_key, user_key};
use crate::db::spreads::PositionChange;
use crate::graphql::admin::AdminUser;
use crate::graphql::card::Card;
use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::enums::{Difficulty, FactionKey, Locale};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::scalars::Url;
use crate::graphql::spread::Spread;
use crate::graphql::user_error::UserError;
use crate::services::admin::{self, CardUpdate, SpreadUpdate};

/// Mutations for admins.
#[derive(Default)]
pub struct AdminMutation;

#[Object]
impl AdminMutation {
    /// Change a card and its texts in one language. For admins; in the audit log. Absent
    /// fields are unchanged; null clears a field where that is allowed. Interpretations by the
    /// voices are unchanged.
    async fn admin_update_card(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Fields to change.")] input: AdminUpdateCardInput,
    ) -> Option<Result<AdminUpdateCardPayload, ApiError>> {
        Some(update_card(begin_mutation(context), input).await)
    }

    /// Change a spread and its texts in one language. For admins; in the audit log.
    /// Absent fields are unchanged; null clears a field where that is allowed. Existing readings
    /// retain the names of their positions.
    async fn admin_update_spread(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Fields to change.")] input: AdminUpdateSpreadInput,
    ) -> Option<Result<AdminUpdateSpreadPayload, ApiError>> {
        Some(update_spread(begin_mutation(context), input).await)
    }

    /// Remove the cached values of this server whose keys match a pattern. For admins; in the
    /// audit log. No data is lost: values are computed again.
    async fn admin_invalidate_cache(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Pattern of keys, 1 to 200 characters: `*` stands for one part of a key and, at the end, for all remaining parts, as in `analytics:*`, `spreads:list:*`, `*`."
        )]
        pattern: String,
    ) -> Option<Result<AdminInvalidateCachePayload, ApiError>> {
        Some(invalidate_cache(begin_mutation(context), &pattern).await)
    }

    /// Lock another user for a day and end their sessions. For admins; in the audit log.
    async fn admin_lock_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "User to lock.")] input: AdminLockUserInput,
    ) -> Option<Result<AdminLockUserPayload, ApiError>> {
        Some(lock_user(begin_mutation(context), &input.user_id).await)
    }

    /// Unlock a locked user. For admins; in the audit log.
    async fn admin_unlock_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "User to unlock.")] input: AdminUnlockUserInput,
    ) -> Option<Result<AdminUnlockUserPayload, ApiError>> {
        Some(unlock_user(begin_mutation(context), &input.user_id).await)
    }
}

/// Result of adminInvalidateCache.
#[derive(SimpleObject, Default)]
struct AdminInvalidateCachePayload {
    /// Number of removed values.
    removed_entries: usize,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn invalidate_cache(
    request: &RequestContext,
    pattern: &str,
) -> Result<AdminInvalidateCachePayload, ApiError> {
    let client = request.require_admin_client().await?;
    let done = admin::invalidate_cache(&request.session, &request.services, client, pattern).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminInvalidateCachePayload {
            removed_entries: 0,
            user_errors: user_errors.into_iter().map(UserError::of_argument).collect(),
        },
        Ok(removed_entries) => {
            AdminInvalidateCachePayload { removed_entries, user_errors: Vec::new() }
        }
    })
}

/// Input of adminUpdateCard.
#[derive(InputObject)]
struct AdminUpdateCardInput {
    /// Id of the card.
    id: ID,
    /// Language of the texts.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// Name, 1 to 100 characters.
    name: MaybeUndefined<String>,
    /// Meaning of the upright card, 1 to 2000 characters.
    upright_meaning: MaybeUndefined<String>,
    /// Meaning of the reversed card, 1 to 2000 characters.
    reversed_meaning: MaybeUndefined<String>,
    /// Keywords, 1 to 20 of 1 to 50 characters each, the most important first.
    keywords: MaybeUndefined<Vec<String>>,
    /// Radiation level, 0 to 1.
    radiation_level: MaybeUndefined<f64>,
    /// Threat level, 1 to 10.
    threat_level: MaybeUndefined<i32>,
    /// Number of the vault, 1 to 122.
    vault_number: MaybeUndefined<i32>,
    /// Address of a picture, at most 2000 characters.
    image_url: MaybeUndefined<Url>,
}

/// Result of adminUpdateCard.
#[derive(SimpleObject, Default)]
struct AdminUpdateCardPayload {
    /// The updated card.
    card: Option<Card>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn update_card(
    request: &RequestContext,
    input: AdminUpdateCardInput,
) -> Result<AdminUpdateCardPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let (id, locale) = (card_key("id", &input.id)?, input.locale.into());
    let image_url: Option<Option<Url>> = input.image_url.into();
    let update = CardUpdate {
        name: input.name.into(),
        upright_meaning: input.upright_meaning.into(),
        reversed_meaning: input.reversed_meaning.into(),
        keywords: input.keywords.into(),
        radiation_level: input.radiation_level.into(),
        threat_level: input.threat_level.into(),
        vault_number: input.vault_number.into(),
        image_url: image_url.map(|url| url.map(|url| url.0)),
    };
    let (session, services) = (&request.session, &request.services);
    let done = admin::update_card(session, services, client, id, locale, update).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminUpdateCardPayload { card: None, user_errors },
        Ok(card) => AdminUpdateCardPayload { card: Some(Card(card)), user_errors: Vec::new() },
    })
}

/// A position of a spread.
#[derive(InputObject)]
struct SpreadPositionInput {
    /// Number, from 1 without gaps.
    number: i32,
    /// Name, 1 to 100 characters.
    name: String,
    /// Meaning, 1 to 500 characters.
    meaning: String,
    /// Horizontal place, 0 (left) to 1 (right).
    x: Option<f64>,
    /// Vertical place, 0 (top) to 1 (bottom).
    y: Option<f64>,
    /// Rotation of the card in degrees, clockwise, -360 to 360.
    rotation: Option<f64>,
}

/// Input of adminUpdateSpread.
#[derive(InputObject)]
struct AdminUpdateSpreadInput {
    /// Id of the spread.
    id: ID,
    /// Language of the texts.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// Display name, 1 to 150 characters.
    display_name: MaybeUndefined<String>,
    /// Description, 10 to 1000 characters.
    description: MaybeUndefined<String>,
    /// Difficulty.
    difficulty: MaybeUndefined<Difficulty>,
    /// Faction that favours the spread.
    faction: MaybeUndefined<FactionKey>,
    /// Guide to reading the cards together, at most 2000 characters.
    interpretation_guide: MaybeUndefined<String>,
    /// True if new readings may use it.
    is_active: MaybeUndefined<bool>,
    /// True if it is for premium users only.
    is_premium: MaybeUndefined<bool>,
    /// All positions in order, 1 to 15, with their layout. They replace the existing ones, and
    /// their number is the number of cards.
    positions: MaybeUndefined<Vec<SpreadPositionInput>>,
}

/// Result of adminUpdateSpread.
#[derive(SimpleObject, Default)]
struct AdminUpdateSpreadPayload {
    /// The updated spread.
    spread: Option<Spread>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn update_spread(
    request: &RequestContext,
    input: AdminUpdateSpreadInput,
) -> Result<AdminUpdateSpreadPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let (id, locale) = (spread_key("id", &input.id)?, input.locale.into());
    let difficulty: Option<Option<Difficulty>> = input.difficulty.into();
    let faction: Option<Option<FactionKey>> = input.faction.into();
    let positions: Option<Option<Vec<SpreadPositionInput>>> = input.positions.into();
    let update = SpreadUpdate {
        display_name: input.display_name.into(),
        description: input.description.into(),
        interpretation_guide: input.interpretation_guide.into(),
        difficulty: difficulty.map(|difficulty| difficulty.map(Into::into)),
        faction: faction.map(|faction| faction.map(Into::into)),
        is_active: input.is_active.into(),
        is_premium: input.is_premium.into(),
        positions: positions
            .map(|positions| positions.map(|all| all.into_iter().map(position).collect())),
    };
    let (session, services) = (&request.session, &request.services);
    let done = admin::update_spread(session, services, client, id, locale, update).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminUpdateSpreadPayload { spread: None, user_errors },
        Ok(spread) => {
            AdminUpdateSpreadPayload { spread: Some(Spread::of(&spread)), user_errors: Vec::new() }
        }
    })
}

fn position(input: SpreadPositionInput) -> PositionChange {
    let SpreadPositionInput { number, name, meaning, x, y, rotation } = input;
    // A number that does not fit is none that is expected.
    let number = i16::try_from(number).unwrap_or_default();
    PositionChange { number, x, y, rotation, name, meaning }
}

/// Input of adminLockUser.
#[derive(InputObject)]
struct AdminLockUserInput {
    /// Id of the user.
    user_id: ID,
}

/// Result of adminLockUser.
#[derive(SimpleObject, Default)]
struct AdminLockUserPayload {
    /// The updated user.
    admin_user: Option<AdminUser>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of adminUnlockUser.
#[derive(InputObject)]
struct AdminUnlockUserInput {
    /// Id of the user.
    user_id: ID,
}

/// Result of adminUnlockUser.
#[derive(SimpleObject, Default)]
struct AdminUnlockUserPayload {
    /// The updated user.
    admin_user: Option<AdminUser>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn lock_user(request: &RequestContext, user: &ID) -> Result<AdminLockUserPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let user = user_key("userId", user)?;
    let done = admin::lock_user(&request.session, &request.services, client, user).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminLockUserPayload { admin_user: None, user_errors },
        Ok(row) => {
            AdminLockUserPayload { admin_user: Some(AdminUser(row)), user_errors: Vec::new() }
        }
    })
}

async fn unlock_user(
    request: &RequestContext,
    user: &ID,
) -> Result<AdminUnlockUserPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let user = user_key("userId", user)?;
    let done = admin::unlock_user(&request.session, &request.services, client, user).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminUnlockUserPayload { admin_user: None, user_errors },
        Ok(row) => {
            AdminUnlockUserPayload { admin_user: Some(AdminUser(row)), user_errors: Vec::new() }
        }
    })
}
