//! Groups of popular spreads.

use std::cmp::Ordering;
use std::sync::Arc;

use super::spread::{Difficulty, Spread, SpreadUsage};

/// A spread and its usage.
#[derive(Debug, Clone)]
pub struct SpreadWithUsage {
    /// The spread.
    pub spread: Arc<Spread>,
    /// Readings and ratings of the spread.
    pub usage: SpreadUsage,
}

/// Groups of active spreads, premium ones included. Ties are ordered by id.
#[derive(Debug, Clone, PartialEq)]
pub struct PopularSpreads {
    /// Most used first.
    pub most_used: Vec<Arc<Spread>>,
    /// Rated spreads: best mean first, then most ratings.
    pub best_rated: Vec<Arc<Spread>>,
    /// Newest first.
    pub newest: Vec<Arc<Spread>>,
    /// Spreads for beginners, most used first.
    pub beginner: Vec<Arc<Spread>>,
    /// Advanced and expert spreads, most used first.
    pub advanced: Vec<Arc<Spread>>,
}

impl PopularSpreads {
    /// Groups of at most `limit` spreads each.
    #[must_use]
    pub fn new(spreads: &[SpreadWithUsage], limit: usize) -> Self {
        Self {
            most_used: group(spreads, limit, |_| true, by_usage),
            best_rated: group(
                spreads,
                limit,
                |candidate| candidate.usage.ratings > 0,
                |one, other| other.usage.compare_ratings(one.usage),
            ),
            newest: group(
                spreads,
                limit,
                |_| true,
                |one, other| other.spread.created_at.cmp(&one.spread.created_at),
            ),
            beginner: group(spreads, limit, has_difficulty(&[Difficulty::Beginner]), by_usage),
            advanced: group(
                spreads,
                limit,
                has_difficulty(&[Difficulty::Advanced, Difficulty::Expert]),
                by_usage,
            ),
        }
    }
}

fn by_usage(one: &SpreadWithUsage, other: &SpreadWithUsage) -> Ordering {
    other.usage.count.cmp(&one.usage.count)
}

fn has_difficulty(levels: &[Difficulty]) -> impl Fn(&SpreadWithUsage) -> bool {
    move |candidate| levels.contains(&candidate.spread.difficulty)
}

fn group(
    spreads: &[SpreadWithUsage],
    limit: usize,
    is_member: impl Fn(&SpreadWithUsage) -> bool,
    compare: impl Fn(&SpreadWithUsage, &SpreadWithUsage) -> Ordering,
) -> Vec<Arc<Spread>> {
    let mut group: Vec<_> =
        spreads.iter().filter(|one| one.spread.is_active && is_member(one)).collect();
    group.sort_by(|one, other| compare(one, other).then(one.spread.id.cmp(&other.spread.id)));
    group.into_iter().take(limit).map(|member| Arc::clone(&member.spread)).collect()
}
