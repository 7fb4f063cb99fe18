//! The programs that look for the bugs, built of the mutated copy.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::copy::{HUNT, SCHEDULES, SWITCH_VARIABLE, TESTS};
use super::mutants::Hunt;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::pause::pause;
use crate::test_report::has_run_tests;
use crate::workspace::{cargo_program, source_root};

/// What the simulation returns when it has found something, and what a test does.
/// A panic of the simulation, which looks like that of a test, is its own fault.
const FOUND_BY_SIMULATION: i32 = 1;
const FOUND_BY_TEST: i32 = 101;
/// Signals by which somebody else ends a hunt: a closed terminal, Ctrl-C, a kernel
/// without memory, a machine that goes down. The mutant has nothing to do with them.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];
/// The longest that a hunt may take, many times what the slowest needs. One that takes
/// longer is stuck, and has found nothing.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// The programs of the copy that were asked for.
pub(super) struct Hunters {
    simulation: Option<PathBuf>,
    tests: Option<PathBuf>,
    schedules: Option<PathBuf>,
}

impl Hunters {
    /// Builds what `hunts` need, beside the programs of the original: what both
    /// depend on is built once.
    pub(super) fn build(workspace: &Path, hunts: impl Iterator<Item = Hunt>) -> Outcome<Hunters> {
        let hunts: Vec<Hunt> = hunts.collect();
        let build = |is_wanted: fn(&Hunt) -> bool, package, target, arguments: &[&str]| {
            if !hunts.iter().any(is_wanted) {
                return Ok(None);
            }
            program(&cargo(workspace, package, arguments)?, package, target).map(Some)
        };
        Ok(Hunters {
            simulation: build(
                |hunt| *hunt == Hunt::Simulation,
                "kv-sim",
                HUNT,
                &["build", "--example", HUNT],
            )?,
            tests: build(
                |hunt| matches!(hunt, Hunt::Test(_)),
                "kv-engine",
                TESTS,
                &["test", "--no-run", "--test", TESTS],
            )?,
            schedules: build(
                |hunt| matches!(hunt, Hunt::Schedules(_)),
                "kv-engine",
                SCHEDULES,
                &["test", "--no-run", "--features", SCHEDULES, "--test", SCHEDULES],
            )?,
        })
    }

