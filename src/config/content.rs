//! Lengths and bounds of what people may write, and the settings of daily quotas and retention. The
//! lengths are those of the columns and of the API's contract, and therefore constants.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::{count, days, lifetime, seconds};

/// Maximum user errors in one payload.
pub const USER_ERRORS: usize = 10;
/// Characters of an e-mail address.
pub const EMAIL: RangeInclusive<usize> = 3..=255;
/// Characters of a username.
pub const USERNAME: RangeInclusive<usize> = 1..=50;
/// Characters of a display name.
pub const DISPLAY_NAME: RangeInclusive<usize> = 1..=100;
/// Characters of a bio.
pub const BIO: RangeInclusive<usize> = 0..=500;
/// Characters of a password.
pub const PASSWORD: RangeInclusive<usize> = 8..=128;
/// Characters of a question.
pub const QUESTION: RangeInclusive<usize> = 1..=500;
/// Characters of notes, and of feedback.
pub const NOTES: RangeInclusive<usize> = 0..=1000;
/// Characters of a focus area.
pub const FOCUS_AREA: RangeInclusive<usize> = 0..=100;
/// Characters of a mood.
pub const MOOD: RangeInclusive<usize> = 0..=50;
/// Characters of a tag.
pub const TAG: RangeInclusive<usize> = 1..=50;
/// Tags of a reading.
pub const TAGS: usize = 20;
/// Maximum characters of a search term.
pub const SEARCH: usize = 100;
/// Page size of a group of popular spreads.
pub const POPULAR_SPREADS: RangeInclusive<i32> = 1..=20;
/// Maximum number of recommended spreads.
pub const RECOMMENDED_SPREADS: RangeInclusive<i32> = 1..=10;
/// Ratings.
pub const RATING: RangeInclusive<i32> = 1..=5;
/// Radiation factor of a reading, above which a draw is not allowed.
pub const RADIATION: RangeInclusive<f64> = 0.0..=0.95;
/// Characters of a category's name.
pub const CATEGORY_NAME: RangeInclusive<usize> = 1..=100;
/// Characters of a category's icon.
pub const CATEGORY_ICON: RangeInclusive<usize> = 0..=50;
/// Characters of a category's description.
pub const CATEGORY_DESCRIPTION: RangeInclusive<usize> = 0..=500;
/// Categories of a user.
pub const CATEGORIES: usize = 100;
/// Open share links of a reading.
pub const SHARE_LINKS: usize = 20;
/// Characters of a share link's title.
pub const SHARE_TITLE: RangeInclusive<usize> = 0..=100;
/// Characters of a share link's description.
pub const SHARE_DESCRIPTION: RangeInclusive<usize> = 0..=300;
/// Characters of a share link's password.
pub const SHARE_PASSWORD: RangeInclusive<usize> = 6..=128;
/// Characters of an idempotency key.
pub const IDEMPOTENCY_KEY: RangeInclusive<usize> = 1..=255;
/// Years of times and dates.
pub const YEARS: RangeInclusive<i32> = 1..=9_999;
/// Minutes by which a clock may be ahead of UTC.
pub const UTC_OFFSET_MINUTES: RangeInclusive<i32> = -720..=840;
/// Days of a chart.
pub const CHART_DAYS: RangeInclusive<i32> = 1..=366;
/// Size of the list of most drawn cards.
pub const TOP_CARDS: RangeInclusive<i32> = 0..=50;
/// Cards of one draw.
pub const DRAW: RangeInclusive<i32> = 1..=10;
/// Characters of a card's name.
pub const CARD_NAME: RangeInclusive<usize> = 1..=100;
/// Characters of a card's meaning.
pub const CARD_MEANING: RangeInclusive<usize> = 1..=2000;
/// Keywords of a card.
pub const KEYWORDS: RangeInclusive<usize> = 1..=20;
/// Characters of a keyword.
pub const KEYWORD: RangeInclusive<usize> = 1..=50;
/// Radiation levels of cards.
pub const RADIATION_LEVEL: RangeInclusive<f64> = 0.0..=1.0;
/// Threat levels of cards.
pub const THREAT_LEVEL: RangeInclusive<i32> = 1..=10;
/// Vaults.
pub const VAULT: RangeInclusive<i32> = 1..=122;
/// Characters of an image URL.
pub const IMAGE_URL: RangeInclusive<usize> = 1..=2000;
/// Characters of a spread's display name.
pub const SPREAD_NAME: RangeInclusive<usize> = 1..=150;
/// Characters of a spread's description.
pub const SPREAD_DESCRIPTION: RangeInclusive<usize> = 10..=1000;
/// Characters of a spread's guide.
pub const SPREAD_GUIDE: RangeInclusive<usize> = 0..=2000;
/// Positions of a spread.
pub const POSITIONS: RangeInclusive<usize> = 1..=15;
/// Coordinates of a position, from the left and from the top.
pub const POSITION_PLACE: RangeInclusive<f64> = 0.0..=1.0;
/// Rotation of a position's card, in degrees.
pub const POSITION_ROTATION: RangeInclusive<f64> = -360.0..=360.0;
/// Characters of a position's name.
pub const POSITION_NAME: RangeInclusive<usize> = 1..=100;
/// Characters of a position's meaning.
pub const POSITION_MEANING: RangeInclusive<usize> = 1..=500;

/// Characters of the reason of a moderation.
pub const REASON: RangeInclusive<usize> = 1..=500;

/// Daily quotas, retention and maintenance intervals.
#[derive(Debug, Clone, Args)]
pub struct ContentSettings {
    /// Maximum readings of a user on a UTC day
    #[arg(long, env = "DAILY_READINGS", value_parser = count::<u16>, default_value = "20", global = true, hide_env_values = true)]
    pub daily_readings: u16,

    /// Maximum readings of a premium user on a UTC day
    #[arg(long, env = "DAILY_READINGS_PREMIUM", value_parser = count::<u16>, default_value = "50", global = true, hide_env_values = true)]
    pub daily_readings_premium: u16,

    /// Lifetime of an idempotency key, in seconds
    #[arg(id = "idempotency_seconds", long = "idempotency-seconds", env = "IDEMPOTENCY_SECONDS", value_parser = lifetime, default_value = "86400", global = true, hide_env_values = true)]
    pub idempotency_lifetime: Duration,

    /// Retention of a closed share link, in seconds
    #[arg(id = "closed_share_seconds", long = "closed-share-seconds", env = "CLOSED_SHARE_SECONDS", value_parser = lifetime, default_value = "2592000", global = true, hide_env_values = true)]
    pub closed_share_retention: Duration,

    /// Retention of an entry of the audit log, in days
    #[arg(id = "audit_log_retention_days", long = "audit-log-retention-days", env = "AUDIT_LOG_RETENTION_DAYS", value_parser = days, default_value = "365", global = true, hide_env_values = true)]
    pub audit_log_retention: Duration,

    /// Interval between two updates of the counters, in seconds
    #[arg(id = "counters_seconds", long = "counters-seconds", env = "COUNTERS_SECONDS", value_parser = seconds, default_value = "3", global = true, hide_env_values = true)]
    pub counters_interval: Duration,

    /// Interval between two sweeps of expired rows, in seconds
    #[arg(id = "sweep_seconds", long = "sweep-seconds", env = "SWEEP_SECONDS", value_parser = seconds, default_value = "600", global = true, hide_env_values = true)]
    pub sweep_interval: Duration,
}
