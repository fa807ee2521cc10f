//! Text search in memory.

use unicode_normalization::UnicodeNormalization;

/// Canonical form for comparisons: NFC and lower case, letter by letter, so that the context of a letter
/// does not matter.
#[must_use]
pub fn folded(text: &str) -> String {
    // Normalized again, because some letters compose in lower case only.
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// A case-insensitive search term without wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Search for that term.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(folded(text))
    }

    /// `true` if one of these texts contains the term.
    pub fn is_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        texts.into_iter().any(|text| folded(text).contains(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_capitals_or_not_composed_or_not() {
        let found = [
            ("ACE", "Ace of Cups"),
            ("e\u{301}", "CAF\u{c9}"),
            ("\u{c9}", "cafe\u{301}"),
            // Has no capital of its own.
            ("\u{1f0}", "J\u{30c}"),
            // Is another letter at the end of a word.
            ("ΟΔΟΣ", "οδοσα"),
            ("樂", "可樂瓶"),
            ("0%", "100% caps"),
            ("a_b", "A_B"),
        ];
        for (term, text) in found {
            assert!(Search::new(term).is_in(["nothing", text]), "{term} in {text}");
        }
        for (term, text) in [("%", "caps"), ("a_b", "acb"), ("_", "Ace"), ("cups ", "cups")] {
            assert!(!Search::new(term).is_in([text]), "{term} in {text}");
        }
    }
}
