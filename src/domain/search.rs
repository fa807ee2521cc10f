//! Text search in memory, with the same case folding as in the databases.

pub use search_text::{fold_case, has_trigram_of_words};

/// A case-insensitive search term without wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Search for that term.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(fold_case(text))
    }

    /// `true` if one of these texts contains the term.
    pub fn is_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        texts.into_iter().any(|text| fold_case(text).contains(&self.0))
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
            ("strasse", "Die Straße"),
            // Is another letter at the end of a word.
            ("ΟΔΟΣ", "οδοσα"),
            ("ΟΔΟΣ", "μια οδος"),
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
