//! Popular and recommended spreads.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object};
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::enums::{Difficulty, FactionKey, Karma};
use super::errors::ApiError;
use super::id::GlobalId;
use super::inputs::list_limit;
use super::list::List;
use super::spread::{Spread, usage_of};
use super::spread_lists;
use crate::config::content::{POPULAR_SPREADS, RECOMMENDED_SPREADS};
use crate::domain::counted::counted;
use crate::domain::popular_spreads::{self, SpreadWithUsage};
use crate::domain::recommendation::{self, Preferences, Recommendation, recommend};
use crate::domain::spread;

/// Query fields that recommend spreads.
#[derive(Default)]
pub struct SpreadPicksQuery;

#[Object]
impl SpreadPicksQuery {
    /// Groups of active spreads, premium ones included.
    async fn popular_spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Maximum number of spreads in each group, 1 to 20.", default = 5)]
        limit: i32,
    ) -> Result<PopularSpreads, ApiError> {
        let limit = list_limit(limit, &POPULAR_SPREADS)?;
        let spreads = active_spreads_with_usage(request(context)).await?;
        Ok(PopularSpreads(popular_spreads::PopularSpreads::new(&spreads, limit)))
    }

    /// The active spreads that match the wishes best, premium ones included. A score is the sum of
    /// the values of its `reasons`, at most 1, halved for a recently used spread. Scores below 0.3
    /// are left out, so without wishes the list is empty. Highest score first, then most used, then
    /// by `name`.
    async fn recommended_spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Wishes (default: none).")] input: Option<RecommendedSpreadsInput>,
        #[graphql(desc = "Maximum number of results, 1 to 10.", default = 5)] limit: i32,
    ) -> Result<List<SpreadRecommendation>, ApiError> {
        let request = request(context);
        let limit = list_limit(limit, &RECOMMENDED_SPREADS)?;
        let wishes = input.unwrap_or_default().into_domain(request.limits.ids)?;
        let spreads = active_spreads_with_usage(request).await?;
        Ok(recommend(&spreads, &wishes, limit).into_iter().map(SpreadRecommendation).collect())
    }
}

async fn active_spreads_with_usage(
    request: &RequestContext,
) -> Result<Vec<SpreadWithUsage>, ApiError> {
    let active = spread_lists::active_spreads(request).await?;
    let usage = usage_of(request, active.iter().map(|spread| spread.id)).await?;
    let used = |spread: &Arc<spread::Spread>| usage.get(&spread.id).copied().unwrap_or_default();
    let with_usage = |spread: &Arc<spread::Spread>| SpreadWithUsage {
        usage: used(spread),
        spread: Arc::clone(spread),
    };
    Ok(active.iter().map(with_usage).collect())
}

/// Groups of active spreads. Ties are ordered by id.
pub struct PopularSpreads(popular_spreads::PopularSpreads);

/// Groups of active spreads. Ties are ordered by id.
#[Object]
impl PopularSpreads {
    /// Most used spreads first. At most 20.
    async fn most_used(&self) -> List<Spread> {
        self.0.most_used.iter().map(Spread::of).collect()
    }

    /// Rated spreads, the best mean first, then the most ratings. At most 20.
    async fn best_rated(&self) -> List<Spread> {
        self.0.best_rated.iter().map(Spread::of).collect()
    }

    /// Newest spreads first. At most 20.
    async fn newest(&self) -> List<Spread> {
        self.0.newest.iter().map(Spread::of).collect()
    }

    /// Spreads for beginners, the most used first. At most 20.
    async fn beginner(&self) -> List<Spread> {
        self.0.beginner.iter().map(Spread::of).collect()
    }

    /// Spreads for advanced readers and experts, the most used first. At most 20.
    async fn advanced(&self) -> List<Spread> {
        self.0.advanced.iter().map(Spread::of).collect()
    }
}

/// Wishes for a spread. Absent fields add nothing to a score.
#[derive(InputObject, Default)]
pub struct RecommendedSpreadsInput {
    /// Desired difficulty.
    difficulty: Option<Difficulty>,
    /// Desired tone.
    karma: Option<Karma>,
    /// Faction of the user.
    faction: Option<FactionKey>,
    /// Available time in minutes.
    available_minutes: Option<i32>,
    /// Ids of recently used spreads, at most 100. An empty list means that none was used.
    recent_spread_ids: Option<Vec<ID>>,
}

/// Name of the input field of recent spreads.
const RECENT: &str = "recentSpreadIds";

impl RecommendedSpreadsInput {
    /// The wishes as domain rules.
    ///
    /// # Errors
    ///
    /// There are too many ids, or one is not that of a spread.
    fn into_domain(self, maximum: usize) -> Result<Preferences, ApiError> {
        let recent = self.recent_spread_ids.map(|ids| read_ids(&ids, maximum)).transpose()?;
        Ok(Preferences {
            difficulty: self.difficulty.map(Into::into),
            karma: self.karma.map(Into::into),
            faction: self.faction.map(Into::into),
            available_minutes: self.available_minutes,
            recent,
        })
    }
}

fn read_ids(ids: &[ID], maximum: usize) -> Result<HashSet<Uuid>, ApiError> {
    if ids.len() > maximum {
        return Err(ApiError::BadInput {
            argument: RECENT,
            message: format!(
                "`{RECENT}` has {}; it must have at most {maximum}",
                counted(ids.len(), "id")
            ),
        });
    }
    let read = |id: &ID| match GlobalId::parse(RECENT, id)? {
        GlobalId::Spread(id) => Ok(id),
        other => Err(other.refuse(RECENT, "Spread")),
    };
    let read = |(index, id): (usize, &ID)| read(id).map_err(|error| error.of_item(index));
    ids.iter().enumerate().map(read).collect()
}

/// Reason of a recommendation, with the value that it adds to the score.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "recommendation::RecommendationReason")]
pub enum RecommendationReason {
    /// Desired difficulty: 0.4; one level easier or harder: 0.2.
    Difficulty,
    /// Matching tone: 0.2.
    Karma,
    /// Favoured by the faction: 0.3.
    Faction,
    /// Fits the available time: 0.1.
    Time,
    /// Mean rating above 4, before rounding: 0.1.
    Rating,
    /// Used by more than 100 readings: 0.05.
    Popularity,
    /// Not recently used: 0.05, if `recentSpreadIds` is given.
    NotRecent,
}

/// A recommended spread with its score.
pub struct SpreadRecommendation(Recommendation);

/// A recommended spread with its score.
#[Object]
impl SpreadRecommendation {
    /// The recommended spread.
    async fn spread(&self) -> Spread {
        Spread::of(&self.0.spread)
    }

    /// Score, 0.3 to 1.
    async fn score(&self) -> f64 {
        f64::from(self.0.thousandths) / 1000.0
    }

    /// Reasons of the score, in the order of the enum. At most 7.
    async fn reasons(&self) -> Vec<RecommendationReason> {
        self.0.reasons.iter().copied().map(Into::into).collect()
    }
}
