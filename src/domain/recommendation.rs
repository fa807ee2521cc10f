//! Recommendation of spreads: a score, and the reasons that contribute to it.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::faction::FactionKey;
use super::popular_spreads::SpreadWithUsage;
use super::reading::Karma;
use super::spread::{Difficulty, Spread, SpreadType, SpreadUsage};

/// Preferences of a person. `None` does not contribute to the score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Preferred difficulty.
    pub difficulty: Option<Difficulty>,
    /// Karma context.
    pub karma: Option<Karma>,
    /// The person's faction.
    pub faction: Option<FactionKey>,
    /// Available time in minutes.
    pub available_minutes: Option<i32>,
    /// Spreads that the person used recently.
    pub recent: Option<HashSet<Uuid>>,
}

/// Reasons that contribute to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecommendationReason {
    /// Preferred difficulty, or one level off.
    Difficulty,
    /// Suitable for the karma context.
    Karma,
    /// Preferred by the faction.
    Faction,
    /// Estimated time within the available time.
    Time,
    /// Well rated.
    Rating,
    /// Often used.
    Popularity,
    /// Not used recently.
    NotRecent,
}

/// A recommended spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The spread.
    pub spread: Arc<Spread>,
    /// Score in thousandths. A whole number, so that the threshold of 300 is exact.
    pub thousandths: u16,
    /// Contributing reasons, in the order of the enumeration.
    pub reasons: Vec<RecommendationReason>,
}

/// Contributions to the score, in thousandths.
const SAME_DIFFICULTY: u16 = 400;
const NEAR_DIFFICULTY: u16 = 200;
const KARMA: u16 = 200;
const FACTION: u16 = 300;
const TIME: u16 = 100;
const RATING: u16 = 100;
const POPULARITY: u16 = 50;
const NOT_RECENT: u16 = 50;
/// Minimum score of a recommendation.
const SCORE_MINIMUM: u16 = 300;
/// Maximum score.
const SCORE_MAXIMUM: u16 = 1000;
/// Mean rating above which a spread is well rated.
const GOOD_RATING: i64 = 4;
/// Number of readings above which a spread is often used.
const POPULAR_READINGS: i64 = 100;

/// The best `limit` active spreads: by score, then usage, then name.
#[must_use]
pub fn recommend(
    spreads: &[SpreadWithUsage],
    preferences: &Preferences,
    limit: usize,
) -> Vec<Recommendation> {
    let mut suitable: Vec<_> = spreads
        .iter()
        .filter(|candidate| candidate.spread.is_active)
        .map(|SpreadWithUsage { spread, usage }| (score(spread, *usage, preferences), usage.count))
        .filter(|(recommendation, _)| recommendation.thousandths >= SCORE_MINIMUM)
        .collect();
    suitable.sort_by(|(one, one_used), (other, other_used)| {
        Reverse((one.thousandths, one_used))
            .cmp(&Reverse((other.thousandths, other_used)))
            .then_with(|| one.spread.name.cmp(&other.spread.name))
    });
    suitable.into_iter().take(limit).map(|(recommendation, _)| recommendation).collect()
}

/// Score and reasons of a spread.
fn score(spread: &Arc<Spread>, usage: SpreadUsage, preferences: &Preferences) -> Recommendation {
    let if_so = |is_so: bool, points: u16| if is_so { points } else { 0 };
    let is_recent = preferences.recent.as_ref().map(|recent| recent.contains(&spread.id));
    let has_time = preferences
        .available_minutes
        .and_then(|minutes| usize::try_from(minutes).ok())
        .is_some_and(|minutes| spread.estimated_minutes() <= minutes);
    let suits_karma =
        preferences.karma.is_some_and(|karma| suitable_types(karma).contains(&spread.spread_type));
    let is_favoured = preferences.faction.is_some() && spread.faction == preferences.faction;
    let difficulty = preferences.difficulty.map_or(0, |wished| nearness(spread.difficulty, wished));
    let points = [
        (RecommendationReason::Difficulty, difficulty),
        (RecommendationReason::Karma, if_so(suits_karma, KARMA)),
        (RecommendationReason::Faction, if_so(is_favoured, FACTION)),
        (RecommendationReason::Time, if_so(has_time, TIME)),
        (RecommendationReason::Rating, if_so(usage.is_rated_above(GOOD_RATING), RATING)),
        (RecommendationReason::Popularity, if_so(usage.count > POPULAR_READINGS, POPULARITY)),
        (RecommendationReason::NotRecent, if_so(is_recent == Some(false), NOT_RECENT)),
    ];
    let sum: u16 = points.iter().map(|(_, points)| points).sum();
    let score = if is_recent == Some(true) { sum / 2 } else { sum };
    Recommendation {
        spread: Arc::clone(spread),
        thousandths: score.min(SCORE_MAXIMUM),
        reasons: points
            .iter()
            .filter(|(_, points)| *points > 0)
            .map(|(reason, _)| *reason)
            .collect(),
    }
}

