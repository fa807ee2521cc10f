//! The server beside everything that a page can be compared with.

use serde_json::Value;
use uuid::Uuid;

use crate::Outcome;
use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::compare::{SERVER, Side, compare};
use crate::processes::Process;
use crate::references::{self, Manner, Page};
use crate::report::Section;
use crate::statements::{Statement, observe};

/// The least that the server may reach of what pgbench does.
const OF_PGBENCH: f64 = 0.7;

/// A question that the references answer too, asked for several sets of users.
pub struct Question {
    pub page: Page,
    /// Of each request.
    pub users: Vec<Vec<Uuid>>,
    pub requests: Vec<Request>,
}

impl Question {
    /// Measures the server, pgbench and all references.
    pub fn measure(&self, bench: &Bench, section: &mut Section) -> Outcome {
        let statements = observe(bench, Database::Full, &self.requests)?;
        let server = bench.start_server(Database::Full)?;
        let rows = self.start_reference(bench, Manner::Rows, &statements, &server)?;
        let json = self.start_reference(bench, Manner::Json, &statements, &server)?;
        let bytes = self.start_reference(bench, Manner::Bytes, &statements, &server)?;
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

    /// Starts a reference and sees that it answers with the server's data.
    pub fn start_reference(
        &self,
        bench: &Bench,
        manner: Manner,
        statements: &[Vec<Statement>],
        server: &Process,
    ) -> Outcome<Process> {
        let mut answers = Vec::with_capacity(self.requests.len());
        for request in &self.requests {
            answers.push(request.send(&server.address)?.text()?.to_owned());
        }
        let reference =
            references::start(bench, self.page, manner, &statements[0], answers.clone())?;
        for (request, answer) in self.to_references().iter().zip(&answers) {
            let mut expected: Value = serde_json::from_str(answer)?;
            let mut got: Value = request.send(&reference.address)?.json()?;
            if manner == Manner::Json {
                // It gives ids and cursors as they are stored.
                remove_ids(&mut expected);
                remove_ids(&mut got);
            }
            if expected != got {
                return Err(format!("{manner:?} answers {got} for {expected}").into());
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
