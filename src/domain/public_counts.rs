//! What the landing page counts.

/// Counts over the whole site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicCounts {
    /// Active users.
    pub users: i64,
    /// Complete readings.
    pub readings: i64,
}
