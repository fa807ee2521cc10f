//! Spreads: named layouts of positions.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::enums::text_enum;
use super::faction::FactionKey;
use super::locale::Localized;

text_enum! {
    /// Type of a spread; a reading stores the type at its creation.
    SpreadType {
        /// One card.
        SingleWasteland = "single_wasteland",
        /// Past, present and future.
        VaultTecSpread = "vault_tec_spread",
        /// Four cards for when plans fail.
        RaiderChaos = "raider_chaos",
        /// Five cards on getting through.
        WastelandSurvival = "wasteland_survival",
        /// Six cards for a campaign.
        NcrStrategic = "ncr_strategic",
        /// Seven voices of a council.
        BrotherhoodCouncil = "brotherhood_council",
        /// The classical ten cards.
        CelticCross = "celtic_cross",
        /// Anything else.
        CustomSpread = "custom_spread",
    }
}

text_enum! {
    /// Difficulty of reading a spread.
    Difficulty {
        /// A first spread.
        Beginner = "beginner",
        /// Some practice.
        Intermediate = "intermediate",
        /// Many positions that relate to each other.
        Advanced = "advanced",
        /// For experts.
        Expert = "expert",
    }
}

/// A spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Key of the row.
    pub id: Uuid,
    /// Stable name, such as `celtic_cross`.
    pub name: String,
    /// Type of the spread.
    pub spread_type: SpreadType,
    /// Difficulty of reading it.
    pub difficulty: Difficulty,
    /// Faction that prefers it.
    pub faction: Option<FactionKey>,
    /// 0 to 1; flavour only.
    pub radiation_sensitivity: f64,
    /// Vault of origin, 1 to 122.
    pub vault_origin: Option<i16>,
    /// Available for new readings.
    pub is_active: bool,
    /// Available to premium users only.
    pub is_premium: bool,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// Names and descriptions.
    pub texts: Localized<SpreadText>,
    /// Positions in order, one for each drawn card.
    pub positions: Vec<Position>,
}

/// A spread's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadText {
    /// Display name.
    pub display_name: String,
    /// Purpose and layout.
    pub description: String,
    /// Guide to reading the cards together.
    pub interpretation_guide: Option<String>,
}

/// One position of a spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Number from 1, without gaps.
    pub number: i16,
    /// Horizontal coordinate, 0 to 1 from the left.
    pub x: Option<f64>,
    /// Vertical coordinate, 0 to 1 from the top.
    pub y: Option<f64>,
    /// Rotation of the card, in degrees.
    pub rotation: Option<f64>,
    /// Name and meaning.
    pub texts: Localized<PositionText>,
}

/// A position's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionText {
    /// Name of the position.
    pub name: String,
    /// Subject of a card in this position.
    pub meaning: String,
}

impl Spread {
    /// Number of cards, which is the number of positions.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.positions.len()
    }

    /// Estimated duration of a reading: two minutes a card, and five.
    #[must_use]
    pub fn estimated_minutes(&self) -> usize {
        2 * self.card_count() + 5
    }
}

/// Usage and ratings of a spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpreadUsage {
    /// Number of readings with the spread.
    pub count: i64,
    /// Sum of their satisfaction ratings.
    pub rating_sum: i64,
    /// Number of ratings.
    pub ratings: i64,
}

impl SpreadUsage {
    /// Mean rating, to one decimal; `None` without ratings.
    #[must_use]
    pub fn mean_rating(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "ratings are far fewer than 2^52")]
        let mean = |sum: i64, count: i64| (sum as f64 / count as f64 * 10.0).round() / 10.0;
        (self.ratings > 0).then(|| mean(self.rating_sum, self.ratings))
    }

    /// `true` if the exact mean rating exceeds `rating`; `false` without ratings.
    #[must_use]
    pub fn is_rated_above(self, rating: i64) -> bool {
        self.rating_sum > rating.saturating_mul(self.ratings)
    }

    /// Comparison of two rated spreads by the exact mean, then by the number of ratings.
    #[must_use]
    pub fn compare_ratings(self, other: Self) -> Ordering {
        let product = |sum: i64, count: i64| i128::from(sum) * i128::from(count);
        product(self.rating_sum, other.ratings)
            .cmp(&product(other.rating_sum, self.ratings))
            .then(self.ratings.cmp(&other.ratings))
    }
}
