//! The binary: the allocator, and the library's command line.

use std::process::ExitCode;

/// A request makes and drops a few thousand small values on whatever thread it runs; this allocator
/// does that with half the work of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wasteland_tarot::cli::main()
}
