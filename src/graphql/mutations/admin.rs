//! What operators change.

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

/// Fields of the mutation type for operators.
#[derive(Default)]
pub struct AdminMutation;

#[Object]
impl AdminMutation {
    /// Changes a card, and its texts in one language. For admins; it is in the log who did it. What is
    /// absent stays; null clears, where that is possible. What the voices say of the card stays as it
    /// was written.
    async fn admin_update_card(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to change.")] input: AdminUpdateCardInput,
    ) -> Option<Result<AdminUpdateCardPayload, ApiError>> {
        Some(update_card(begin_mutation(context), input).await)
    }

    /// Changes a spread, and its texts in one language. For admins; it is in the log who did it. What
    /// is absent stays; null clears, where that is possible. Readings that used the spread keep what
    /// its positions were called.
    async fn admin_update_spread(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to change.")] input: AdminUpdateSpreadInput,
    ) -> Option<Result<AdminUpdateSpreadPayload, ApiError>> {
        Some(update_spread(begin_mutation(context), input).await)
    }

    /// Drops what the cache of this server keeps under keys of that pattern. For admins; it is in the log
    /// who did it. It loses time and no data: what is dropped is computed anew.
    async fn admin_invalidate_cache(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Keys, with `*` for any whole part, and as the last part for all that follow: `analytics:*`, `spreads:list:*`, `*`. 1 to 200 characters."
        )]
        pattern: String,
    ) -> Option<Result<AdminInvalidateCachePayload, ApiError>> {
        Some(invalidate_cache(begin_mutation(context), &pattern).await)
    }

    /// Locks another user for a day and ends their sessions. For admins; it is in the log who did it.
    async fn admin_lock_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whom.")] input: AdminLockUserInput,
    ) -> Option<Result<AdminLockUserPayload, ApiError>> {
        let request = begin_mutation(context);
        let locked = set_lock(request, &input.user_id, true).await;
        Some(
            locked
                .map(|(admin_user, user_errors)| AdminLockUserPayload { admin_user, user_errors }),
        )
    }

    /// Opens a locked account. For admins; it is in the log who did it.
    async fn admin_unlock_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whom.")] input: AdminUnlockUserInput,
    ) -> Option<Result<AdminUnlockUserPayload, ApiError>> {
        let request = begin_mutation(context);
        let unlocked = set_lock(request, &input.user_id, false).await;
        Some(
            unlocked.map(|(admin_user, user_errors)| AdminUnlockUserPayload {
                admin_user,
                user_errors,
            }),
        )
    }
}

/// What became of a part of the cache.
#[derive(SimpleObject, Default)]
struct AdminInvalidateCachePayload {
    /// How many values were dropped.
    removed_entries: usize,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn invalidate_cache(
    request: &RequestContext,
    pattern: &str,
) -> Result<AdminInvalidateCachePayload, ApiError> {
    let admin = request.require_admin().await?;
    let done = admin::invalidate_cache(&request.session, &request.services, admin, pattern).await;
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

/// What to change of a card.
#[derive(InputObject)]
struct AdminUpdateCardInput {
    /// Which card.
    id: ID,
    /// The language of the texts.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// 1 to 100 characters.
    name: MaybeUndefined<String>,
    /// 1 to 2000 characters.
    upright_meaning: MaybeUndefined<String>,
    /// 1 to 2000 characters.
    reversed_meaning: MaybeUndefined<String>,
    /// 1 to 20 of 1 to 50 characters, the most important first.
    keywords: MaybeUndefined<Vec<String>>,
    /// 0 to 1.
    radiation_level: MaybeUndefined<f64>,
    /// 1 to 10.
    threat_level: MaybeUndefined<i32>,
    /// 1 to 122.
    vault_number: MaybeUndefined<i32>,
    /// A picture, at most 2000 characters.
    image_url: MaybeUndefined<Url>,
}

/// What became of a change of a card.
#[derive(SimpleObject, Default)]
struct AdminUpdateCardPayload {
    /// The card as it is now.
    card: Option<Card>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn update_card(
    request: &RequestContext,
    input: AdminUpdateCardInput,
) -> Result<AdminUpdateCardPayload, ApiError> {
    let admin = request.require_admin().await?;
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
    let done = admin::update_card(session, services, admin, id, locale, update).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => AdminUpdateCardPayload { card: None, user_errors },
        Ok(card) => AdminUpdateCardPayload { card: Some(Card(card)), user_errors: Vec::new() },
    })
}

/// A position of a spread.
#[derive(InputObject)]
struct SpreadPositionInput {
    /// From 1, without gaps.
    number: i32,
    /// What it is called, 1 to 100 characters.
    name: String,
    /// What a card there speaks of, 1 to 500 characters.
    meaning: String,
    /// Where it lies, 0 to 1 from the left.
    x: Option<f64>,
    /// Where it lies, 0 to 1 from the top.
    y: Option<f64>,
    /// How the card is turned, in degrees, -360 to 360.
    rotation: Option<f64>,
}

/// What to change of a spread.
#[derive(InputObject)]
struct AdminUpdateSpreadInput {
    /// Which spread.
    id: ID,
    /// The language of the texts.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// 1 to 150 characters.
    display_name: MaybeUndefined<String>,
    /// 10 to 1000 characters.
    description: MaybeUndefined<String>,
    /// How much experience it asks for.
    difficulty: MaybeUndefined<Difficulty>,
    /// The faction that favours it.
    faction: MaybeUndefined<FactionKey>,
    /// How to read the cards together, at most 2000 characters.
    interpretation_guide: MaybeUndefined<String>,
    /// Whether new readings may use it.
    is_active: MaybeUndefined<bool>,
    /// Whether only premium users may use it.
    is_premium: MaybeUndefined<bool>,
    /// All positions in order, 1 to 15; these replace the others, with where they lie. As many cards
    /// are drawn.
    positions: MaybeUndefined<Vec<SpreadPositionInput>>,
}

/// What became of a change of a spread.
#[derive(SimpleObject, Default)]
struct AdminUpdateSpreadPayload {
    /// The spread as it is now.
    spread: Option<Spread>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn update_spread(
    request: &RequestContext,
    input: AdminUpdateSpreadInput,
) -> Result<AdminUpdateSpreadPayload, ApiError> {
    let admin = request.require_admin().await?;
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
    let done = admin::update_spread(session, services, admin, id, locale, update).await;
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

/// Whom to lock.
#[derive(InputObject)]
struct AdminLockUserInput {
    /// The user's id.
    user_id: ID,
}

/// What became of an account.
#[derive(SimpleObject, Default)]
struct AdminLockUserPayload {
    /// The user as they are now.
    admin_user: Option<AdminUser>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

/// Whom to unlock.
#[derive(InputObject)]
struct AdminUnlockUserInput {
    /// The user's id.
    user_id: ID,
}

/// What became of an account.
#[derive(SimpleObject, Default)]
struct AdminUnlockUserPayload {
    /// The user as they are now.
    admin_user: Option<AdminUser>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn set_lock(
    request: &RequestContext,
    user: &ID,
    is_locked: bool,
) -> Result<(Option<AdminUser>, Vec<UserError>), ApiError> {
    let admin = request.require_admin().await?;
    let user = user_key("userId", user)?;
    let (session, services) = (&request.session, &request.services);
    let done = if is_locked {
        admin::lock_user(session, services, admin, user).await
    } else {
        admin::unlock_user(session, services, admin, user).await
    };
    Ok(match split_user_errors(done)? {
        Err(user_errors) => (None, user_errors),
        Ok(row) => (Some(AdminUser(row)), Vec::new()),
    })
}
