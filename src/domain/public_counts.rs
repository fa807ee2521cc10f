//! Public counts of the landing page.

use serde::{Deserialize, Serialize};

/// Counts over the whole site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicCounts {
    /// Active users.
    pub users: i64,
    /// Complete readings.
    pub readings: i64,
}
