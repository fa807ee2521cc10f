//! The TTL table: the cache policy of each kind of data. No TTL stands anywhere else.

use std::time::Duration;

/// TTL of data without a policy of its own.
pub const DEFAULT_TTL: Duration = Duration::from_mins(5);

/// A row of the TTL table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// Charts of a user's readings.
    Analytics,
    /// Lists of spreads.
    SpreadsList,
    /// Lists of cards.
    CardsList,
    /// Totals of a user's readings.
    UserStats,
    /// Data that is the same for everybody.
    PublicData,
}

impl CachePolicy {
    /// All policies, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Analytics, Self::SpreadsList, Self::CardsList, Self::UserStats, Self::PublicData];

    /// The longest TTL.
    #[must_use]
    pub fn longest_ttl() -> Duration {
        Self::ALL.into_iter().map(Self::ttl).max().unwrap_or(DEFAULT_TTL)
    }

    /// TTL before the jitter.
    #[must_use]
    pub const fn ttl(self) -> Duration {
        match self {
            Self::Analytics | Self::UserStats => DEFAULT_TTL,
            Self::SpreadsList => Duration::from_mins(30),
            Self::CardsList | Self::PublicData => Duration::from_hours(1),
        }
    }

    /// Name in statistics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::SpreadsList => "spreads list",
            Self::CardsList => "cards list",
            Self::UserStats => "user stats",
            Self::PublicData => "public data",
        }
    }

    /// Pattern of the keys. `{type}` and `{filters}` hold everything that the value depends on.
    #[must_use]
    pub const fn key_pattern(self) -> &'static str {
        match self {
            Self::Analytics => "analytics:{user_id}:{type}",
            Self::SpreadsList => "spreads:list:{filters}",
            Self::CardsList => "cards:list:{type}",
            Self::UserStats => "user:{user_id}:stats",
            Self::PublicData => "public:{type}:{id}",
        }
    }
}
