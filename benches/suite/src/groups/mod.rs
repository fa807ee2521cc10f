//! Groups of measurements, a file a group.

mod attacks;
mod cache;
mod cost;
mod deep;
mod eager;
mod growth;
mod list;
mod logins;
mod memory;
mod nested;
mod nplusone;
mod overload;
mod queries;
mod yardsticks;

use crate::Outcome;
use crate::bench::Bench;
use crate::report::Section;

/// A group of measurements.
#[derive(Clone, Copy)]
pub struct Group {
    pub name: &'static str,
    pub run: fn(&Bench) -> Outcome<Section>,
}

const ALL: [Group; 13] = [
    Group { name: "list", run: list::run },
    Group { name: "deep", run: deep::run },
    Group { name: "nested", run: nested::run },
    Group { name: "nplusone", run: nplusone::run },
    Group { name: "eager", run: eager::run },
    Group { name: "growth", run: growth::run },
    Group { name: "memory", run: memory::run },
    Group { name: "logins", run: logins::run },
    Group { name: "queries", run: queries::run },
    Group { name: "cost", run: cost::run },
    Group { name: "overload", run: overload::run },
    Group { name: "attacks", run: attacks::run },
    Group { name: "cache", run: cache::run },
];

/// The groups of these names, or all.
pub fn chosen(names: &[String]) -> Outcome<Vec<Group>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| {
        let all = || ALL.map(|group| group.name).join(", ");
        let found = ALL.into_iter().find(|group| group.name == name);
        found.ok_or_else(|| format!("there is no group {name}; there are {}", all()).into())
    };
    names.iter().map(find).collect()
}
