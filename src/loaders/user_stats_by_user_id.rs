//! Statistics of users' readings, by user and time zone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::statistics::{reading_groups, streaks_and_draws};
use crate::db::{DbError, Session};
use crate::domain::statistics::{
    Minute, ReadingGroup, Summary, TimeWindow, UserReadingStats, UtcOffset,
};

/// User and time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserStatsKey {
    /// Owner of the readings.
    pub user: Uuid,
    /// Offset of the time zone, in which days begin.
    pub offset: UtcOffset,
}

/// Loads statistics of users' readings as of a minute: two statements for all users of one time zone.
/// Callers check that the viewer may see them.
pub struct UserStatsByUserId(pub(super) Minute);

/// Days of a rolling week.
const WEEK: u16 = 7;

impl Load for UserStatsByUserId {
    type Key = UserStatsKey;
    type Value = Arc<UserReadingStats>;

    async fn load(
        &self,
        session: &Session,
        keys: &[UserStatsKey],
    ) -> Result<HashMap<UserStatsKey, Self::Value>, DbError> {
        let mut users_of: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for key in keys {
            users_of.entry(key.offset.0).or_default().push(key.user);
        }
        let mut stats = HashMap::with_capacity(keys.len());
        for (minutes, users) in users_of {
            let offset = UtcOffset(minutes);
            for (user, of_user) in self.load_on(session, &users, offset).await? {
                stats.insert(UserStatsKey { user, offset }, Arc::new(of_user));
            }
        }
        Ok(stats)
    }
}

impl UserStatsByUserId {
    async fn load_on(
        &self,
        session: &Session,
        users: &[Uuid],
        offset: UtcOffset,
    ) -> Result<Vec<(Uuid, UserReadingStats)>, DbError> {
        let Self(minute) = self;
        let now = minute.start();
        let windows =
            [offset.month_of(now), offset.week_of(now), TimeWindow::before(minute.end(), WEEK)];
        let groups = reading_groups(session, users, TimeWindow::default(), windows).await?;
        let days = streaks_and_draws(session, users, offset).await?;
        let mut groups_of: HashMap<Uuid, Vec<ReadingGroup<3>>> = HashMap::new();
        for group in groups {
            groups_of.entry(group.user).or_default().push(group);
        }
        let days: HashMap<Uuid, _> =
            days.into_iter().map(|of_user| (of_user.user, of_user)).collect();
        let today = offset.date_of(now);
        let stats = |user: &Uuid| {
            let groups = groups_of.get(user).map_or(&[][..], Vec::as_slice);
            let days = days.get(user);
            UserReadingStats {
                summary: Summary::of(groups),
                draws: days.map_or(0, |days| days.draws),
                current_streak_days: days.map_or(0, |days| days.streak.days_as_of(today)),
            }
        };
        Ok(users.iter().map(|user| (*user, stats(user))).collect())
    }
}
