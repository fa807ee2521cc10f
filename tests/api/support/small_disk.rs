//! [`SmallDisk`]: a file system in memory with little space, to be filled and emptied.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::app::skip;

/// A mounted file system, which goes with it.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of so many bytes. Reports a skipped test where that is not allowed.
    pub fn mount(test: &str, bytes: u64) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        skip(test, "the privilege to mount a file system");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Uses up all space that is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        let mut length = 1 << 16;
        while length > 0 {
            if ballast.write_all(&vec![0; length]).is_err() {
                length /= 2;
            }
        }
    }

    /// Frees the space that it was filled with.
    pub fn empty(&self) {
        std::fs::remove_file(self.ballast()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
