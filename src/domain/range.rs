//! Inclusive ranges with optional ends, as filters have them.

/// Inclusive range from `min` to `max`; `None` is unbounded. Empty if `min` exceeds `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// Minimum.
    pub min: Option<T>,
    /// Maximum.
    pub max: Option<T>,
}

impl<T> Default for Range<T> {
    /// The unbounded range.
    fn default() -> Self {
        Self { min: None, max: None }
    }
}

impl<T: PartialOrd> Range<T> {
    /// `true` if the value lies within the range.
    pub fn contains(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| min <= value)
            && self.max.as_ref().is_none_or(|max| value <= max)
    }
}
