//! Replays the corpus of each fuzz target. An input that the fuzzer found stays in it for ever.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

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
    let entries = fs::read_dir(corpus().join(target)).expect("the target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the target {target} has no inputs");
    for path in paths {
        let data = fs::read(&path).expect("an input");
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&data))) {
            eprintln!("the input is {}", path.display());
            resume_unwind(panic);
        }
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
