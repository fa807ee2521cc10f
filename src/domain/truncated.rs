//! Texts of clients in messages, which stay short whatever was sent.

/// A text truncated to `maximum` characters, with an ellipsis.
#[must_use]
pub fn truncated(text: &str, maximum: usize) -> String {
    if text.chars().count() <= maximum {
        return text.to_owned();
    }
    text.chars().take(maximum - 1).chain(['…']).collect()
}
