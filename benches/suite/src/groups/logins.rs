//! Timing of rejected logins, which must not reveal whether the account exists.

use std::time::Instant;

use serde_json::json;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::compare::median;
use crate::report::{Promise, Section};

/// Unknown names and wrong passwords, in turn.
const PAIRS: usize = 200;
const DIFFERENCE_MILLISECONDS: f64 = 5.0;
const LOGIN: &str = "mutation Login($login: String!) {
    login(input: { login: $login, password: \"not the password\" }) { userErrors { code } }
}";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("logins: an unknown name against a wrong password");
    let places = [("PostgreSQL", Database::Full), ("SQLite", Database::Embedded)];
    let mut rows = Vec::new();
    let mut differences = Vec::new();
    for (place, database) in places {
        let server = bench.start_server(database)?;
        let request = |login: &str| Request::anonymous(LOGIN, &json!({ "login": login }));
        let (unknown, wrong) = (request("nobody has this name"), request("demo"));
        let timed = |request: &Request| -> Outcome<f64> {
            let started = Instant::now();
            let response = request.send(&server.address)?;
            if !response.text()?.contains("BAD_CREDENTIALS") {
                return Err(format!("a wrong login got {response}").into());
            }
            Ok(started.elapsed().as_secs_f64() * 1e3)
        };
        for request in [&unknown, &wrong] {
            timed(request)?;
        }
        let (mut of_unknown, mut of_wrong) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            of_unknown.push(timed(&unknown)?);
            of_wrong.push(timed(&wrong)?);
        }
        let (of_unknown, of_wrong) = (median(of_unknown), median(of_wrong));
        differences.push((place, (of_unknown - of_wrong).abs()));
        rows.push(vec![place.to_owned(), format!("{of_unknown:.2}"), format!("{of_wrong:.2}")]);
    }
    section.table(&["database", "unknown name, ms", "wrong password, ms"], &rows);
    for (place, difference) in differences {
        let what = format!("Difference of the medians of {PAIRS} pairs on {place}");
        section.promise(&what, Promise::AtMost(DIFFERENCE_MILLISECONDS, " ms"), difference);
    }
    Ok(section)
}
