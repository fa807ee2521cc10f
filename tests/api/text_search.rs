//! Text search: both databases find the same texts as a substring search in folded texts, in any script, and report
//! terms that they do not search for.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search_text::{fold_case, has_trigram_of_words};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use wasteland_tarot::config::database::SEARCH_PROBE_ROWS;
use wasteland_tarot::db::entities::reading_sessions;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{TestApp, data_of, on_both_databases};
use crate::support::fixtures::{id, reading, reading_id, rows, spread_id, user};
use crate::support::mutations::payload;

/// Characters with special case folding, of several scripts, and of the databases' syntax.
const CHARACTERS: &str = "aAbBsSſßẞiIİı\u{307}eEéÉ\u{301}kK\u{212a}åÅ\u{212b}µμΜσςΣάΆᾳΑ\u{345}яЯ\
    კᲙႠⴀꭰᎠＡａＺｚﬃǅ愛情的嗎愛愛々〇のネｱ가힣𠮷ㄅ。？ 　%_\\'\"*-^:(){}0１½①😀";

/// Texts and terms of one seed.
struct Chance(StdRng);

impl Chance {
    fn character(&mut self) -> char {
        // Any character but those that no text may have.
        if self.0.random_range(0..8) == 0 {
            loop {
                let any = char::from_u32(self.0.random_range(0x20..0x11_0000));
                if let Some(character) = any.filter(|character| !character.is_control()) {
                    return character;
                }
            }
        }
        let all: Vec<char> = CHARACTERS.chars().collect();
        all[self.0.random_range(0..all.len())]
    }

    /// A text of at most so many characters, as the server stores it.
    fn text(&mut self, characters: usize) -> String {
        let count = self.0.random_range(1..=characters);
        let text: String = (0..count).map(|_| self.character()).collect();
        let text: String = text.nfc().collect();
        let text = text.trim();
        if text.is_empty() { "?".to_owned() } else { text.to_owned() }
    }

    /// A part of one of the texts, in this or that case and normalization form, or any text.
    fn term(&mut self, texts: &[String]) -> String {
        if self.0.random_range(0..6) == 0 {
            return self.text(4);
        }
        let text = &texts[self.0.random_range(0..texts.len())];
        let from = self.0.random_range(0..text.chars().count());
        let length = self.0.random_range(1..6);
        let part: String = text.chars().skip(from).take(length).collect();
        match self.0.random_range(0..5) {
            0 => part.to_uppercase(),
            1 => part.to_lowercase(),
            2 => fold_case(&part),
            3 => part.nfd().collect(),
            _ => part,
        }
    }
}

/// The term as the server normalizes it: composed, and without space around it.
fn normalized(term: &str) -> String {
    term.nfc().collect::<String>().trim().to_owned()
}

/// Ids of the readings one of whose texts contains the term.
fn expected<'a>(
    readings: &'a [reading_sessions::Model],
    term: &str,
    texts: impl Fn(&'a reading_sessions::Model) -> Vec<&'a str>,
) -> BTreeSet<String> {
    let term = fold_case(&normalized(term));
    let is_found = |text: &str| fold_case(text).contains(&term);
    readings
        .iter()
        .filter(|reading| texts(reading).into_iter().any(is_found))
        .map(reading_id_of)
        .collect()
}

fn reading_id_of(reading: &reading_sessions::Model) -> String {
    GlobalId::Reading(reading.id).encode().to_string()
}

fn ids_of(page: &Value) -> BTreeSet<String> {
    let nodes = page["nodes"].as_array().expect("nodes");
    nodes.iter().map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
}

/// The public readings and the viewer's own in which a term is found.
async fn search(app: &TestApp, term: &str) -> (Value, Value) {
    let query = "query ($term: String) {
        publicReadings(search: $term, first: 100) { totalCount searchNotice nodes { id } }
        viewer { readings(search: $term, first: 100) { totalCount searchNotice nodes { id } } } }";
    let body = json!({ "query": query, "variables": { "term": term } });
    let mut data = data_of(app.send(Some(&app.token_of(id("ada"))), &body).await);
    (data["publicReadings"].take(), data["viewer"]["readings"].take())
}

