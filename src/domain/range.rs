//! Ranges of numbers, both ends included.

/// From `min` to `max`; an end that is `None` is open. Nothing lies in it where `min` is the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// The smallest.
    pub min: Option<T>,
    /// The largest.
    pub max: Option<T>,
}

impl<T> Default for Range<T> {
    /// Everything.
    fn default() -> Self {
        Self { min: None, max: None }
    }
}

impl<T: PartialOrd> Range<T> {
    /// Whether the value lies in it.
    pub fn contains(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| min <= value)
            && self.max.as_ref().is_none_or(|max| value <= max)
    }
}
