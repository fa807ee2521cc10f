//! The files of the demonstration data. They are embedded in the program, and a test parses each of them,
//! so parsing cannot fail at run time.

use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use unicode_normalization::UnicodeNormalization;

use crate::domain::faction::FactionKey;
use crate::domain::locale::{Locale, Localized};
use crate::domain::voice::VoiceKey;

/// Parsed contents of all files.
pub(super) struct SeedFiles {
    /// People; the first is the demonstration user, the second the admin.
    pub(super) people: Vec<PersonFile>,
    pub(super) themes: Vec<ThemeFile>,
    pub(super) slots: Localized<Slots>,
    pub(super) categories: Vec<CategoryFile>,
}

#[derive(Deserialize)]
struct PeopleFile {
    person: Vec<PersonFile>,
}

#[derive(Deserialize)]
struct QuestionsFile {
    theme: Vec<ThemeFile>,
    slots: Localized<Slots>,
}

#[derive(Deserialize)]
struct CategoriesFile {
    category: Vec<CategoryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonFile {
    pub(super) username: String,
    pub(super) display_name: Option<String>,
    pub(super) bio: Option<String>,
    pub(super) faction: FactionKey,
    pub(super) preferred_voice: VoiceKey,
    pub(super) locale: Locale,
    pub(super) karma_score: i16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThemeFile {
    pub(super) key: String,
    en: ThemeText,
    zh_hant: ThemeText,
}

/// Texts of one theme in one language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThemeText {
    pub(super) tags: Vec<String>,
    pub(super) focus_areas: Vec<String>,
    pub(super) questions: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) feedback: Vec<String>,
}

/// Values of the slots in the texts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slots {
    pub(super) person: Vec<String>,
    pub(super) place: Vec<String>,
    pub(super) thing: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryFile {
    pub(super) theme: String,
    pub(super) color: String,
    pub(super) icon: String,
    en: CategoryText,
    zh_hant: CategoryText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryText {
    pub(super) name: String,
    pub(super) description: Option<String>,
}

impl SeedFiles {
    /// The parsed files, parsed once a process.
    pub(super) fn read() -> &'static Self {
        static FILES: OnceLock<SeedFiles> = OnceLock::new();
        FILES.get_or_init(|| {
            let mut questions: QuestionsFile = parse(include_str!("questions.toml"));
            for theme in &mut questions.theme {
                normalise_tags(&mut theme.en.tags);
                normalise_tags(&mut theme.zh_hant.tags);
            }
            Self {
                people: parse::<PeopleFile>(include_str!("people.toml")).person,
                themes: questions.theme,
                slots: questions.slots,
                categories: parse::<CategoriesFile>(include_str!("categories.toml")).category,
            }
        })
    }
}

impl ThemeFile {
    pub(super) const fn text(&self, locale: Locale) -> &ThemeText {
        match locale {
            Locale::En => &self.en,
            Locale::ZhHant => &self.zh_hant,
        }
    }
}

impl CategoryFile {
    pub(super) const fn text(&self, locale: Locale) -> &CategoryText {
        match locale {
            Locale::En => &self.en,
            Locale::ZhHant => &self.zh_hant,
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("a test reads every file of the demonstration data")
}

/// Normalizes tags as the app does, so that a tag is found however it is typed.
fn normalise_tags(tags: &mut Vec<String>) {
    let mut all: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags.drain(..) {
        let tag: String = tag.trim().nfc().collect();
        if !all.contains(&tag) {
            all.push(tag);
        }
    }
    *tags = all;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_theme_has_all_texts_and_a_category() {
        let files = SeedFiles::read();
        assert_eq!(files.people.len(), 50);
        assert_eq!(files.people[0].username, "demo");
        assert_eq!(files.people[1].username, "overseer");
        for theme in &files.themes {
            for locale in Locale::ALL {
                let text = theme.text(*locale);
                for texts in
                    [&text.tags, &text.focus_areas, &text.questions, &text.notes, &text.feedback]
                {
                    assert!(!texts.is_empty(), "{} {locale}", theme.key);
                }
            }
            let category = files.categories.iter().find(|category| category.theme == theme.key);
            assert!(category.is_some(), "{}", theme.key);
        }
        assert_eq!(files.categories.len(), files.themes.len());
    }

    #[test]
    fn tags_are_trimmed_composed_and_unique() {
        let mut tags = vec![" Zoe\u{308} ".to_owned(), "Zo\u{eb}".to_owned(), "a".to_owned()];
        normalise_tags(&mut tags);
        assert_eq!(tags, ["Zo\u{eb}", "a"]);
    }
}
