//! Spreads: named layouts of positions.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::faction::FactionKey;
use super::locale::Localized;
use super::words::words;

words! {
    /// The kind of a spread; a reading keeps the kind that it was drawn with.
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

words! {
    /// How much experience a spread asks for.
    Difficulty {
        /// A first spread.
        Beginner = "beginner",
        /// Some practice.
        Intermediate = "intermediate",
        /// Many positions that bear on each other.
        Advanced = "advanced",
        /// For experts.
        Expert = "expert",
    }
}

/// A spread, as it is held in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Key of the row.
    pub id: Uuid,
    /// Stable name, such as `celtic_cross`.
    pub name: String,
    /// Its kind.
    pub spread_type: SpreadType,
    /// How hard it is to read.
    pub difficulty: Difficulty,
    /// The faction that favours it.
    pub faction: Option<FactionKey>,
    /// 0 to 1; flavour only.
    pub radiation_sensitivity: f64,
    /// The vault that it comes from, 1 to 122.
    pub vault_origin: Option<i16>,
    /// Whether new readings may use it.
    pub is_active: bool,
    /// Whether only premium users may use it.
    pub is_premium: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Names and descriptions.
    pub texts: Localized<SpreadText>,
    /// In order; as many as cards are drawn.
    pub positions: Vec<Position>,
}

/// A spread's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadText {
    /// Name for people.
    pub display_name: String,
    /// What it is for and how the cards lie.
    pub description: String,
    /// How to read the cards together.
    pub interpretation_guide: Option<String>,
}

/// One place of a spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// From 1, without gaps.
    pub number: i16,
    /// Where it lies, 0 to 1 from the left.
    pub x: Option<f64>,
    /// Where it lies, 0 to 1 from the top.
    pub y: Option<f64>,
    /// How the card is turned, in degrees.
    pub rotation: Option<f64>,
    /// Name and meaning.
    pub texts: Localized<PositionText>,
}

/// A position's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionText {
    /// What the place is called.
    pub name: String,
    /// What a card there speaks of.
    pub meaning: String,
}

impl Spread {
    /// How many cards it takes, which is how many positions it has.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.positions.len()
    }

    /// How long a reading with it takes: two minutes a card and five to settle.
    #[must_use]
    pub fn estimated_minutes(&self) -> usize {
        2 * self.card_count() + 5
    }
}

/// How a spread was used and rated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpreadUsage {
    /// Readings that used it.
    pub count: i64,
    /// The sum of their satisfaction ratings.
    pub rating_sum: i64,
    /// How many of them were rated.
    pub ratings: i64,
}

impl SpreadUsage {
    /// The mean rating, to one decimal; `None` of none.
    #[must_use]
    pub fn mean_rating(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "ratings are far fewer than 2^52")]
        let mean = |sum: i64, count: i64| (sum as f64 / count as f64 * 10.0).round() / 10.0;
        (self.ratings > 0).then(|| mean(self.rating_sum, self.ratings))
    }

    /// Whether the exact mean rating is above that; it is not where there is none.
    #[must_use]
    pub fn is_rated_above(self, rating: i64) -> bool {
        self.rating_sum > rating.saturating_mul(self.ratings)
    }

    /// Which of two that were rated is rated lower: by the exact mean, then by how many rated it.
    #[must_use]
    pub fn compare_ratings(self, other: Self) -> Ordering {
        let product = |sum: i64, count: i64| i128::from(sum) * i128::from(count);
        product(self.rating_sum, other.ratings)
            .cmp(&product(other.rating_sum, self.ratings))
            .then(self.ratings.cmp(&other.ratings))
    }
}
