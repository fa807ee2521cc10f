//! Which spreads suit a person: a score, and what it is made of.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::faction::FactionKey;
use super::popular_spreads::UsedSpread;
use super::reading::Karma;
use super::spread::{Difficulty, Spread, SpreadType, SpreadUsage};

/// What a person wishes for. What is `None` is left out of the score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How hard a spread may be to read.
    pub difficulty: Option<Difficulty>,
    /// The tone.
    pub karma: Option<Karma>,
    /// The person's faction.
    pub faction: Option<FactionKey>,
    /// How many minutes there are.
    pub available_minutes: Option<i32>,
    /// The spreads that the person used of late.
    pub recent: Option<HashSet<Uuid>>,
}

/// What adds to a score, the heaviest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecommendationReason {
    /// It is as hard as is wished for, or one level off.
    Difficulty,
    /// It suits the tone.
    Karma,
    /// The faction favours it.
    Faction,
    /// There is time enough.
    Time,
    /// It is rated well.
    Rating,
    /// It is used often.
    Popularity,
    /// It was not used of late.
    NotRecent,
}

/// A spread that suits somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The spread.
    pub spread: Arc<Spread>,
    /// How well it suits, in thousandths. Whole numbers, so that 300 is not a little less.
    pub thousandths: u16,
    /// What adds to the score, in order.
    pub reasons: Vec<RecommendationReason>,
}

/// Points, in thousandths.
const SAME_DIFFICULTY: u16 = 400;
const NEAR_DIFFICULTY: u16 = 200;
const KARMA: u16 = 200;
const FACTION: u16 = 300;
const TIME: u16 = 100;
const RATING: u16 = 100;
const POPULARITY: u16 = 50;
const NOT_RECENT: u16 = 50;
/// What scores less is no recommendation.
const LEAST: u16 = 300;
/// No score is higher.
const MOST: u16 = 1000;
/// Above this mean a spread is rated well.
const GOOD_RATING: i64 = 4;
/// Above this count a spread is used often.
const OFTEN: i64 = 100;

/// The active spreads that suit best, so many at most: by score, then usage, then name.
#[must_use]
pub fn recommended(spreads: &[UsedSpread], wishes: &Wishes, limit: usize) -> Vec<Recommendation> {
    let mut suiting: Vec<_> = spreads
        .iter()
        .filter(|(spread, _)| spread.is_active)
        .map(|(spread, usage)| (judge(spread, *usage, wishes), usage.count))
        .filter(|(recommendation, _)| recommendation.thousandths >= LEAST)
        .collect();
    suiting.sort_by(|(one, one_used), (other, other_used)| {
        Reverse((one.thousandths, one_used))
            .cmp(&Reverse((other.thousandths, other_used)))
            .then_with(|| one.spread.name.cmp(&other.spread.name))
    });
    suiting.into_iter().take(limit).map(|(recommendation, _)| recommendation).collect()
}

