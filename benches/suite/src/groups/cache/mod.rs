//! The cache: hit rates and speed under the stated workload, and cached public responses beside a handler
//! that has the bytes.

mod load;
mod mix;
mod stored;

use crate::Outcome;
use crate::bench::Bench;
use crate::report::Section;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("cache: the stated load, and cached public responses");
    load::measure(bench, &mut section)?;
    stored::measure(bench, &mut section)?;
    Ok(section)
}
