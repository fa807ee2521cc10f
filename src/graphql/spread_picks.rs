//! Spreads that people are shown first, and those that suit somebody.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object};
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::enums::{Difficulty, FactionKey, Karma};
use super::errors::ApiError;
use super::id::GlobalId;
use super::inputs::list_limit;
use super::spread::{Spread, usage_of};
use super::spread_lists::offered_spreads;
use crate::config::content::{POPULAR_SPREADS, RECOMMENDED_SPREADS};
use crate::domain::popular_spreads::{self, SpreadWithUsage};
use crate::domain::recommendation::{self, Preferences, Recommendation, recommend};
use crate::domain::spread;

/// Fields of the query type that pick spreads.
#[derive(Default)]
pub struct SpreadPicksQuery;

#[Object]
impl SpreadPicksQuery {
    /// Active spreads in groups. Those for premium users only are among them.
    async fn popular_spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many a group at most: 1 to 20.", default = 5)] limit: i32,
    ) -> Result<PopularSpreads, ApiError> {
        let limit = list_limit(limit, &POPULAR_SPREADS)?;
        let spreads = active_spreads(request(context)).await?;
        Ok(PopularSpreads(popular_spreads::PopularSpreads::new(&spreads, limit)))
    }

    /// The active spreads that suit somebody best, those for premium users only among them. A score is
    /// the sum of what `reasons` tells, at most 1; of a spread that was used recently, the half.
    /// What scores less than 0.3 is left out, so without wishes there are none. The best come first,
    /// then the most used, then by `name`.
    async fn recommended_spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The wishes.")] input: Option<RecommendedSpreadsInput>,
        #[graphql(desc = "So many at most: 1 to 10.", default = 5)] limit: i32,
    ) -> Result<Vec<SpreadRecommendation>, ApiError> {
        let request = request(context);
        let limit = list_limit(limit, &RECOMMENDED_SPREADS)?;
        let wishes = input.unwrap_or_default().read(request.limits.ids)?;
        let spreads = active_spreads(request).await?;
        Ok(recommend(&spreads, &wishes, limit).into_iter().map(SpreadRecommendation).collect())
    }
}

async fn active_spreads(request: &RequestContext) -> Result<Vec<SpreadWithUsage>, ApiError> {
    let active = offered_spreads(request, false).await?;
    let usage = usage_of(request, active.iter().map(|spread| spread.id)).await?;
    let used = |spread: &Arc<spread::Spread>| usage.get(&spread.id).copied().unwrap_or_default();
    let with_usage = |spread: &Arc<spread::Spread>| SpreadWithUsage {
        usage: used(spread),
        spread: Arc::clone(spread),
    };
    Ok(active.iter().map(with_usage).collect())
}

/// Active spreads in groups. What is equal is ordered by id.
pub struct PopularSpreads(popular_spreads::PopularSpreads);

/// Active spreads in groups. What is equal is ordered by id.
#[Object]
impl PopularSpreads {
    /// The most used first. At most 20.
    async fn most_used(&self) -> Vec<Spread> {
        self.0.most_used.iter().map(Spread::of).collect()
    }

    /// Those that were rated: the best mean first, then the most ratings. At most 20.
    async fn best_rated(&self) -> Vec<Spread> {
        self.0.best_rated.iter().map(Spread::of).collect()
    }

    /// The newest first. At most 20.
    async fn newest(&self) -> Vec<Spread> {
        self.0.newest.iter().map(Spread::of).collect()
    }

    /// Those for beginners, the most used first. At most 20.
    async fn beginner(&self) -> Vec<Spread> {
        self.0.beginner.iter().map(Spread::of).collect()
    }

    /// Those for the advanced and for experts, the most used first. At most 20.
    async fn advanced(&self) -> Vec<Spread> {
        self.0.advanced.iter().map(Spread::of).collect()
    }
}

/// What somebody wishes for. What is absent adds nothing to a score.
#[derive(InputObject, Default)]
pub struct RecommendedSpreadsInput {
    /// How hard a spread may be to read.
    difficulty: Option<Difficulty>,
    /// The tone.
    karma: Option<Karma>,
    /// The faction.
    faction: Option<FactionKey>,
    /// How many minutes there are.
    available_minutes: Option<i32>,
    /// The spreads that were used recently, at most 100. An empty list says that none was.
    recent_spread_ids: Option<Vec<ID>>,
}

/// The place of the recent spreads in the input.
const RECENT: &str = "recentSpreadIds";

impl RecommendedSpreadsInput {
    /// As the rules know it.
    ///
    /// # Errors
    ///
    /// There are too many ids, or one is not that of a spread.
    fn read(self, maximum: usize) -> Result<Preferences, ApiError> {
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
            message: format!("`{RECENT}` has {} ids; it may have {maximum}", ids.len()),
        });
    }
    let read = |id: &ID| match GlobalId::parse(RECENT, id)? {
        GlobalId::Spread(id) => Ok(id),
        other => Err(other.refuse(RECENT, "Spread")),
    };
    ids.iter().map(read).collect()
}

/// What adds to the score of a spread, and how much.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "recommendation::RecommendationReason")]
pub enum RecommendationReason {
    /// It is as hard as is wished for (0.4), or one level easier or harder (0.2).
    Difficulty,
    /// It suits the tone: 0.2.
    Karma,
    /// The faction favours it: 0.3.
    Faction,
    /// It takes no more minutes than there are: 0.1.
    Time,
    /// The mean of its ratings, before it is rounded, is above 4: 0.1.
    Rating,
    /// More than 100 readings used it: 0.05.
    Popularity,
    /// It is none of the spreads that were used recently: 0.05. Only where those are given.
    NotRecent,
}

/// A spread that suits somebody.
pub struct SpreadRecommendation(Recommendation);

/// A spread that suits somebody.
#[Object]
impl SpreadRecommendation {
    /// The spread.
    async fn spread(&self) -> Spread {
        Spread::of(&self.0.spread)
    }

    /// How well it suits, 0.3 to 1.
    async fn score(&self) -> f64 {
        f64::from(self.0.thousandths) / 1000.0
    }

    /// What adds to the score, in the order of the enumeration. At most 7.
    async fn reasons(&self) -> Vec<RecommendationReason> {
        self.0.reasons.iter().copied().map(Into::into).collect()
    }
}
