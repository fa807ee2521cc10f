//! CPU time of a measurement, by who used it.

use std::fmt;
use std::time::Instant;

use crate::Outcome;
use crate::bench::Bench;
use crate::processes::{Process, cpu_of, cpu_with_children};

/// Head of a column of [`Cpu`].
pub const CORES: &str = "cores of server / PostgreSQL / clients";

/// CPU time of the server, of its database, and of the suite, which is all clients but wrk.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub server: f64,
    pub postgres: f64,
    pub suite: f64,
}

impl fmt::Display for Cpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, postgres, suite } = self;
        write!(formatter, "{server:.2} / {postgres:.2} / {suite:.2}")
    }
}

/// CPU time so far, in microseconds.
pub struct CpuTimes {
    at: Instant,
    used: Cpu,
}

impl CpuTimes {
    pub fn now(bench: &Bench, server: &Process) -> Outcome<Self> {
        let postgres = cpu_with_children(bench.postmaster()?)?;
        let used = Cpu { server: server.cpu()?, postgres, suite: cpu_of(std::process::id())? };
        Ok(Self { at: Instant::now(), used })
    }

    /// Cores in use between two samples.
    pub fn until(&self, later: &Self) -> Cpu {
        let seconds = (later.at - self.at).as_secs_f64();
        let cores = |part: fn(&Cpu) -> f64| (part(&later.used) - part(&self.used)) / 1e6 / seconds;
        Cpu {
            server: cores(|cpu| cpu.server),
            postgres: cores(|cpu| cpu.postgres),
            suite: cores(|cpu| cpu.suite),
        }
    }
}
