//! Builds tests with counters, and runs them.
#![allow(clippy::disallowed_methods, reason = "a tool at the edge handles files of its own")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// What a build came to.
pub(super) struct Built {
    /// Unit tests and integration tests.
    pub(super) tests: Vec<TestProgram>,
    /// Programs that tests start, which count as well.
    pub(super) started: Vec<PathBuf>,
}

/// A built test, unit tests or integration tests of a crate.
pub(super) struct TestProgram {
    pub(super) path: PathBuf,
    pub(super) package: String,
    /// The directory of the crate, in which Cargo runs tests.
    directory: PathBuf,
}

/// A message of Cargo about something it built.
#[derive(Deserialize)]
struct BuildMessage {
    manifest_path: PathBuf,
    executable: PathBuf,
    profile: BuildProfile,
}

#[derive(Deserialize)]
struct BuildProfile {
    test: bool,
}

/// Where Cargo builds when nothing else is said.
pub(super) fn target_directory() -> PathBuf {
    let chosen = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    source_root().join(chosen.unwrap_or_else(|| "target".into()))
}

/// Builds unit tests and integration tests of `packages`; `work` takes a helper.
///
/// Only the crates of the workspace get counters: nobody asks for those of
/// dependencies, which then need not be built again.
pub(super) fn build<const N: usize>(
    packages: [&str; N],
    branches: bool,
    work: &Path,
) -> Outcome<Built> {
    let mut command = Command::new(cargo_program());
    command
        .args(["test", "--no-run", "--locked", "--tests"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(source_root())
        .env("RUSTC_WORKSPACE_WRAPPER", compiler(work, branches)?)
        // Macros count as well.
        .env("LLVM_PROFILE_FILE", work.join("ignored-%m.profraw"))
        .stderr(Stdio::inherit());
    let built = command.output().context("cannot start cargo test")?;
    if !built.status.success() {
        return Err(Failure::check("the tests do not build"));
    }
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = || text.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(Built {
        tests: messages().filter_map(test_program).collect(),
        started: messages().filter_map(started_program).collect(),
    })
}

/// Calls the compiler that Cargo names with flags on top. It is no
/// shell script: a shell loses variables with a hyphen in their names, as those
/// of Cargo that name programs. That the compiler takes an unstable option it says
/// here and not to Cargo: build scripts look at the variable, and all dependencies
/// would be built again.
const WRAPPER: &str = r#"
use std::os::unix::process::CommandExt;
fn main() {
    let mut words = std::env::args_os().skip(1);
    let compiler = words.next().expect("Cargo names the compiler");
    let flags = env!("KV_COVERAGE_FLAGS");
    let mut command = std::process::Command::new(compiler);
    command.args(words).args(flags.split(' '));
    if env!("KV_COVERAGE_UNSTABLE") == "true" {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    let error = command.exec();
    panic!("cannot start the compiler: {error}");
}
"#;

/// A program that calls the compiler so that it counts, named by what it counts:
/// Cargo tells builds apart by this name.
fn compiler(work: &Path, branches: bool) -> Outcome<PathBuf> {
    let (name, flags) = match branches {
        true => ("rustc-counting-branches", "-Cinstrument-coverage -Zcoverage-options=branch"),
        false => ("rustc-counting", "-Cinstrument-coverage"),
    };
    let (program, source) = (work.join(name), work.join("rustc_counting.rs"));
    fs::write(&source, WRAPPER).context(source.display())?;
    let status = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .args([&program, &source])
        .env("KV_COVERAGE_FLAGS", flags)
        // No flag but that of branches is.
        .env("KV_COVERAGE_UNSTABLE", branches.to_string())
        .status()
        .context("cannot start rustc")?;
    if !status.success() {
        return Err(Failure::check("the wrapper of the compiler does not build"));
    }
    Ok(program)
}

/// The test that a message of Cargo speaks of, if it speaks of one.
fn test_program(message: BuildMessage) -> Option<TestProgram> {
    let directory = message.manifest_path.parent()?.to_path_buf();
    let package = directory.file_name()?.to_string_lossy().into_owned();
    message.profile.test.then_some(TestProgram { path: message.executable, package, directory })
}

/// The program for tests to start that a message of Cargo speaks of.
fn started_program(message: BuildMessage) -> Option<PathBuf> {
    (!message.profile.test).then_some(message.executable)
}

impl TestProgram {
    /// Runs the tests that `arguments` choose; the counters go to `profiles`.
    pub(super) fn run(&self, arguments: &[&str], profiles: &Path) -> Outcome {
        println!("{} {}", self.package, arguments.join(" "));
        let status = Command::new(&self.path)
            .arg("--quiet")
            .args(arguments)
            .current_dir(&self.directory)
            .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"))
            .status()
            .context(self.path.display())?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::check(format!("the tests of {} fail", self.package)))
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildMessage, started_program, test_program};

    #[test]
    fn of_all_that_cargo_builds_the_tests_are_run() {
        let message = |test: bool| -> BuildMessage {
            let text = format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/kv/crates/kv-wal/Cargo.toml",
                "executable":"/t/it-1","profile":{{"opt_level":"1","test":{test}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let program = test_program(message(true)).unwrap();
        assert_eq!((program.package.as_str(), program.path.to_str()), ("kv-wal", Some("/t/it-1")));
        assert!(test_program(message(false)).is_none(), "a program that tests start");
        assert_eq!(started_program(message(false)).unwrap().to_str(), Some("/t/it-1"));
        assert!(started_program(message(true)).is_none());
        let finished = r#"{"reason":"build-finished","success":true}"#;
        assert!(serde_json::from_str::<BuildMessage>(finished).is_err());
    }
}
