//! Comparisons of the server with pgbench and the references.

use serde_json::Value;
use uuid::Uuid;

use crate::Outcome;
use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::compare::{SERVER, Side, compare};
use crate::processes::Process;
use crate::references::{self, Implementation, Page};
use crate::report::Section;
use crate::statements::{Statement, observe};

/// Minimum ratio of the server's requests per second to pgbench's.
const OF_PGBENCH: f64 = 0.7;

/// Requests that the references serve too, for several sets of users.
pub struct Scenario {
    pub page: Page,
    /// Users of each request.
    pub users: Vec<Vec<Uuid>>,
    pub requests: Vec<Request>,
}

impl Scenario {
    /// Measures the server, pgbench and all references.
    pub fn measure(&self, bench: &Bench, section: &mut Section) -> Outcome {
        let statements = observe(bench, Database::Full, &self.requests)?;
        let server = bench.start_server(Database::Full)?;
        let rows = self.start_reference(bench, Implementation::Rows, &statements, &server)?;
        let json = self.start_reference(bench, Implementation::Json, &statements, &server)?;
        let bytes = self.start_reference(bench, Implementation::Bytes, &statements, &server)?;
        let to_references = self.to_references();
        let count = statements[0].len();
        let sides = [
            Side::http(bench, SERVER, &server, &self.requests)?,
            Side::pgbench(bench, Database::Full, &statements)?,
            Side::http(bench, "sqlx and serde", &rows, &to_references)?.with_statements(count),
            Side::http(bench, "one statement", &json, &to_references)?.with_statements(1),
            Side::http(bench, "the same bytes", &bytes, &to_references)?.with_statements(0),
        ];
        let measured = compare(bench, &sides, CONNECTIONS)?;
        section.sides_beside(&measured, &measured[1]);
        section.promise_of_pgbench(&measured[0], &measured[1], OF_PGBENCH);
        Ok(())
    }

    /// Starts a reference and verifies that its responses equal the server's.
    pub fn start_reference(
        &self,
        bench: &Bench,
        implementation: Implementation,
        statements: &[Vec<Statement>],
        server: &Process,
    ) -> Outcome<Process> {
        let mut responses = Vec::with_capacity(self.requests.len());
        for request in &self.requests {
            responses.push(request.send(&server.address)?.text()?.to_owned());
        }
        let reference =
            references::start(bench, self.page, implementation, &statements[0], responses.clone())?;
        for (request, response) in self.to_references().iter().zip(&responses) {
            let mut expected: Value = serde_json::from_str(response)?;
            let mut got: Value = request.send(&reference.address)?.json()?;
            if implementation == Implementation::Json {
                // This reference does not encode ids and cursors.
                remove_ids(&mut expected);
                remove_ids(&mut got);
            }
            if expected != got {
                return Err(format!("{implementation:?} sends {got} for {expected}").into());
            }
        }
        Ok(reference)
    }

    pub fn to_references(&self) -> Vec<Request> {
        self.users.iter().map(|users| references::request(users)).collect()
    }
}

/// Measures the server against pgbench alone.
pub fn against_pgbench(bench: &Bench, section: &mut Section, requests: &[Request]) -> Outcome {
    let statements = observe(bench, Database::Full, requests)?;
    let server = bench.start_server(Database::Full)?;
    let sides = [
        Side::http(bench, SERVER, &server, requests)?,
        Side::pgbench(bench, Database::Full, &statements)?,
    ];
    let measured = compare(bench, &sides, CONNECTIONS)?;
    section.sides_beside(&measured, &measured[1]);
    section.promise_of_pgbench(&measured[0], &measured[1], OF_PGBENCH);
    Ok(())
}

/// Measures the server on the embedded database.
pub fn on_embedded(bench: &Bench, section: &mut Section, requests: &[Request]) -> Outcome {
    let server = bench.start_server(Database::Embedded)?;
    let sides = [Side::http(bench, "server on SQLite", &server, requests)?];
    section.paragraph("The same on an embedded database of a tenth of the size:");
    section.sides(&compare(bench, &sides, CONNECTIONS)?);
    Ok(())
}

fn remove_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["id", "cursor", "endCursor"].contains(&name.as_str()));
            fields.values_mut().for_each(remove_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_ids),
        _ => {}
    }
}
