//! Measured processes, and the kernel's accounting of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Outcome;

/// The kernel counts CPU time in hundredths of a second for every reader, on every Linux.
const MICROSECONDS_PER_TICK: f64 = 10_000.0;
/// Text before the address in a program's line about its listener.
pub const LISTENS: &str = "listens on http://";

/// A running HTTP server; it is killed with this value.
pub struct Process {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Process {
    /// Starts the program, with only these environment variables, and waits until it listens.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
        folder: &Path,
    ) -> Outcome<Self> {
        let mut child = Command::new(std::path::absolute(program)?)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut process = Self { child, address: String::new() };
        for line in BufReader::new(output).lines() {
            if let Some((_, address)) = line?.split_once(LISTENS) {
                address.clone_into(&mut process.address);
                return Ok(process);
            }
        }
        Err(format!("{} ended before it listened", program.display()).into())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, in user and kernel mode, in microseconds.
    pub fn cpu(&self) -> Outcome<f64> {
        cpu_of(self.id())
    }

    /// Peak resident memory, in bytes.
    pub fn peak_memory(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
        Ok(kilobytes.trim().parse::<u64>()? * 1024)
    }

    /// Lowers the peak to the present resident memory.
    pub fn reset_peak_memory(&self) -> Outcome {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of `/proc/PID/stat`.
struct Account {
    parent: u32,
    /// Microseconds.
    own: f64,
    /// Those of children that have ended.
    children: f64,
}

impl Account {
    fn of(process: u32) -> Outcome<Self> {
        let line = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name of the program comes second, in brackets, and may hold anything.
        let (_, fields) = line.rsplit_once(')').ok_or("no stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
        // proc(5) numbers them from 1, and two are cut off.
        let parent = number(4 - 3).ok_or("no parent")?;
        let time = |first: usize| -> Option<f64> {
            let ticks = number(first - 3)? + number(first - 2)?;
            Some(f64::from(ticks) * MICROSECONDS_PER_TICK)
        };
        Ok(Self {
            parent,
            own: time(14).ok_or("no CPU time")?,
            children: time(16).ok_or("no CPU time of children")?,
        })
    }
}

/// The CPU time that a process has used so far, without its children, in microseconds.
pub fn cpu_of(process: u32) -> Outcome<f64> {
    Ok(Account::of(process)?.own)
}

/// The CPU time that a process and its children have used so far, those that have ended included, in
/// microseconds.
pub fn cpu_with_children(process: u32) -> Outcome<f64> {
    loop {
        let before = Account::of(process)?.children;
        let living = cpu_of_living_children(process)?;
        let parent = Account::of(process)?;
        // One that ended meanwhile was counted in both places, or in none.
        #[expect(clippy::float_cmp, reason = "the same reading of the same counter")]
        if parent.children == before {
            return Ok(parent.own + parent.children + living);
        }
    }
}

fn cpu_of_living_children(process: u32) -> Outcome<f64> {
    let mut total = 0.0;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile is no child any more.
        if let Ok(child) = Account::of(id)
            && child.parent == process
        {
            total += child.own + child.children;
        }
    }
    Ok(total)
}
