//! The benchmark suite. `scripts/bench` builds it, gives it a database and runs it; benches/README.md
//! lists the compared sides.
//!
//! Everything is measured from outside: the server and the references are processes, their CPU time and
//! memory are the kernel's accounting.

mod bench;
mod client;
mod compare;
mod cpu;
mod groups;
mod load;
mod paced;
mod processes;
mod references;
mod report;
mod samples;
mod statements;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use bench::Bench;
use report::Report;

/// Error that ends the suite: one line for a person.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T = ()> = Result<T, Failure>;

#[derive(Parser, Clone)]
struct Arguments {
    /// The server's program
    #[arg(long)]
    server: PathBuf,
    /// Folder of PostgreSQL's programs
    #[arg(long)]
    pg_bin: PathBuf,
    /// The folder of the cluster and of the embedded database
    #[arg(long)]
    folder: PathBuf,
    /// The cluster's port
    #[arg(long)]
    port: u16,
    /// Number of readings in the full database
    #[arg(long)]
    readings: u32,
    /// Number of users in the full database
    #[arg(long)]
    users: u32,
    /// Duration of each side in each round
    #[arg(long)]
    seconds: u64,
    /// Number of rounds
    #[arg(long)]
    rounds: usize,
    /// File for the results, in addition to the terminal
    #[arg(long)]
    results: Option<PathBuf>,
    /// Groups to measure (default: all)
    groups: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = match arguments.as_slice() {
        [_, reference, plan] if reference == references::REFERENCE => references::serve(plan),
        // Only validates the names of groups.
        [_, word, names @ ..] if word == "groups" => groups::chosen(names).map(drop),
        _ => run(Arguments::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome {
    let chosen = groups::chosen(&arguments.groups)?;
    let results = arguments.results.clone();
    let bench = Bench::new(arguments)?;
    let mut report = Report::start(&bench)?;
    for group in chosen {
        report.add(&(group.run)(&bench)?);
    }
    if let Some(path) = results {
        report.write(&path)?;
    }
    Ok(())
}