/// How well a spread suits somebody.
fn judge(spread: &Arc<Spread>, usage: SpreadUsage, wishes: &Wishes) -> Recommendation {
    let if_so = |is_so: bool, points: u16| if is_so { points } else { 0 };
    let is_recent = wishes.recent.as_ref().map(|recent| recent.contains(&spread.id));
    let has_time = wishes
        .available_minutes
        .and_then(|minutes| usize::try_from(minutes).ok())
        .is_some_and(|minutes| spread.estimated_minutes() <= minutes);
    let suits_karma =
        wishes.karma.is_some_and(|karma| suiting(karma).contains(&spread.spread_type));
    let is_favoured = wishes.faction.is_some() && spread.faction == wishes.faction;
    let difficulty = wishes.difficulty.map_or(0, |wished| nearness(spread.difficulty, wished));
    let points = [
        (RecommendationReason::Difficulty, difficulty),
        (RecommendationReason::Karma, if_so(suits_karma, KARMA)),
        (RecommendationReason::Faction, if_so(is_favoured, FACTION)),
        (RecommendationReason::Time, if_so(has_time, TIME)),
        (RecommendationReason::Rating, if_so(usage.is_rated_above(GOOD_RATING), RATING)),
        (RecommendationReason::Popularity, if_so(usage.count > OFTEN, POPULARITY)),
        (RecommendationReason::NotRecent, if_so(is_recent == Some(false), NOT_RECENT)),
    ];
    let sum: u16 = points.iter().map(|(_, points)| points).sum();
    let score = if is_recent == Some(true) { sum / 2 } else { sum };
    Recommendation {
        spread: Arc::clone(spread),
        thousandths: score.min(MOST),
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

/// The kinds of spreads that suit a tone.
const fn suiting(karma: Karma) -> &'static [SpreadType] {
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

    fn judged(usage: SpreadUsage, wishes: &Wishes) -> (u16, Vec<Reason>) {
        let judged = judge(&Arc::new(spread("a")), usage, wishes);
        (judged.thousandths, judged.reasons)
    }

    fn ids(names: &[&str]) -> HashSet<Uuid> {
        names.iter().map(|name| spread(name).id).collect()
    }

    #[test]
    fn each_wish_has_its_weight() {
        let none = Wishes::default;
        let wished = [
            (none(), 0, vec![]),
            (
                Wishes { difficulty: Some(Difficulty::Intermediate), ..none() },
                400,
                vec![Reason::Difficulty],
            ),
            (
                Wishes { difficulty: Some(Difficulty::Beginner), ..none() },
                200,
                vec![Reason::Difficulty],
            ),
            (
                Wishes { difficulty: Some(Difficulty::Advanced), ..none() },
                200,
                vec![Reason::Difficulty],
            ),
            (Wishes { difficulty: Some(Difficulty::Expert), ..none() }, 0, vec![]),
            (Wishes { karma: Some(Karma::Evil), ..none() }, 200, vec![Reason::Karma]),
            (Wishes { karma: Some(Karma::Good), ..none() }, 0, vec![]),
            (Wishes { karma: Some(Karma::Neutral), ..none() }, 0, vec![]),
            (Wishes { faction: Some(FactionKey::Raiders), ..none() }, 300, vec![Reason::Faction]),
            (Wishes { faction: Some(FactionKey::Ncr), ..none() }, 0, vec![]),
            (Wishes { available_minutes: Some(13), ..none() }, 100, vec![Reason::Time]),
            (Wishes { available_minutes: Some(12), ..none() }, 0, vec![]),
            (Wishes { available_minutes: Some(-1), ..none() }, 0, vec![]),
            (Wishes { recent: Some(ids(&[])), ..none() }, 50, vec![Reason::NotRecent]),
            (Wishes { recent: Some(ids(&["b"])), ..none() }, 50, vec![Reason::NotRecent]),
            (Wishes { recent: Some(ids(&["b", "a"])), ..none() }, 0, vec![]),
        ];
        for (wishes, score, reasons) in wished {
            assert_eq!(judged(used(0, 0, 0), &wishes), (score, reasons), "{wishes:?}");
        }
    }

    #[test]
    fn a_tone_suits_two_kinds_of_spreads() {
        let suiting = |karma| {
            let wishes = Wishes { karma: Some(karma), ..Wishes::default() };
            let suits = |spread_type: &SpreadType| {
                let spread = Spread { spread_type: *spread_type, ..spread("a") };
                judge(&Arc::new(spread), used(0, 0, 0), &wishes).thousandths == 200
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
            let wishes = Wishes { faction, ..Wishes::default() };
            assert_eq!(judge(&spread, used(0, 0, 0), &wishes).thousandths, 0);
        }
    }

    #[test]
    fn good_ratings_and_use_add_without_a_wish() {
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
            assert_eq!(judged(usage, &Wishes::default()), (score, reasons), "{usage:?}");
        }
    }

    #[test]
    fn a_score_is_halved_for_a_recent_spread_and_capped() {
        let mut wishes = Wishes {
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

    fn names(found: &[Recommendation]) -> Vec<(&str, u16)> {
        found.iter().map(|one| (one.spread.name.as_str(), one.thousandths)).collect()
    }

    #[test]
    fn what_scores_less_than_three_tenths_is_left_out() {
        let spreads = [(Arc::new(spread("a")), used(0, 0, 0))];
        let faction = Some(FactionKey::Raiders);
        let found = recommended(&spreads, &Wishes { faction, ..Wishes::default() }, 9);
        assert_eq!(names(&found), [("a", 300)]);
        let less = Wishes { karma: Some(Karma::Evil), recent: Some(ids(&[])), ..Wishes::default() };
        assert_eq!(recommended(&spreads, &less, 9), []);
    }

    #[test]
    fn the_best_come_first_then_the_most_used_then_by_name() {
        let inactive = Spread { is_active: false, ..spread("inactive") };
        let premium = Spread { is_premium: true, ..spread("premium") };
        let near = Spread { difficulty: Difficulty::Advanced, ..spread("near") };
        let spreads = [
            (Arc::new(near), used(100, 0, 0)),
            (Arc::new(spread("b")), used(1, 0, 0)),
            (Arc::new(spread("a")), used(1, 0, 0)),
            (Arc::new(inactive), used(3, 0, 0)),
            (Arc::new(premium), used(2, 0, 0)),
        ];
        let wishes = Wishes {
            difficulty: Some(Difficulty::Intermediate),
            faction: Some(FactionKey::Raiders),
            ..Wishes::default()
        };
        let expected = [("premium", 700), ("a", 700), ("b", 700), ("near", 500)];
        for limit in 0..5 {
            let found = recommended(&spreads, &wishes, limit);
            assert_eq!(names(&found), expected[..limit.min(4)]);
        }
    }
}
