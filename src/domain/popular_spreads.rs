//! The spreads that people are shown first.

use std::cmp::Ordering;
use std::sync::Arc;

use super::spread::{Difficulty, Spread, SpreadUsage};

/// A spread and how it was used.
pub type UsedSpread = (Arc<Spread>, SpreadUsage);

/// Groups of active spreads, for premium users or not. What is equal is ordered by id.
#[derive(Debug, Clone, PartialEq)]
pub struct PopularSpreads {
    /// The most used first.
    pub most_used: Vec<Arc<Spread>>,
    /// Those that were rated: the best mean first, then the most ratings.
    pub best_rated: Vec<Arc<Spread>>,
    /// The newest first.
    pub newest: Vec<Arc<Spread>>,
    /// Those for beginners, the most used first.
    pub beginner: Vec<Arc<Spread>>,
    /// Those for the advanced and for experts, the most used first.
    pub advanced: Vec<Arc<Spread>>,
}

impl PopularSpreads {
    /// The groups, each of so many spreads at most.
    #[must_use]
    pub fn of(spreads: &[UsedSpread], limit: usize) -> Self {
        Self {
            most_used: group(spreads, limit, |_| true, by_usage),
            best_rated: group(
                spreads,
                limit,
                |(_, usage)| usage.ratings > 0,
                |(_, one), (_, other)| other.compare_ratings(*one),
            ),
            newest: group(
                spreads,
                limit,
                |_| true,
                |(one, _), (other, _)| other.created_at.cmp(&one.created_at),
            ),
            beginner: group(spreads, limit, is_of(&[Difficulty::Beginner]), by_usage),
            advanced: group(
                spreads,
                limit,
                is_of(&[Difficulty::Advanced, Difficulty::Expert]),
                by_usage,
            ),
        }
    }
}

fn by_usage((_, one): &UsedSpread, (_, other): &UsedSpread) -> Ordering {
    other.count.cmp(&one.count)
}

fn is_of(levels: &[Difficulty]) -> impl Fn(&UsedSpread) -> bool {
    move |(spread, _)| levels.contains(&spread.difficulty)
}

fn group(
    spreads: &[UsedSpread],
    limit: usize,
    fits: impl Fn(&UsedSpread) -> bool,
    compare: impl Fn(&UsedSpread, &UsedSpread) -> Ordering,
) -> Vec<Arc<Spread>> {
    let mut group: Vec<_> = spreads.iter().filter(|one| one.0.is_active && fits(one)).collect();
    group.sort_by(|one, other| compare(one, other).then(one.0.id.cmp(&other.0.id)));
    group.into_iter().take(limit).map(|(spread, _)| Arc::clone(spread)).collect()
}
