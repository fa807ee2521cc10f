//! Peak memory and start time of the server.

use std::time::Instant;

use super::list::pages;
use super::nplusone::question;
use crate::Outcome;
use crate::bench::{Bench, CACHE_ENABLED, Database};
use crate::compare::{Side, compare, median};
use crate::report::{Promise, Section, megabytes};
use crate::samples::users_with_a_page;

const CLIENTS: u32 = 200;
const PEAK_MEGABYTES: f64 = 64.0;
const START_MILLISECONDS: f64 = 300.0;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("memory: 200 clients, and the start");
    let list = pages(bench, &users_with_a_page(bench, Database::Full)?)?;

    let mut starts = Vec::with_capacity(bench.arguments.rounds);
    for _ in 0..bench.arguments.rounds {
        let started = Instant::now();
        let server = bench.start_server(Database::Full)?;
        list[0].send(&server.address)?;
        starts.push(started.elapsed().as_secs_f64() * 1e3);
    }

    let url = bench.url(Database::Full);
    let server = bench.start_server_with(&url, &[(CACHE_ENABLED, true.to_string())])?;
    let sides = [
        Side::http(bench, "list", &server, &list)?,
        Side::http(bench, "nplusone", &server, &question(bench, Database::Full)?.requests)?,
    ];
    section.paragraph("Both on one server that caches, with 16 connections to the database:");
    section.sides(&compare(bench, &sides, CLIENTS)?);
    let peak = megabytes(server.peak_memory()?);
    section.promise("Peak memory", Promise::AtMost(PEAK_MEGABYTES, " MB"), peak);
    let what = "From the start of the program to its first response, on the existing database";
    section.promise(what, Promise::AtMost(START_MILLISECONDS, " ms"), median(starts));
    Ok(section)
}
