//! Creation times of the readings of the demonstration data: half a year up to now, increasing in number,
//! with a peak in the evening. Times are generated one by one and never held in memory together.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::RngExt;
use rand::rngs::StdRng;

/// Days before now of the first reading.
const DAYS: u64 = 180;
const DAY: TimeDelta = TimeDelta::days(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
/// Time before now without readings, because readings are rated some time after their creation.
const QUIET: TimeDelta = TimeDelta::minutes(1);
/// Minimum interval of two readings: ids sort by the millisecond.
const APART: TimeDelta = TimeDelta::milliseconds(1);
/// Minimum number of readings of the current day, even just after midnight.
const TODAY_MINIMUM: u64 = 6;
/// Relative number of readings in each hour of a UTC day.
const OF_HOUR: [u64; 24] =
    [6, 4, 2, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5, 4, 4, 5, 6, 8, 10, 12, 12, 10, 8];

/// Earliest time of a reading.
pub(super) fn first_time(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(DAYS.cast_signed())
}

/// Generator of the times of all readings, ascending and distinct to the millisecond.
pub(super) struct Times {
    earlier: Interval,
    today: Interval,
    last: DateTime<Utc>,
}

impl Times {
    pub(super) fn new(now: DateTime<Utc>, count: usize) -> Self {
        let (start, end) = (first_time(now), now - QUIET);
        let today_from = start_of_day(now);
        let (mut earlier, mut today) = (Interval::default(), Interval::default());
        let mut from = start;
        while from < end {
            let to = (start_of_hour(from) + HOUR).min(end);
            let day = (from - start).num_days().unsigned_abs();
            // The last day has three times the readings of the first.
            let density = OF_HOUR[usize::try_from(from.hour()).unwrap_or(0)] * (DAYS + 2 * day);
            let interval = if from < today_from { &mut earlier } else { &mut today };
            interval.add(from, to, density);
            from = to;
        }
        let count = count as u64;
        let natural = u128::from(count) * u128::from(today.weight())
            / u128::from(earlier.weight() + today.weight()).max(1);
        let natural = u64::try_from(natural).unwrap_or(count);
        today.count = if today.weight() == 0 { 0 } else { natural.max(TODAY_MINIMUM).min(count) };
        earlier.count = count - today.count;
        Self { earlier, today, last: start - APART }
    }

    /// The next reading's time, to the microsecond: a random time within its share of the interval.
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Option<DateTime<Utc>> {
        let time = self.earlier.next(rng).or_else(|| self.today.next(rng))?;
        self.last = time.max(self.last + APART);
        Some(self.last)
    }
}

/// A sequence of hours and the number of readings to distribute over it.
#[derive(Default)]
struct Interval {
    hours: Vec<Hour>,
    count: u64,
    placed: u64,
}

/// An hour, or the part of it within the interval. Its weight is density times microseconds.
struct Hour {
    from: DateTime<Utc>,
    density: u64,
    /// Weight of the interval up to the end of this hour.
    weight_to: u64,
}

impl Interval {
    fn add(&mut self, from: DateTime<Utc>, to: DateTime<Utc>, density: u64) {
        let length = (to - from).num_microseconds().unwrap_or(0).unsigned_abs();
        self.hours.push(Hour { from, density, weight_to: self.weight() + length * density });
    }

    fn weight(&self) -> u64 {
        self.hours.last().map_or(0, |hour| hour.weight_to)
    }

    fn next(&mut self, rng: &mut StdRng) -> Option<DateTime<Utc>> {
        if self.placed == self.count {
            return None;
        }
        let share = self.weight() / self.count;
        let place = self.placed * share + rng.random_range(0..share.max(1));
        self.placed += 1;
        let index = self.hours.partition_point(|hour| hour.weight_to <= place);
        let before = index.checked_sub(1).map_or(0, |index| self.hours[index].weight_to);
        let hour = self.hours.get(index)?;
        let offset = (place - before) / hour.density;
        Some(hour.from + TimeDelta::microseconds(offset.cast_signed()))
    }
}

fn start_of_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    time - since_epoch_modulo(time, HOUR)
}

fn start_of_day(time: DateTime<Utc>) -> DateTime<Utc> {
    time - since_epoch_modulo(time, DAY)
}

fn since_epoch_modulo(time: DateTime<Utc>, unit: TimeDelta) -> TimeDelta {
    let unit = unit.num_microseconds().unwrap_or(i64::MAX);
    TimeDelta::microseconds(time.timestamp_micros().rem_euclid(unit))
}
