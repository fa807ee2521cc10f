//! Counts in messages for people.

/// A count with its noun, which is regular: "1 tag", "2 tags".
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
