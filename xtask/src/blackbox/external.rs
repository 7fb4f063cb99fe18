//! Programs from elsewhere, run with a deadline.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::failure::{Context, Outcome};

/// Longest run of one program, in seconds: a hang must not hang the whole
/// check. The largest load below takes a few seconds.
const DEADLINE_S: &str = "120";

/// What a program printed, and whether it ended with success.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) success: bool,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// True if `program` can be started.
pub(crate) fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    version.is_ok_and(|output| output.status.success())
}

/// Runs `program` with `input` on its standard input.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Outcome<Printed> {
    let mut child = Command::new("timeout")
        .args([DEADLINE_S, program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(format_args!("cannot start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is no failure.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().context(format_args!("cannot wait for {program}"))?;
    Ok(Printed {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