fn nearness(difficulty: Difficulty, wished: Difficulty) -> u16 {
    match (difficulty as u8).abs_diff(wished as u8) {
        0 => SAME_DIFFICULTY,
        1 => NEAR_DIFFICULTY,
        _ => 0,
    }
}

/// Spread types that suit a karma context.
const fn suitable_types(karma: Karma) -> &'static [SpreadType] {
    match karma {
        Karma::Good => &[SpreadType::VaultTecSpread, SpreadType::BrotherhoodCouncil],
        Karma::Neutral => &[SpreadType::SingleWasteland, SpreadType::WastelandSurvival],
        Karma::Evil => &[SpreadType::RaiderChaos, SpreadType::WastelandSurvival],
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::RecommendationReason as Reason;
    use super::*;
    use crate::domain::locale::Localized;
    use crate::domain::spread::{Position, PositionText, SpreadText};

    /// A spread of four cards, which takes 13 minutes, that is intermediate and of the raiders.
    fn spread(name: &str) -> Spread {
        let position = |number| Position {
            number,
            x: None,
            y: None,
            rotation: None,
            texts: Localized::new(
                PositionText { name: String::new(), meaning: String::new() },
                None,
            ),
        };
        Spread {
            id: Uuid::from_u128(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte))),
            name: name.to_owned(),
            spread_type: SpreadType::RaiderChaos,
            difficulty: Difficulty::Intermediate,
            faction: Some(FactionKey::Raiders),
            radiation_sensitivity: 0.5,
            vault_origin: None,
            is_active: true,
            is_premium: false,
            created_at: DateTime::UNIX_EPOCH,
            texts: Localized::new(
                SpreadText {
                    display_name: String::new(),
                    description: String::new(),
                    interpretation_guide: None,
                },
                None,
            ),
            positions: (1..=4).map(position).collect(),
        }
    }

    fn used(count: i64, rating_sum: i64, ratings: i64) -> SpreadUsage {
        SpreadUsage { count, rating_sum, ratings }
    }

    fn judged(usage: SpreadUsage, wishes: &Preferences) -> (u16, Vec<Reason>) {
        let judged = score(&Arc::new(spread("a")), usage, wishes);
        (judged.thousandths, judged.reasons)
    }

    fn ids(names: &[&str]) -> HashSet<Uuid> {
        names.iter().map(|name| spread(name).id).collect()
    }

    #[test]
    fn each_preference_has_its_weight() {
        let none = Preferences::default;
        let wished = [
            (none(), 0, vec![]),
            (
                Preferences { difficulty: Some(Difficulty::Intermediate), ..none() },
                400,
                vec![Reason::Difficulty],
            ),
            (
                Preferences { difficulty: Some(Difficulty::Beginner), ..none() },
                200,
                vec![Reason::Difficulty],
            ),
            (
                Preferences { difficulty: Some(Difficulty::Advanced), ..none() },
                200,
                vec![Reason::Difficulty],
            ),
            (Preferences { difficulty: Some(Difficulty::Expert), ..none() }, 0, vec![]),
            (Preferences { karma: Some(Karma::Evil), ..none() }, 200, vec![Reason::Karma]),
            (Preferences { karma: Some(Karma::Good), ..none() }, 0, vec![]),
            (Preferences { karma: Some(Karma::Neutral), ..none() }, 0, vec![]),
            (
                Preferences { faction: Some(FactionKey::Raiders), ..none() },
                300,
                vec![Reason::Faction],
            ),
            (Preferences { faction: Some(FactionKey::Ncr), ..none() }, 0, vec![]),
            (Preferences { available_minutes: Some(13), ..none() }, 100, vec![Reason::Time]),
            (Preferences { available_minutes: Some(12), ..none() }, 0, vec![]),
            (Preferences { available_minutes: Some(-1), ..none() }, 0, vec![]),
            (Preferences { recent: Some(ids(&[])), ..none() }, 50, vec![Reason::NotRecent]),
            (Preferences { recent: Some(ids(&["b"])), ..none() }, 50, vec![Reason::NotRecent]),
            (Preferences { recent: Some(ids(&["b", "a"])), ..none() }, 0, vec![]),
        ];
        for (wishes, score, reasons) in wished {
            assert_eq!(judged(used(0, 0, 0), &wishes), (score, reasons), "{wishes:?}");
        }
    }

    #[test]
    fn a_karma_context_suits_two_types_of_spreads() {
        let suiting = |karma| {
            let wishes = Preferences { karma: Some(karma), ..Preferences::default() };
            let suits = |spread_type: &SpreadType| {
                let spread = Spread { spread_type: *spread_type, ..spread("a") };
                score(&Arc::new(spread), used(0, 0, 0), &wishes).thousandths == 200
            };
            SpreadType::ALL.iter().copied().filter(suits).collect::<Vec<_>>()
        };
        assert_eq!(
            suiting(Karma::Good),
            [SpreadType::VaultTecSpread, SpreadType::BrotherhoodCouncil]
        );
        assert_eq!(
            suiting(Karma::Neutral),
            [SpreadType::SingleWasteland, SpreadType::WastelandSurvival]
        );
        assert_eq!(suiting(Karma::Evil), [SpreadType::RaiderChaos, SpreadType::WastelandSurvival]);
    }

    #[test]
    fn a_spread_that_no_faction_favours_is_favoured_by_none() {
        let spread = Arc::new(Spread { faction: None, ..spread("a") });
        for faction in [None, Some(FactionKey::Raiders)] {
            let wishes = Preferences { faction, ..Preferences::default() };
            assert_eq!(score(&spread, used(0, 0, 0), &wishes).thousandths, 0);
        }
    }

    #[test]
    fn good_ratings_and_usage_add_without_a_preference() {
        let of_use = [
            (used(100, 0, 0), 0, vec![]),
            (used(101, 0, 0), 50, vec![Reason::Popularity]),
            (used(9, 8, 2), 0, vec![]),
            (used(9, 9, 2), 100, vec![Reason::Rating]),
            // Shown as 4.0, and yet above it.
            (used(99, 397, 99), 100, vec![Reason::Rating]),
            (used(101, 5, 1), 150, vec![Reason::Rating, Reason::Popularity]),
        ];
        for (usage, score, reasons) in of_use {
            assert_eq!(judged(usage, &Preferences::default()), (score, reasons), "{usage:?}");
        }
    }

    #[test]
    fn a_score_is_halved_for_a_recent_spread_and_capped() {
        let mut wishes = Preferences {
            difficulty: Some(Difficulty::Intermediate),
            karma: Some(Karma::Evil),
            faction: Some(FactionKey::Raiders),
            available_minutes: Some(13),
            recent: Some(ids(&[])),
        };
        let mut all = vec![
            Reason::Difficulty,
            Reason::Karma,
            Reason::Faction,
            Reason::Time,
            Reason::Rating,
            Reason::Popularity,
            Reason::NotRecent,
        ];
        // 1200 in all.
        assert_eq!(judged(used(101, 5, 1), &wishes), (1000, all.clone()));
        wishes.recent = Some(ids(&["a"]));
        all.pop();
        // 1150, halved before it is capped.
        assert_eq!(judged(used(101, 5, 1), &wishes), (575, all));
    }

    fn with_usage(spread: Spread, usage: SpreadUsage) -> SpreadWithUsage {
        SpreadWithUsage { spread: Arc::new(spread), usage }
    }

    fn names(found: &[Recommendation]) -> Vec<(&str, u16)> {
        found.iter().map(|one| (one.spread.name.as_str(), one.thousandths)).collect()
    }

    #[test]
    fn spreads_that_score_less_than_three_tenths_are_not_recommended() {
        let spreads = [with_usage(spread("a"), used(0, 0, 0))];
        let faction = Some(FactionKey::Raiders);
        let found = recommend(&spreads, &Preferences { faction, ..Preferences::default() }, 9);
        assert_eq!(names(&found), [("a", 300)]);
        let less = Preferences {
            karma: Some(Karma::Evil),
            recent: Some(ids(&[])),
            ..Preferences::default()
        };
        assert_eq!(recommend(&spreads, &less, 9), []);
    }

    #[test]
    fn the_best_come_first_then_the_most_used_then_by_name() {
        let inactive = Spread { is_active: false, ..spread("inactive") };
        let premium = Spread { is_premium: true, ..spread("premium") };
        let near = Spread { difficulty: Difficulty::Advanced, ..spread("near") };
        let spreads = [
            with_usage(near, used(100, 0, 0)),
            with_usage(spread("b"), used(1, 0, 0)),
            with_usage(spread("a"), used(1, 0, 0)),
            with_usage(inactive, used(3, 0, 0)),
            with_usage(premium, used(2, 0, 0)),
        ];
        let wishes = Preferences {
            difficulty: Some(Difficulty::Intermediate),
            faction: Some(FactionKey::Raiders),
            ..Preferences::default()
        };
        let expected = [("premium", 700), ("a", 700), ("b", 700), ("near", 500)];
        for limit in 0..5 {
            let found = recommend(&spreads, &wishes, limit);
            assert_eq!(names(&found), expected[..limit.min(4)]);
        }
    }
}
