//! The nightly compiler, and the parts of it that the sanitizers need.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{Failure, Outcome};
use crate::pause::pause;
use crate::workspace::source_root;

/// Set by Cargo and rustup for the compiler that built this tool.
const VARIABLES_OF_THE_STABLE_ONE: [&str; 4] =
    ["CARGO", "RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"];

/// The longest that rustup may take to add what is missing: a network that answers
/// needs seconds for it.
const DOWNLOAD_PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether it is done.
const POLL: Duration = Duration::from_millis(200);

/// A nightly compiler with miri and the source of the standard library.
pub(super) struct Nightly {
    /// The machine that it compiles for.
    pub(super) host: String,
}

impl Nightly {
    /// The one of rustup. What is missing of it is installed if that is possible;
    /// the inner error says what is missing all the same.
    pub(super) fn find() -> Outcome<Result<Nightly, &'static str>> {
        let Some(version) = text(&mut tool("rustc", &["-vV"])) else {
            return Ok(Err("there is no nightly compiler; `rustup toolchain install nightly`"));
        };
        if !has_all_parts() {
            let parts = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
            // Without a network or rustup it fails; the next look says so.
            let _ = ends_within(Command::new("rustup").args(parts), DOWNLOAD_PATIENCE);
        }
        if !has_all_parts() {
            return Ok(Err("miri or the source of the standard library is missing; \
                 `rustup component add --toolchain nightly miri rust-src`"));
        }
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| Failure::check("rustc -vV names no host"))?.to_owned();
        Ok(Ok(Nightly { host }))
    }

    /// Cargo of this compiler, with a directory of its own below `target`: what is
    /// built for one sanitizer fits nothing else.
    pub(super) fn cargo(&self, sanitizer: &str) -> Command {
        let target = source_root().join("target").join(format!("sanitize-{sanitizer}"));
        let mut command = tool("cargo", &[]);
        command.env("CARGO_TARGET_DIR", target).current_dir(source_root());
        command
    }
}

fn tool(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", name]).args(arguments);
    for variable in VARIABLES_OF_THE_STABLE_ONE {
        command.env_remove(variable);
    }
    command
}

fn has_all_parts() -> bool {
    let Some(root) = text(&mut tool("rustc", &["--print", "sysroot"])) else { return false };
    let library: PathBuf = Path::new(root.trim()).join("lib/rustlib/src/rust/library/std");
    library.is_dir() && text(&mut tool("cargo", &["miri", "--version"])).is_some()
}

/// What a command prints, if there is such a command and it succeeds.
fn text(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command, and ends it if it takes longer than `patience`; true if it ended
/// by itself.
fn ends_within(command: &mut Command, patience: Duration) -> io::Result<bool> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut left = patience;
    while !left.is_zero() && child.try_wait()?.is_none() {
        pause(POLL);
        left = left.saturating_sub(POLL);
    }
    if child.try_wait()?.is_some() {
        return Ok(true);
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let ends = |script: &str, patience| {
            ends_within(Command::new("sh").args(["-c", script]), patience).unwrap()
        };
        assert!(!ends("exec sleep 1000", 2 * POLL));
        assert!(ends("exit 1", DOWNLOAD_PATIENCE));
    }
}
