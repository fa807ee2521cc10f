//! The binary: the allocator, and the library's command line.

use std::process::ExitCode;

/// A request allocates and frees a few thousand small values, on any thread; mimalloc takes half the time
/// of the system's allocator for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wasteland_tarot::cli::main()
}