on_both_databases! {
    /// The same texts and terms for both databases: what equals the model on each is equal on both.
    async fn any_text_is_found_as_in_memory(engine: Engine) {
        const SEED: u64 = 1_997;
        println!("seed {SEED}");
        let mut chance = Chance(StdRng::seed_from_u64(SEED));
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings: Vec<_> = (0..90)
            .map(|number| reading_sessions::Model {
                question: chance.text(24),
                notes: (number % 3 > 0).then(|| chance.text(24)),
                ..reading(&app, &ada, &format!("r{number}"), number)
            })
            .collect();
        app.insert(rows(vec![ada], readings.clone())).await;
        let texts: Vec<String> = readings
            .iter()
            .flat_map(|reading| [Some(reading.question.clone()), reading.notes.clone()])
            .flatten()
            .collect();

        let (mut found, mut short) = (0, 0);
        for _ in 0..400 {
            let term = chance.term(&texts);
            if normalized(&term).is_empty() {
                continue;
            }
            let (public, own) = search(&app, &term).await;
            let of_question = expected(&readings, &term, |reading| vec![&reading.question]);
            let of_both = expected(&readings, &term, |reading| {
                let notes = reading.notes.as_deref();
                std::iter::once(reading.question.as_str()).chain(notes).collect()
            });
            assert_eq!(ids_of(&own), of_both, "{term:?}");
            assert_eq!(own["totalCount"], of_both.len(), "{term:?}");
            assert_eq!(own["searchNotice"], Value::Null, "{term:?}");
            found += of_question.len();
            if has_trigram_of_words(&normalized(&term)) {
                assert_eq!(ids_of(&public), of_question, "{term:?}");
                assert_eq!(public["totalCount"], of_question.len(), "{term:?}");
                assert_eq!(public["searchNotice"], Value::Null, "{term:?}");
            } else {
                short += 1;
                let nothing =
                    json!({ "totalCount": 0, "searchNotice": "TERM_TOO_SHORT", "nodes": [] });
                assert_eq!(public, nothing, "{term:?}");
            }
        }
        assert!(found > 400, "only {found} are found");
        assert!(short > 40, "only {short} terms are short");
    }

    async fn letters_are_found_in_any_case(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let texts = [
            ("greek", "ὁ Ὀδυσσεὺς πότε ἔρχεται; ΟΔΟΣ"),
            ("turkish", "İstanbul'da mı?"),
            ("german", "Führt die Straße heim?"),
            ("georgian", "თბილისი ᲗᲑᲘᲚᲘᲡᲘ"),
            ("long s", "Waſſer oder Wein?"),
            ("micro", "5 µSv an hour?"),
            ("full width", "ＶＡＵＬＴ１１１ ？"),
            ("chinese", "我的愛人會回來嗎？"),
            ("punctuation", "Who?!? %_% ..."),
        ];
        let readings = texts.map(|(name, text)| reading_sessions::Model {
            question: text.to_owned(),
            ..reading(&app, &ada, name, 1)
        });
        app.insert(rows(vec![ada], readings.to_vec())).await;
        for (term, names) in [
            ("οδοσ", &["greek"] as &[_]),
            ("οδος", &["greek"]),
            ("ὈΔΥΣΣΕῪΣ", &["greek"]),
            ("i\u{307}STANBUL", &["turkish"]),
            ("İSTANBUL", &["turkish"]),
            // A letter without its dot is another.
            ("istanbul", &[]),
            ("STRASSE", &["german"]),
            ("straße", &["german"]),
            ("STRAẞE", &["german"]),
            ("თბილისი თბილისი", &["georgian"]),
            ("ᲗᲑᲘᲚᲘᲡᲘ ᲗᲑᲘᲚᲘᲡᲘ", &["georgian"]),
            ("wasser", &["long s"]),
            ("WASSER", &["long s"]),
            ("5 μsv", &["micro"]),
            ("ΜSV", &["micro"]),
            ("ｖａｕｌｔ", &["full width"]),
            // A full-width letter is another than that of ASCII.
            ("vault", &[]),
            ("愛人", &["chinese"]),
            ("愛", &["chinese"]),
            ("嗎？", &["chinese"]),
            ("愛會", &[]),
            ("人人", &[]),
        ] {
            let expected: BTreeSet<_> = names.iter().map(|name| reading_id(name)).collect();
            let (public, own) = search(&app, term).await;
            assert_eq!(ids_of(&public), expected, "{term}");
            assert_eq!(ids_of(&own), expected, "{term}");
        }
        // PostgreSQL's index has no punctuation, so a search of all readings would read them all.
        for (term, names) in
            [("?!?", &["punctuation"] as &[_]), ("%_%", &["punctuation"]), ("o?!", &["punctuation"]), ("!!!", &[])]
        {
            let expected: BTreeSet<_> = names.iter().map(|name| reading_id(name)).collect();
            let (public, own) = search(&app, term).await;
            assert_eq!(public["searchNotice"], "TERM_TOO_SHORT", "{term}");
            assert_eq!(ids_of(&public), BTreeSet::new(), "{term}");
            assert_eq!(ids_of(&own), expected, "{term}");
        }
    }

    async fn a_short_term_is_an_empty_page_with_a_notice(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings = vec![reading(&app, &ada, "no, ab, 愛", 1)];
        app.insert(rows(vec![ada], readings)).await;
        let list = async |search: &str| {
            let query = "query ($term: String) {
                found: publicReadings(search: $term) {
                    totalCount nodes { question } edges { cursor }
                    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } searchNotice
                }
                other: publicReadings(first: 1) { searchNotice } }";
            let response = app.query_with_variables(query, json!({ "term": search })).await;
            let mut data = data_of(response);
            assert_eq!(data["other"], json!({ "searchNotice": null }));
            data["found"].take()
        };
        let nothing = json!({
            "totalCount": 0, "nodes": [], "edges": [],
            "pageInfo": {
                "hasNextPage": false, "hasPreviousPage": false, "startCursor": null, "endCursor": null,
            },
            "searchNotice": "TERM_TOO_SHORT",
        });
        for term in ["n", "no", "ab", " é ", "e\u{301}\u{301}", "。", "ß"] {
            assert_eq!(list(term).await, nothing, "{term}");
        }
        for term in ["no,", "愛", ", 愛", "", "  "] {
            let page = list(term).await;
            assert_eq!(page["searchNotice"], Value::Null, "{term}");
            assert_eq!(page["totalCount"], 1, "{term}");
        }
        // Other invalid arguments are refused as ever.
        let query = "{ publicReadings(search: \"no\", first: -1) { totalCount } }";
        let body = app.query(query).await.body;
        assert_eq!(body["errors"][0]["message"], "`first` is -1; it must be at least 0");
    }

    /// PostgreSQL compares the readings next to the cursor first, and uses the index for the others.
    async fn pages_of_a_rare_word_go_on_beyond_the_probe(engine: Engine) {
        const READINGS: u64 = 2 * SEARCH_PROBE_ROWS + 300;
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let has_needle = |number: u64| number % 97 == 7 || (1_500..1_520).contains(&number);
        let readings: Vec<_> = (0..READINGS)
            .map(|number| reading_sessions::Model {
                question: if has_needle(number) { "Ein NEEDLE?" } else { "Nothing." }.to_owned(),
                ..reading(&app, &ada, &format!("r{number:05}"), i64::try_from(number).expect("few"))
            })
            .collect();
        app.insert(rows(vec![ada], readings)).await;
        // The newest first.
        let needles: Vec<_> = (0..READINGS).rev().filter(|number| has_needle(*number)).collect();
        let expected: Vec<_> =
            needles.iter().map(|number| json!({ "id": reading_id(&format!("r{number:05}")) })).collect();

        let page = async |arguments: String| {
            let query = format!(
                "{{ publicReadings(search: \"needle\", {arguments}) {{ totalCount nodes {{ id }}
                    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
            );
            let mut page = app.data(&query).await["publicReadings"].take();
            assert_eq!(page["totalCount"], expected.len());
            let Value::Array(nodes) = page["nodes"].take() else { panic!("nodes are a list") };
            (nodes, page["pageInfo"].take())
        };
        for size in [1, 7, 100] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let (nodes, info) = page(format!("first: {size}{after}")).await;
                assert_eq!(info["hasPreviousPage"], !seen.is_empty(), "{size}");
                seen.extend(nodes);
                assert_eq!(info["hasNextPage"], seen.len() < expected.len(), "{size}");
                if seen.len() >= expected.len() {
                    break;
                }
                after = format!(", after: {}", info["endCursor"]);
            }
            assert_eq!(seen, expected, "{size}");

            let (mut seen, mut before) = (Vec::new(), String::new());
            loop {
                let (nodes, info) = page(format!("last: {size}{before}")).await;
                assert_eq!(info["hasNextPage"], !seen.is_empty(), "{size}");
                seen.splice(0..0, nodes);
                assert_eq!(info["hasPreviousPage"], seen.len() < expected.len(), "{size}");
                if seen.len() >= expected.len() {
                    break;
                }
                before = format!(", before: {}", info["startCursor"]);
            }
            assert_eq!(seen, expected, "{size}");
        }
    }

    async fn what_a_mutation_writes_is_found(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let write = async |mutation: &str, input: Value| {
            let made =
                payload(&app, id("ada"), mutation, input, "reading { id } userErrors { message }");
            made.await["reading"]["id"].as_str().expect("a reading").to_owned()
        };
        let input = json!({
            "question": "Wohin führt die Straße?", "notes": "情書", "privacyLevel": "PUBLIC",
            "spreadId": spread_id(&app, "single_wasteland"),
        });
        let reading = write("createReading", input).await;
        let is_found = async |term: &str| {
            let (public, own) = search(&app, term).await;
            [!ids_of(&public).is_empty(), !ids_of(&own).is_empty()]
        };
        assert_eq!(is_found("STRASSE").await, [true, true]);
        assert_eq!(is_found("情書").await, [false, true]);

        write("updateReading", json!({ "id": reading, "question": "ΟΔΟΣ;" })).await;
        assert_eq!(is_found("STRASSE").await, [false, false]);
        assert_eq!(is_found("οδός").await, [false, false]);
        assert_eq!(is_found("οδος").await, [true, true]);
        assert_eq!(is_found("情書").await, [false, true]);

        write("updateReading", json!({ "id": reading, "notes": "Ärger" })).await;
        assert_eq!(is_found("情書").await, [false, false]);
        assert_eq!(is_found("ÄRGER").await, [false, true]);

        write("updateReading", json!({ "id": reading, "notes": null })).await;
        assert_eq!(is_found("ÄRGER").await, [false, false]);
        assert_eq!(is_found("οδος").await, [true, true]);
    }
}
