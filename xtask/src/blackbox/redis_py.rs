//! The server as Python's redis client sees it, in an environment of its own.

use std::path::Path;

use super::external;
use crate::failure::{Context, Outcome};
use crate::screen::Screen;

const SCRIPT: &str = include_str!("redis_py_check.py");

/// Installs redis-py into a fresh virtual environment and runs the script;
/// prints a notice where that cannot be had.
pub(crate) fn check(port: u16, directory: &Path, screen: &mut Screen) -> Outcome {
    let environment = directory.join("venv");
    let Some(python) = install(&environment)? else {
        screen.say(
            "NOTICE: redis-py is skipped: python3 with venv, pip and the package index are needed",
        );
        return Ok(());
    };
    let script = directory.join("redis_py_check.py");
    write(&script)?;
    let (script, port) = (script.to_string_lossy(), port.to_string());
    let printed = external::run(&python, &[&script, &port], b"")?;
    screen.claim(printed.success, &format!("redis-py: {}", printed.output.trim_end()));
    screen.say(&printed.errors);
    Ok(())
}

/// The environment's interpreter, or `None` where it cannot be set up.
fn install(environment: &Path) -> Outcome<Option<String>> {
    if !external::is_installed("python3") {
        return Ok(None);
    }
    let place = environment.to_string_lossy();
    if !external::run("python3", &["-m", "venv", &place], b"")?.success {
        return Ok(None);
    }
    let python = format!("{place}/bin/python");
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "redis"];
    let installed = external::run(&python, &arguments, b"")?.success;
    Ok(installed.then_some(python))
}

#[allow(clippy::disallowed_methods, reason = "a tool writes its own temporary file")]
fn write(script: &Path) -> Outcome {
    std::fs::write(script, SCRIPT).context(script.display())
}
