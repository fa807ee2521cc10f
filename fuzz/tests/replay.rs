//! Replays the corpus of each fuzz target. An input that the fuzzer found stays in it for ever.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Declares a test for each target, and a list of them.
macro_rules! replay {
    ($($target:ident),+ $(,)?) => {
        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )+
    };
}

replay!(cursor, document, http, id, input, json_body, share_token);

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

fn replay(target: &str) {
    fuzz::server::use_folder(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let run = fuzz::target(target).expect("a target of that name").run;
    let mut inputs: Vec<_> = read_folder(&corpus().join(target)).collect();
    assert!(!inputs.is_empty(), "the target {target} has no inputs");
    inputs.extend(of_clients(target));
    for (path, data) in inputs {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&data))) {
            eprintln!("the input is {}", path.display());
            resume_unwind(panic);
        }
    }
}

/// The files of a folder with their bytes, in the order of their names.
fn read_folder(folder: &Path) -> impl Iterator<Item = (PathBuf, Vec<u8>)> + use<> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("a file")))
}

/// Documents of clients; for the target `input` those with variables.
fn of_clients(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/api/documents/accepted"));
    let documents = read_folder(folder)
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "graphql"));
    match target {
        "document" => documents.collect(),
        "input" => documents
            .filter_map(|(path, document)| {
                let variables = fs::read(path.with_extension("variables.json")).ok()?;
                Some((path, [&document, fuzz::SEPARATOR.as_bytes(), &variables].concat()))
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_target_and_every_folder_is_replayed() {
    let mut targets = fuzz::TARGETS.map(|target| target.name.to_owned()).to_vec();
    targets.sort();
    assert_eq!(targets, REPLAYED);
    let entries = fs::read_dir(corpus()).expect("the corpus");
    let mut folders: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    folders.sort();
    assert_eq!(folders, REPLAYED);
}
