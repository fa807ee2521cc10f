//! The stated workload: visitors and their requests. benches/README.md has the same as a table.

use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use uuid::Uuid;
use wasteland_tarot::graphql::id::GlobalId;

use super::super::list::PAGE;
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::samples::query;
use crate::workload::Workload;

/// Exponent of Zipf's law: the second visitor comes half as often as the first, and so on.
const EXPONENT: f64 = 1.0;
/// Half of the requests for public data are authenticated.
const SIGNED_IN: (u32, u32) = (1, 2);
/// One of five new readings is public.
const PUBLIC: (u32, u32) = (1, 5);

/// A kind of request.
struct Kind {
    name: &'static str,
    /// Requests of this kind per thousand.
    per_mille: u32,
    request: fn(&Mix, &mut StdRng) -> Request,
}

const KINDS: [Kind; 17] = [
    // The viewer's own: 380, four of ten reads.
    Kind { name: "own home", per_mille: 80, request: own_home },
    Kind { name: "own readings", per_mille: 80, request: own_readings },
    Kind { name: "own reading", per_mille: 80, request: own_reading },
    Kind { name: "own search", per_mille: 40, request: own_search },
    Kind { name: "own stats", per_mille: 60, request: own_stats },
    Kind { name: "own chart", per_mille: 40, request: own_chart },
    // Public: 570, six of ten.
    Kind { name: "cards", per_mille: 90, request: cards },
    Kind { name: "spreads", per_mille: 80, request: spreads },
    Kind { name: "popular", per_mille: 50, request: popular },
    Kind { name: "recommended", per_mille: 40, request: recommended },
    Kind { name: "counts", per_mille: 50, request: counts },
    Kind { name: "feed", per_mille: 110, request: feed },
    Kind { name: "reading", per_mille: 90, request: reading },
    Kind { name: "user", per_mille: 60, request: user },
    // Writes: 50.
    Kind { name: "new reading", per_mille: 20, request: new_reading },
    Kind { name: "rating", per_mille: 15, request: rating },
    Kind { name: "tags", per_mille: 15, request: tags },
];

/// The app's start page.
const HOME: &str = "query Home { viewer { username displayName faction readingQuota { limit used \
    remaining resetsAt } readings(first: 5) { nodes { id question createdAt isFavorite \
    spread { displayName } } } } }";
const OWN_READING: &str = "query OwnReading($id: ID!) { reading(id: $id) { \
    id version question createdAt karmaContext characterVoice tags notes isFavorite \
    satisfactionRating privacyLevel summary interpretation category { id name } \
    spread { name displayName } \
    cards { position orientation positionName interpretation card { code name suit imageUrl } } } }";
const OWN_SEARCH: &str = "query OwnSearch($tag: String!) { viewer { readings(first: 20, \
    filter: { tagsAny: [$tag] }) { pageInfo { hasNextPage endCursor } \
    nodes { id question createdAt tags summary spread { displayName } } } } }";
const STATS: &str = "query Stats { viewer { username stats { totalReadings readingsThisMonth \
    readingsThisWeek meanSatisfaction favoriteVoice cardsDrawn currentStreakDays \
    karma { karma count } } } }";
/// Charts of the analytics page, each requested when it scrolls into view, with their weights.
const CHARTS: [(u32, &str); 4] = [
    (
        4,
        "query Summary { viewer { analytics { summary { totalReadings readingsLast7Days \
            readingsLast30Days meanSatisfaction } } } }",
    ),
    (3, "query Frequency { viewer { analytics { frequency { date count } } } }"),
    (2, "query Karma { viewer { analytics { karma { karma count } } } }"),
    (
        1,
        "query TopCards { viewer { analytics { topCards(limit: 5) { \
            card { code name } draws percentOfDraws } } } }",
    ),
];
const CARDS: &str = "query Cards($type: CardType) { cards(first: 100, filter: { cardType: $type }) { \
    nodes { id code name suit number uprightMeaning reversedMeaning keywords imageUrl } } }";
const SPREADS: &str = "query Spreads { spreads(first: 50) { nodes { id name displayName description \
    difficulty cardCount isPremium } } }";
const POPULAR: &str = "query Popular { popularSpreads { \
    mostUsed { id displayName usageCount } bestRated { id displayName meanRating } \
    newest { id displayName } beginner { id displayName } advanced { id displayName } } }";
const RECOMMENDED: &str = "query Recommended($input: RecommendedSpreadsInput) { \
    recommendedSpreads(input: $input) { score reasons spread { id displayName description } } }";
const COUNTS: &str = "query Counts { publicStats { users readings cards spreads } }";
/// The feed, which is also compared with a handler that has the bytes.
pub const FEED: &str = "query Feed { publicReadings(first: 20) { \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt tags summary \
    user { username displayName } spread { name displayName } \
    cards { position orientation positionName card { code name suit } } } } }";
