//! Case folding for text search, and skeletons of usernames. The server stores and searches folded texts, and
//! migrations fold existing rows; the databases fold nothing, because each has its own rules.
//!
//! - [`fold_case`]: Unicode default case folding, so that `STRASSE` is found in `Straße`.
//! - [`fold_for_trigrams`]: the same for trigram indexes, so that `愛` is found although it is one character.
//! - [`skeleton`]: the form that a username shares with its look-alikes, which a unique index compares.
//!
//! A change of a function, also by a newer version of Unicode, needs a migration that folds the stored texts
//! again.

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// Minimum number of characters of a term that a trigram index finds.
pub const TRIGRAM: usize = 3;

/// Full default case folding of a text, composed (NFC). Texts that are a canonical caseless match have the same
/// result (Unicode 3.13, D145).
///
/// ```
/// use search_text::fold_case;
///
/// assert_eq!(fold_case("Straße"), "strasse");
/// assert_eq!(fold_case("ΟΔΥΣΣΕΎΣ"), fold_case("οδυσσεύς"));
/// // A dot above stays a separate character where no letter is composed with it.
/// assert_eq!(fold_case("İ"), "i\u{307}");
/// // Compatibility characters stay different: a full-width letter is not one of ASCII.
/// assert_eq!(fold_case("Ａ"), "ａ");
/// ```
#[must_use]
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Decomposed first, because an iota subscript folds to a letter.
    let decomposed: String = text.nfd().collect();
    UniCase::unicode(decomposed).to_folded_case().nfc().collect()
}

/// Form that look-alikes of a username share: its skeleton (Unicode Technical Standard #39, section 4), without regard
/// to case. Of several letters in a row that look like one, such as `rn` and `m`, each has the same form too.
///
/// ```
/// use search_text::skeleton;
///
/// // Cyrillic letters, a digit one, a digit zero.
/// assert_eq!(skeleton("\u{440}\u{430}\u{443}\u{440}\u{430}l"), skeleton("paypal"));
/// assert_eq!(skeleton("bi1l"), skeleton("bill"));
/// assert_eq!(skeleton("z0e"), skeleton("zoe"));
/// assert_ne!(skeleton("ada"), skeleton("eda"));
/// ```
#[must_use]
pub fn skeleton(username: &str) -> String {
    // Folded again, because the prototype of a digit zero is a capital letter.
    let prototypes: String = unicode_security::skeleton(&fold_case(username)).collect();
    fold_case(&prototypes)
}

/// Folded text for a trigram index, with each Chinese, Japanese and Korean character three times. Each of them is then
/// a trigram, so the index finds words of one and two characters. A folded term is a substring of a folded text
/// exactly if the term is a substring of the text.
///
/// ```
/// use search_text::fold_for_trigrams;
///
/// assert_eq!(fold_for_trigrams("Who 愛?"), "who 愛愛愛?");
/// assert!(fold_for_trigrams("我愛情歌").contains(&fold_for_trigrams("愛情")));
/// assert!(!fold_for_trigrams("愛情").contains(&fold_for_trigrams("愛愛")));
/// ```
#[must_use]
pub fn fold_for_trigrams(text: &str) -> String {
    let folded = fold_case(text);
    if folded.is_ascii() {
        return folded;
    }
    let times = |character| if is_cjk(character) { TRIGRAM } else { 1 };
    folded.chars().flat_map(|character| std::iter::repeat_n(character, times(character))).collect()
}

/// True if a trigram index finds a term.
///
/// ```
/// use search_text::has_trigram;
///
/// assert!(has_trigram("caravan") && has_trigram("愛"));
/// assert!(!has_trigram("no"));
/// ```
#[must_use]
pub fn has_trigram(term: &str) -> bool {
    fold_for_trigrams(term).chars().nth(TRIGRAM - 1).is_some()
}

/// True if an index of the trigrams of words finds a term, as PostgreSQL's does. A word is a run of letters and
/// digits, with two spaces before it and one after it.
///
/// ```
/// use search_text::has_trigram_of_words;
///
/// assert!(has_trigram_of_words("caravan?") && has_trigram_of_words("愛"));
/// assert!(!has_trigram_of_words("???"));
/// ```
#[must_use]
pub fn has_trigram_of_words(term: &str) -> bool {
    let term = fold_for_trigrams(term);
    let words: Vec<&str> = term.split(|character: char| !character.is_alphanumeric()).collect();
    // The term may go on before its first word and after its last one.
    let last = words.len() - 1;
    words.iter().enumerate().any(|(at, word)| {
        let before = if at == 0 { 0 } else { 2 };
        let after = usize::from(at < last);
        !word.is_empty() && before + word.chars().count() + after >= TRIGRAM
    })
}

/// True for characters of Chinese, Japanese and Korean, whose words are often one or two characters.
const fn is_cjk(character: char) -> bool {
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
    fn texts_that_differ_in_case_only_are_folded_alike() {
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
            // An iota subscript, with the marks in any order.
            ("\u{1fb3}\u{301}", "\u{391}\u{301}\u{345}"),
        ];
        for (one, other) in same {
            assert_eq!(fold_case(one), fold_case(other), "{one} and {other}");
        }
        for (one, other) in [("I", "ı"), ("Ａ", "A"), ("e", "é"), ("①", "1"), ("o", "0")] {
            assert_ne!(fold_case(one), fold_case(other), "{one} and {other}");
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

    /// Any characters, with a preference for those that case folding changes.
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
            let once = fold_case(&text);
            prop_assert_eq!(fold_case(&once), once);
        }

        #[test]
        fn canonically_equivalent_texts_are_folded_alike(text in text()) {
            let decomposed: String = text.nfd().collect();
            let composed: String = text.nfc().collect();
            prop_assert_eq!(fold_case(&decomposed), fold_case(&text));
            prop_assert_eq!(fold_case(&composed), fold_case(&text));
        }

        #[test]
        fn a_term_is_in_the_text_for_trigrams_exactly_if_it_is_in_the_folded_text(
            text in text(),
            term in text(),
            from in 0..12_usize,
            length in 1..6_usize,
        ) {
            let part: String = text.chars().skip(from).take(length).collect();
            for term in [term, part] {
                let is_in = fold_case(&text).contains(&fold_case(&term));
                prop_assert_eq!(fold_for_trigrams(&text).contains(&fold_for_trigrams(&term)), is_in, "{}", term);
            }
        }

        #[test]
        fn texts_in_upper_and_lower_case_are_folded_alike(text in text()) {
            // The capital of a dotless i is that of an i; that of an iota subscript is a letter, so its place
            // among the marks matters.
            let text: String = text.replace('ı', "").nfd().collect();
            prop_assert_eq!(fold_case(&text.to_lowercase()), fold_case(&text));
            prop_assert_eq!(fold_case(&text.to_uppercase()), fold_case(&text));
        }
    }

    #[test]
    fn terms_of_signs_have_no_trigrams_of_words() {
        for term in ["abc", "愛", "愛情", "a b", "?a", "ab?", "a-b-c", "100%", "é ü"] {
            assert!(has_trigram_of_words(term), "{term}");
        }
        for term in ["", "a", "ab", "???", "a??", "...", "50", "\u{1f600}\u{1f600}\u{1f600}"] {
            assert!(!has_trigram_of_words(term), "{term}");
        }
    }
}
