//! The TTL table: what is kept, under which keys, and for how long. It stands here and nowhere else.

use std::time::Duration;

/// How long a value is kept of which the table says nothing else.
pub const DEFAULT_TTL: Duration = Duration::from_mins(5);

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Charts of a user's readings.
    Analytics,
    /// Lists of spreads.
    SpreadsList,
    /// Lists of cards.
    CardsList,
    /// What a user's readings come to.
    UserStats,
    /// What is the same for everybody.
    PublicData,
}

impl Row {
    /// All rows, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Analytics, Self::SpreadsList, Self::CardsList, Self::UserStats, Self::PublicData];

    /// The longest of their lifetimes.
    #[must_use]
    pub fn longest_ttl() -> Duration {
        Self::ALL.into_iter().map(Self::ttl).max().unwrap_or(DEFAULT_TTL)
    }

    /// How long its values are kept at most.
    #[must_use]
    pub const fn ttl(self) -> Duration {
        match self {
            Self::Analytics | Self::UserStats => DEFAULT_TTL,
            Self::SpreadsList => Duration::from_mins(30),
            Self::CardsList | Self::PublicData => Duration::from_hours(1),
        }
    }

    /// What operators call it.
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

    /// How its keys are made. `{type}` and `{filters}` hold everything that the value depends on.
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