const READING: &str = "query Reading($id: ID!) { reading(id: $id) { \
    id question createdAt karmaContext characterVoice tags summary interpretation \
    user { username displayName } spread { name displayName } \
    cards { position orientation positionName interpretation card { code name suit } } } }";
const USER: &str = "query User($username: String!) { user(username: $username) { \
    username displayName bio faction readings(first: 10) { pageInfo { hasNextPage endCursor } \
    nodes { id question createdAt summary spread { displayName } } } } }";
const NEW_READING: &str = "mutation NewReading($input: CreateReadingInput!) { \
    createReading(input: $input) { userErrors { code } reading { id question summary interpretation \
    cards { position orientation positionName interpretation card { code name } } } } }";
const UPDATE: &str = "mutation Update($input: UpdateReadingInput!) { updateReading(input: $input) { \
    userErrors { code } reading { id version tags satisfactionRating } } }";

const DIFFICULTIES: [&str; 4] = ["BEGINNER", "INTERMEDIATE", "ADVANCED", "EXPERT"];
const KARMAS: [&str; 3] = ["GOOD", "NEUTRAL", "EVIL"];
const TAGS: [&str; 6] = ["water", "caravan", "vault", "road", "love", "trade"];

/// Visitors and data of the workload.
pub struct Mix {
    visitors: Vec<Visitor>,
    by_visitor: WeightedIndex<f64>,
    by_kind: WeightedIndex<u32>,
    spreads: Vec<String>,
}

struct Visitor {
    token: String,
    username: String,
    /// Global ids of the newest reading and of the newest public reading.
    reading: Option<String>,
    public_reading: Option<String>,
}

impl Mix {
    /// All users of the full database; those with the most readings come most often.
    pub fn new(bench: &Bench) -> Outcome<Self> {
        let newest = |condition: &str| {
            format!(
                "(SELECT id FROM reading_sessions WHERE user_id = users.id {condition}
                  ORDER BY created_at DESC, id DESC LIMIT 1)"
            )
        };
        let rows = query(
            bench,
            Database::Full,
            &format!(
                "SELECT users.id, {}, {}, username FROM users
                 LEFT JOIN (SELECT user_id, count(*) AS readings FROM reading_sessions GROUP BY user_id)
                     AS made ON user_id = users.id
                 WHERE is_active ORDER BY readings DESC NULLS LAST, users.id",
                newest("AND archived_at IS NULL"),
                newest("AND archived_at IS NULL AND privacy_level = 'public'")
            ),
        )?;
        let visitors =
            rows.iter().map(|row| Visitor::read(bench, row)).collect::<Outcome<Vec<_>>>()?;
        let has = |reading: fn(&Visitor) -> &Option<String>| {
            visitors.iter().any(|visitor| reading(visitor).is_some())
        };
        if !has(|visitor| &visitor.reading) || !has(|visitor| &visitor.public_reading) {
            return Err("there are no readings to ask for: take more readings".into());
        }
        let ranks = 1..=u32::try_from(visitors.len())?;
        let by_visitor = WeightedIndex::new(ranks.map(|rank| f64::from(rank).powf(-EXPONENT)))?;
        let by_kind = WeightedIndex::new(KINDS.iter().map(|kind| kind.per_mille))?;
        let offered =
            "SELECT id FROM spread_templates WHERE is_active AND NOT is_premium ORDER BY id";
        let spreads = query(bench, Database::Full, offered)?;
        let spreads = spreads
            .iter()
            .map(|id| Ok(GlobalId::Spread(id.parse()?).encode().0))
            .collect::<Outcome<_>>()?;
        Ok(Self { visitors, by_visitor, by_kind, spreads })
    }

    /// Requests of that kind per thousand.
    pub fn per_mille(kind: usize) -> u32 {
        KINDS[kind].per_mille
    }

    fn visitor(&self, rng: &mut StdRng) -> &Visitor {
        &self.visitors[self.by_visitor.sample(rng)]
    }

    /// A visitor that has such a thing.
    fn visitor_with<'a, T>(
        &'a self,
        rng: &mut StdRng,
        thing: impl Fn(&'a Visitor) -> Option<T>,
    ) -> (&'a Visitor, T) {
        loop {
            let visitor = self.visitor(rng);
            if let Some(thing) = thing(visitor) {
                return (visitor, thing);
            }
        }
    }

    fn of_anybody(&self, rng: &mut StdRng, query: &str, variables: &Value) -> Request {
        if rng.random_ratio(SIGNED_IN.0, SIGNED_IN.1) {
            self.visitor(rng).request(query, variables)
        } else {
            Request::anonymous(query, variables)
        }
    }
}

