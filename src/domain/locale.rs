//! Languages, and texts that exist in several of them.

use serde::{Deserialize, Serialize};

use super::enums::text_enum;

text_enum! {
    /// Language of texts. English is complete; others may have gaps.
    Locale {
        /// English.
        En = "en",
        /// Traditional Chinese, as it is written in Taiwan.
        ZhHant = "zh_hant",
    }
}

/// One value for each language. English is always present, and the fallback for a missing language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Localized<T> {
    en: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    zh_hant: Option<T>,
}

impl<T> Localized<T> {
    /// Values in English and, optionally, in Traditional Chinese.
    pub const fn new(en: T, zh_hant: Option<T>) -> Self {
        Self { en, zh_hant }
    }

    /// Value in that language, with English as the fallback.
    pub fn get(&self, locale: Locale) -> &T {
        match locale {
            Locale::En => &self.en,
            Locale::ZhHant => self.zh_hant.as_ref().unwrap_or(&self.en),
        }
    }

    /// Existing values with their languages.
    pub fn iter(&self) -> impl Iterator<Item = (Locale, &T)> {
        std::iter::once((Locale::En, &self.en))
            .chain(self.zh_hant.as_ref().map(|value| (Locale::ZhHant, value)))
    }

    /// Maps the values of all existing languages.
    pub fn map<'a, U>(&'a self, mut change: impl FnMut(Locale, &'a T) -> U) -> Localized<U> {
        Localized {
            en: change(Locale::En, &self.en),
            zh_hant: self.zh_hant.as_ref().map(|value| change(Locale::ZhHant, value)),
        }
    }

    /// Collects values by language; `None` if English is missing.
    pub fn gather(values: impl IntoIterator<Item = (Locale, T)>) -> Option<Self> {
        let (mut en, mut zh_hant) = (None, None);
        for (locale, value) in values {
            match locale {
                Locale::En => en = Some(value),
                Locale::ZhHant => zh_hant = Some(value),
            }
        }
        Some(Self { en: en?, zh_hant })
    }
}
