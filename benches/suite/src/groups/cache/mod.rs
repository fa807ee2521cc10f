//! What the cache is good for: hit rates and speed under the stated load, and public answers beside a
//! handler that has the bytes.

mod load;
mod mix;
mod stored;

use crate::Outcome;
use crate::bench::Bench;
use crate::report::Section;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("cache: the stated load, and public answers that are kept");
    load::measure(bench, &mut section)?;
    stored::measure(bench, &mut section)?;
    Ok(section)
}
