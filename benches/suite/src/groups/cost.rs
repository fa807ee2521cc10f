//! Time of SQL for a cost point: whatever an operation buys, its statements take about as long for a point.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::{Connection, Request};
use crate::compare::median;
use crate::report::{Promise, Section};
use crate::samples::{heaviest_user, query};

/// Requests of a case, after one that is not measured.
const REQUESTS: usize = 5;
/// Maximum ratio of the dearest case to the mean, in SQL time for a point.
const WORST: f64 = 3.0;

/// Lists of all users' readings and of the heaviest user's, with what makes them dear.
const LISTS: [&str; 2] = ["publicReadings", "readings"];
const ARGUMENTS: &[&str] = &[
    "",
    "search: \"the\"",
    "search: \"should\"",
    "search: \"ion\"",
    "search: \"no reading has this\"",
    "search: \"愛\"",
    "search: \"愛情\"",
    "filter: { characterVoices: [PIP_BOY] }",
    "filter: { characterVoices: [PIP_BOY], karmaContexts: [EVIL], spreadTypes: [VAULT_TEC_SPREAD] }",
    "filter: { tagsAny: [\"love\"] }",
    "filter: { tagsAny: [\"no reading has this\"] }",
    "filter: { tagsAny: [\"love\"], karmaContexts: [EVIL] }",
    "filter: { createdAt: { from: \"2026-01-01T00:00:00Z\" } }",
    "filter: { createdAt: { to: \"2000-01-01T00:00:00Z\" } }",
    "search: \"should\", filter: { characterVoices: [PIP_BOY], karmaContexts: [EVIL] }",
];
const OWN_FILTERS: &[&str] = &[
    "isFavorite: true",
    "archive: ANY",
    "minSatisfaction: 5",
    "hasCategory: true",
    "privacyLevels: [PRIVATE]",
    "tagsAll: [\"love\", \"work\"]",
];
const FIGURES: &[&str] = &[
    "stats { totalReadings }",
    "analytics { summary { totalReadings } }",
    "analytics { frequency(days: 365) { count } }",
    "analytics { spreads { count } }",
    "analytics { voices { count } }",
    "analytics { karma { count } }",
    "analytics { satisfaction(days: 365) { mean } }",
    "analytics { patterns { busiestHour } }",
    "analytics { topCards { draws } }",
    "analytics { comparison(days: 90) { direction } }",
    "tags(first: 100) { nodes { name } }",
    "categories { name readingCount }",
    "readingQuota { used }",
];
const OTHERS: &[&str] = &[
    "{ publicStats { users } }",
    "{ cards(first: 78) { nodes { name drawCount } } }",
    "{ spreads(first: 20) { nodes { name usageCount } } }",
    "{ popularSpreads { mostUsed { name } } }",
    "{ publicReadings(first: 100) { nodes { id cards { position } } } }",
    "{ publicReadings(first: 100) { nodes { interpretation summary cards { interpretation } } } }",
    "{ publicReadings(first: 100) { nodes { user { username } } } }",
    "{ publicReadings(first: 20) { nodes { user { readings(first: 20) { nodes { id } } } } } }",
    "{ publicReadings(first: 100) { nodes { user { readings(first: 0) { totalCount } } } } }",
];

struct Case {
    text: String,
    request: Request,
}

struct Measured {
    text: String,
    points: f64,
    milliseconds: f64,
}

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("cost: time of SQL for what cost points buy");
    let unlimited = [("MAX_QUERY_COST", u32::MAX.to_string())];
    let server = bench.start_server_with(&bench.url(Database::Full), &unlimited)?;
    // As a server in use, whose autovacuum has taken statistics.
    query(bench, Database::Full, "ANALYZE")?;
    let mut measured = Vec::new();
    for case in cases(bench, heaviest_user(bench, Database::Full)?)? {
        measured.push(measure(&server.address, case)?);
    }
    measured.sort_by(|one, other| other.for_a_thousand().total_cmp(&one.for_a_thousand()));
    let rows: Vec<_> = measured.iter().map(Measured::row).collect();
    section.table(&["operation", "points", "ms of SQL", "ms for 1,000 points"], &rows);
    #[expect(clippy::cast_precision_loss, reason = "there are a hundred")]
    let mean = measured.iter().map(Measured::for_a_thousand).sum::<f64>() / measured.len() as f64;
    section.paragraph(&format!("On average 1,000 points buy {mean:.1} ms."));
    let worst = measured.first().map_or(0.0, Measured::for_a_thousand);
    section.promise("The worst, of the mean", Promise::AtMost(WORST, ""), worst / mean);
    Ok(section)
}

fn cases(bench: &Bench, heaviest: Uuid) -> Outcome<Vec<Case>> {
    let mut texts: Vec<String> = OTHERS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(FIGURES.iter().map(|figure| format!("{{ viewer {{ {figure} }} }}")));
    let own = OWN_FILTERS.iter().map(|filter| format!("filter: {{ {filter} }}"));
    let arguments: Vec<String> =
        ARGUMENTS.iter().map(|text| (*text).to_owned()).chain(own).collect();
    for list in LISTS {
        let is_public = list == LISTS[0];
        let arguments = if is_public { &arguments[..ARGUMENTS.len()] } else { &arguments[..] };
        for argument in arguments {
            for selection in ["nodes { id question }", "totalCount"] {
                let first = if selection == "totalCount" { 0 } else { 20 };
                let field = format!("{list}(first: {first}, {argument}) {{ {selection} }}");
                texts.push(if is_public {
                    format!("{{ {field} }}")
                } else {
                    format!("{{ viewer {{ {field} }} }}")
                });
            }
        }
    }
    let case = |text: String| {
        let request = Request::authenticated(bench, heaviest, &text, &json!({}))?;
        Ok(Case { text, request: request.with_header("graphql-cost", "report") })
    };
    texts.into_iter().map(case).collect()
}

fn measure(address: &str, Case { text, request }: Case) -> Outcome<Measured> {
    let mut connection = Connection::open(address)?;
    let mut times = Vec::new();
    let mut points = 0.0;
    for number in 0..=REQUESTS {
        let response = connection.send(&request)?;
        if !response.is_success() {
            return Err(format!("{text} got {response}").into());
        }
        let report: Value = response.json()?["extensions"]["cost"].take();
        points = report["cost"].as_f64().ok_or("no cost is reported")?;
        if number > 0 {
            times.push(response.sql_milliseconds().ok_or("no Server-Timing")?);
        }
    }
    Ok(Measured { text, points, milliseconds: median(times) })
}

impl Measured {
    /// Milliseconds of SQL that a thousand points buy of this operation.
    fn for_a_thousand(&self) -> f64 {
        1_000.0 * self.milliseconds / self.points.max(1.0)
    }

    fn row(&self) -> Vec<String> {
        vec![
            format!("`{}`", self.text),
            format!("{:.0}", self.points),
            format!("{:.2}", self.milliseconds),
            format!("{:.1}", self.for_a_thousand()),
        ]
    }
}
