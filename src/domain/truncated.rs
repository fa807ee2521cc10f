//! Texts of clients in messages, which stay short whatever was sent.

/// A text truncated to `maximum` characters, with an ellipsis.
#[must_use]
pub fn truncated(text: &str, maximum: usize) -> String {
    if text.chars().count() <= maximum {
        return text.to_owned();
    }
    text.chars().take(maximum - 1).chain(['…']).collect()
}

/// A text in quotes and with escape sequences, truncated so that there are at most `maximum` characters between the
/// quotes.
#[must_use]
pub fn quoted(text: &str, maximum: usize) -> String {
    const QUOTES: usize = 2;
    let mut shorter = (1..=maximum).rev().map(|kept| format!("{:?}", truncated(text, kept)));
    shorter.find(|quoted| quoted.chars().count() <= maximum + QUOTES).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_count_as_they_are_written() {
        assert_eq!(quoted("\"a\"\n", 7), r#""\"a\"\n""#);
        assert_eq!(quoted("\"a\"\n", 6), r#""\"a…""#);
        assert_eq!(quoted("\u{1e}\u{1e}\u{1e}", 13), r#""\u{1e}…""#);
        assert_eq!(quoted("", 1), r#""""#);
    }
}