    /// Looks for mutant `name`; what the hunt reports if it has found something.
    ///
    /// Hunts in a process of its own: a mutant may hang, abort or overflow.
    pub(super) fn hunt(
        &self,
        hunt: Hunt,
        name: &str,
        seeds: u64,
        interrupt: &Interrupt,
    ) -> Outcome<Option<String>> {
        let (program, arguments) = match hunt {
            Hunt::Simulation => (&self.simulation, vec!["--seeds".into(), seeds.to_string()]),
            Hunt::Test(test) => (&self.tests, test_arguments(test)),
            Hunt::Schedules(test) => (&self.schedules, test_arguments(test)),
        };
        let program = program.as_ref().expect("what the programme needs was built");
        let child = Command::new(program)
            .args(arguments)
            .env(SWITCH_VARIABLE, name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a hunt")?;
        let (status, report) = wait_within(child, PATIENCE, interrupt)?;
        outcome_of(status, &report, hunt)
    }
}

fn test_arguments(test: &str) -> Vec<String> {
    vec![test.into(), "--test-threads".into(), "1".into()]
}

/// Runs Cargo in the copy and returns its messages.
fn cargo(workspace: &Path, package: &str, arguments: &[&str]) -> Outcome<String> {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| source_root().join("target"), PathBuf::from);
    let output = Command::new(cargo_program())
        .args(arguments)
        .args(["--package", package, "--quiet", "--offline", "--message-format", "json"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let command = arguments.join(" ");
        return Err(Failure::check(format!(
            "the mutants do not compile; see: (cd {} && cargo {command} --package {package})",
            workspace.display()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program that Cargo says it has built for a target of a package.
fn program(messages: &str, package: &str, target: &str) -> Outcome<PathBuf> {
    let is_wanted = |message: &serde_json::Value| {
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        message["target"]["name"] == target && manifest.ends_with(&format!("{package}/Cargo.toml"))
    };
    let lines = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut wanted = lines.filter(is_wanted);
    wanted
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::check(format!("cargo has not built {target} of {package}")))
}

/// How a hunt ended and what it printed; fails for one that does not end.
#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn wait_within(
    mut child: Child,
    patience: Duration,
    interrupt: &Interrupt,
) -> Outcome<(ExitStatus, String)> {
    let mut output = child.stdout.take().expect("its output was asked for");
    let reader = thread::spawn(move || {
        let mut report = Vec::new();
        // Where it breaks off the hunt has ended, and its status tells how.
        let _ = output.read_to_end(&mut report);
        String::from_utf8_lossy(&report).into_owned()
    });
    let started = std::time::Instant::now();
    let mut waited = Ok(());
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a hunt")? {
            break status;
        }
        if waited.is_ok() {
            let is_late = started.elapsed() > patience;
            let late = || Failure::check(format!("a hunt does not end within {patience:?}"));
            waited = interrupt.check().and(if is_late { Err(late()) } else { Ok(()) });
            if waited.is_err() {
                child.kill().context("cannot end a hunt")?;
            }
        }
        pause(POLL);
    };
    let report = reader.join().expect("nothing panics where it reads");
    // Ctrl-C reaches a hunt too.
    waited.and_then(|()| interrupt.check()).map(|()| (status, report))
}

/// What the hunt reports, if it found something. A process that died of a signal of
/// its own has found something too.
fn outcome_of(status: ExitStatus, report: &str, hunt: Hunt) -> Outcome<Option<String>> {
    let (found, found_code, was_run) = match hunt {
        Hunt::Simulation => (report, FOUND_BY_SIMULATION, true),
        Hunt::Test(name) | Hunt::Schedules(name) => (name, FOUND_BY_TEST, has_run_tests(report)),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) if was_run => Ok(None),
        (Some(code), _) if code == found_code => Ok(Some(found.to_owned())),
        (None, Some(signal)) if !FROM_OUTSIDE.contains(&signal) => {
            Ok(Some(format!("the process ended by {status}")))
        }
        _ => Err(Failure::check(format!("a hunt ended by {status}: {found}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Hunt = Hunt::Test("recovery::a_name");

    /// What a hunt with this wait status and report comes to.
    fn outcome(status: i32, report: &str, hunt: Hunt) -> Result<Option<String>, String> {
        let outcome = outcome_of(ExitStatus::from_raw(status), report, hunt);
        outcome.map_err(|failure| failure.message)
    }

    #[test]
    fn what_ends_a_hunt_by_its_own_hand_is_found_and_nothing_else() {
        let code = |code: i32| code << 8;
        let (sigabrt, sigkill, sigterm) = (6, 9, 15);
        assert_eq!(outcome(code(0), "nothing found", Hunt::Simulation), Ok(None));
        assert_eq!(outcome(code(0), "running 1 test\n", TEST), Ok(None));
        assert_eq!(outcome(code(1), "a loss", Hunt::Simulation), Ok(Some("a loss".into())));
        assert!(outcome(code(101), "running 1 test\n", TEST).unwrap().is_some());
        assert!(outcome(sigabrt, "", TEST).unwrap().is_some());
        assert!(outcome(code(0), "running 0 tests\n", TEST).is_err(), "no test of that name");
        assert!(outcome(code(101), "", Hunt::Simulation).is_err(), "a panic of the simulation");
        assert!(outcome(code(1), "", TEST).is_err());
        for hunt in [Hunt::Simulation, TEST] {
            assert!(outcome(sigkill, "", hunt).is_err(), "no memory");
            assert!(outcome(sigterm, "", hunt).is_err());
        }
    }

    #[test]
    fn a_hunt_that_does_not_end_is_ended() {
        let interrupt = Interrupt::install().unwrap();
        let hunt = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        // It reads what is never sent.
        let stuck = hunt("read line");
        let failure = wait_within(stuck, Duration::ZERO, &interrupt).unwrap_err();
        assert!(failure.message.contains("does not end"), "{failure}");
        let (status, report) = wait_within(hunt("echo seen"), PATIENCE, &interrupt).unwrap();
        assert_eq!((status.code(), report.as_str()), (Some(0), "seen\n"));
    }
}