impl Workload for Mix {
    fn kinds(&self) -> Vec<&'static str> {
        KINDS.iter().map(|kind| kind.name).collect()
    }

    fn next(&self, rng: &mut StdRng) -> (usize, Request) {
        let kind = self.by_kind.sample(rng);
        (kind, (KINDS[kind].request)(self, rng))
    }
}

impl Visitor {
    fn read(bench: &Bench, row: &str) -> Outcome<Self> {
        let fields: Vec<&str> = row.splitn(4, ' ').collect();
        let [user, reading, public_reading, username] = fields[..] else {
            return Err(format!("no user is {row:?}").into());
        };
        let id_of = |id: &str| -> Outcome<Option<String>> {
            let id: Option<Uuid> = (!id.is_empty()).then(|| id.parse()).transpose()?;
            Ok(id.map(|id| GlobalId::Reading(id).encode().0))
        };
        Ok(Self {
            token: bench.token(user.parse()?)?,
            username: username.to_owned(),
            reading: id_of(reading)?,
            public_reading: id_of(public_reading)?,
        })
    }

    fn request(&self, query: &str, variables: &Value) -> Request {
        Request::anonymous(query, variables).with_token(self.token.clone())
    }
}

fn own_home(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.visitor(rng).request(HOME, &json!({}))
}

fn own_reading(mix: &Mix, rng: &mut StdRng) -> Request {
    let (visitor, id) = mix.visitor_with(rng, |visitor| visitor.reading.as_ref());
    visitor.request(OWN_READING, &json!({ "id": id }))
}

fn own_search(mix: &Mix, rng: &mut StdRng) -> Request {
    let tag = TAGS.choose(rng);
    mix.visitor(rng).request(OWN_SEARCH, &json!({ "tag": tag }))
}

fn own_stats(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.visitor(rng).request(STATS, &json!({}))
}

fn own_chart(mix: &Mix, rng: &mut StdRng) -> Request {
    let weight = |(weight, _): &(u32, &str)| *weight;
    let (_, query) = CHARTS.choose_weighted(rng, weight).unwrap_or(&CHARTS[0]);
    mix.visitor(rng).request(query, &json!({}))
}

fn own_readings(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.visitor(rng).request(PAGE, &json!({ "n": 20 }))
}

fn cards(mix: &Mix, rng: &mut StdRng) -> Request {
    let card_type = ["MAJOR", "MINOR"].choose(rng);
    mix.of_anybody(rng, CARDS, &json!({ "type": card_type }))
}

fn spreads(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.of_anybody(rng, SPREADS, &json!({}))
}

fn popular(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.of_anybody(rng, POPULAR, &json!({}))
}

fn recommended(mix: &Mix, rng: &mut StdRng) -> Request {
    let (difficulty, karma) = (DIFFICULTIES.choose(rng), KARMAS.choose(rng));
    let input = json!({ "input": { "difficulty": difficulty, "karma": karma } });
    mix.of_anybody(rng, RECOMMENDED, &input)
}

fn counts(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.of_anybody(rng, COUNTS, &json!({}))
}

fn feed(mix: &Mix, rng: &mut StdRng) -> Request {
    mix.of_anybody(rng, FEED, &json!({}))
}

fn reading(mix: &Mix, rng: &mut StdRng) -> Request {
    let (_, id) = mix.visitor_with(rng, |visitor| visitor.public_reading.as_ref());
    mix.of_anybody(rng, READING, &json!({ "id": id }))
}

fn user(mix: &Mix, rng: &mut StdRng) -> Request {
    let username = &mix.visitor(rng).username;
    mix.of_anybody(rng, USER, &json!({ "username": username }))
}

fn new_reading(mix: &Mix, rng: &mut StdRng) -> Request {
    let is_public = rng.random_ratio(PUBLIC.0, PUBLIC.1);
    let input = json!({
        "question": format!("Which road is safe at night? ({})", rng.random::<u32>()),
        "spreadId": mix.spreads.choose(rng),
        "privacyLevel": if is_public { "PUBLIC" } else { "PRIVATE" },
    });
    mix.visitor(rng).request(NEW_READING, &json!({ "input": input }))
}

fn rating(mix: &Mix, rng: &mut StdRng) -> Request {
    let rating = rng.random_range(1..=5);
    let (visitor, id) = mix.visitor_with(rng, |visitor| visitor.reading.as_ref());
    visitor.request(UPDATE, &json!({ "input": { "id": id, "satisfactionRating": rating } }))
}

fn tags(mix: &Mix, rng: &mut StdRng) -> Request {
    let tags: Vec<_> = TAGS.sample(rng, 2).collect();
    let (visitor, id) = mix.visitor_with(rng, |visitor| visitor.reading.as_ref());
    visitor.request(UPDATE, &json!({ "input": { "id": id, "tags": tags } }))
}
