//! The forms of texts that searches compare. The server writes and searches them, and migrations write
//! them for rows that are there already; no database folds a text itself, because each would do it in a
//! way of its own.
//!
//! - [`folded`]: the Unicode default case folding of a text, so that `STRASSE` is found in `Straße`.
//! - [`indexed`]: the same for indexes of trigrams, so that `愛` is found although it is one character.
//!
//! A change of either form, by a newer version of Unicode too, needs a migration that writes the stored
//! texts again.

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// Characters that an index of trigrams takes for a term.
pub const TRIGRAM: usize = 3;

/// Case-insensitive form of a text: its full default case folding, composed (NFC). Texts that are
/// canonically equivalent without regard to case have the same form (Unicode 3.13, D145).
///
/// ```
/// use search_text::folded;
///
/// assert_eq!(folded("Straße"), "strasse");
/// assert_eq!(folded("ΟΔΥΣΣΕΎΣ"), folded("οδυσσεύς"));
/// // A dot above stays a character of its own where no letter has it.
/// assert_eq!(folded("İ"), "i\u{307}");
/// // Compatible characters stay different: a full-width letter is none of ASCII.
/// assert_eq!(folded("Ａ"), "ａ");
/// ```
#[must_use]
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Decomposed first, because a iota below a letter folds to a letter.
    let decomposed: String = text.nfd().collect();
    UniCase::unicode(decomposed).to_folded_case().nfc().collect()
}

/// Form of a text for an index of trigrams: folded, with each Chinese, Japanese and Korean character three
/// times. Such a character is a trigram then, and two of them are four: words of one and two characters
/// are found by the index. A term is in a text if its form is in the text's form, and only then.
///
/// ```
/// use search_text::indexed;
///
/// assert_eq!(indexed("Who 愛?"), "who 愛愛愛?");
/// assert!(indexed("我愛情歌").contains(&indexed("愛情")));
/// assert!(!indexed("愛情").contains(&indexed("愛愛")));
/// ```
#[must_use]
pub fn indexed(text: &str) -> String {
    let folded = folded(text);
    if folded.is_ascii() {
        return folded;
    }
    let times = |character| if is_word_by_itself(character) { TRIGRAM } else { 1 };
    folded.chars().flat_map(|character| std::iter::repeat_n(character, times(character))).collect()
}

/// True if an index of trigrams finds a term.
///
/// ```
/// use search_text::has_trigram;
///
/// assert!(has_trigram("caravan") && has_trigram("愛"));
/// assert!(!has_trigram("no"));
/// ```
#[must_use]
pub fn has_trigram(term: &str) -> bool {
    indexed(term).chars().nth(TRIGRAM - 1).is_some()
}

/// True for characters of scripts whose words are often one or two characters: Chinese, Japanese, Korean.
const fn is_word_by_itself(character: char) -> bool {
    matches!(
        character,
        // Iteration mark, closing mark and zero among the ideographs.
        '\u{3005}'..='\u{3007}'
        // Hiragana, katakana, Bopomofo.
        | '\u{3041}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}'
        | '\u{31f0}'..='\u{31ff}'
        // Ideographs and their extension A.
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        // Hangul syllables.
        | '\u{ac00}'..='\u{d7a3}'
        // Ideographs for compatibility, and half-width katakana.
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        // Kana supplements, and the ideographs beyond the basic plane.
        | '\u{1aff0}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::Strategy;

    use super::*;

    #[test]
    fn texts_that_differ_in_case_alone_have_one_form() {
        let same = [
            ("ACE of Cups", "ace OF cups"),
            ("caf\u{e9}", "CAFE\u{301}"),
            // Has no capital of its own.
            ("\u{1f0}", "J\u{30c}"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
            ("ß", "SS"),
            ("ẞ", "ſs"),
            ("İ", "i\u{307}"),
            ("ſ", "S"),
            // Micro sign and mu, Kelvin and K, Ångström and Å.
            ("\u{b5}", "\u{3bc}"),
            ("\u{212a}", "k"),
            ("\u{212b}", "\u{e5}"),
            // Georgian: capital, book and ecclesiastical letters.
            ("\u{1c90}", "\u{10d0}"),
            ("\u{10a0}", "\u{2d00}"),
            // Cherokee folds to its capitals.
            ("\u{ab70}", "\u{13a0}"),
            // Full-width letters.
            ("ＡＢＣ", "ａｂｃ"),
            ("ﬃ", "FFI"),
            // A iota below, in whatever order the marks are written.
            ("\u{1fb3}\u{301}", "\u{391}\u{301}\u{345}"),
        ];
        for (one, other) in same {
            assert_eq!(folded(one), folded(other), "{one} and {other}");
        }
        for (one, other) in [("I", "ı"), ("Ａ", "A"), ("e", "é"), ("①", "1"), ("o", "0")] {
            assert_ne!(folded(one), folded(other), "{one} and {other}");
        }
    }

    #[test]
    fn characters_of_short_words_have_a_trigram() {
        for term in ["愛", "々", "〇", "の", "ネ", "ｱ", "ㄅ", "가", "𠮷", "caravan", "ﬃ", "a 愛"]
        {
            assert!(has_trigram(term), "{term}");
        }
        for term in ["", "a", "ab", "ß", "é?", "e\u{301}!", "ＡＢ", "。。"] {
            assert!(!has_trigram(term), "{term}");
        }
    }

    /// Any characters, and those that fold to something else more often than by chance.
    fn text() -> impl Strategy<Value = String> {
        let odd: Vec<char> =
            "aAsSſßẞσςΣiIİı\u{307}éE\u{301}\u{345}ᾳµμკᲙＡａ愛愛愛情情가ﬃ ".chars().collect();
        let character = prop_oneof![any::<char>(), proptest::sample::select(odd)];
        proptest::collection::vec(character, 0..12).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]

        #[test]
        fn folding_twice_is_folding_once(text in text()) {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }

        #[test]
        fn equivalent_texts_have_one_form(text in text()) {
            let decomposed: String = text.nfd().collect();
            let composed: String = text.nfc().collect();
            prop_assert_eq!(folded(&decomposed), folded(&text));
            prop_assert_eq!(folded(&composed), folded(&text));
        }

        #[test]
        fn a_term_is_in_the_indexed_form_exactly_where_it_is_in_the_folded_one(
            text in text(),
            term in text(),
            from in 0..12_usize,
            length in 1..6_usize,
        ) {
            let part: String = text.chars().skip(from).take(length).collect();
            for term in [term, part] {
                let is_in = folded(&text).contains(&folded(&term));
                prop_assert_eq!(indexed(&text).contains(&indexed(&term)), is_in, "{}", term);
            }
        }

        #[test]
        fn texts_in_capitals_and_in_small_letters_have_one_form(text in text()) {
            // The capital of a dotless i is that of an i; that of an iota below is no mark any more, so
            // that its place among the marks counts.
            let text: String = text.replace('ı', "").nfd().collect();
            prop_assert_eq!(folded(&text.to_lowercase()), folded(&text));
            prop_assert_eq!(folded(&text.to_uppercase()), folded(&text));
        }
    }
}
