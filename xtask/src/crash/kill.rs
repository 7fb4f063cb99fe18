//! SIGKILL in the middle of a load, restart, check, and on with the same data.
//!
//! The moment is drawn: some time after the first reply or a number of
//! replies, whichever is there first. One kill in ten is at a system call
//! instead, so that it also falls between two steps that no reply divides,
//! and into recovery.
//!
//! The operating system keeps what the process had written, so every
//! durability is held to its promise here, with other options in each life.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::load::Moment;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting, require_healthy};
use super::scratch::Scratch;
use super::shell;
use super::tracer::{injection, tracer, was_killed};
use crate::failure::{Failure, Outcome};
use crate::server_process::Server;

/// The server dies at the latest after so many replies, and so long after the
/// first, in milliseconds.
const MOST_REPLIES: u64 = 2000;
const MOST_MILLISECONDS: u64 = 200;
/// One kill in so many is at a system call.
const CALL_ODDS: u64 = 10;
/// Calls at which it is killed, by what they do to files.
const CALLS: [&str; 5] = [
    "write,pwrite64,pwritev,pwritev2",
    "fdatasync,fsync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "openat,openat2",
];
/// The number of the call, in its thread, is at most two to the power of a
/// number below this: small ones are made in every start, others under load.
const CALL_NUMBER_BITS: u64 = 7;
const SIGKILL: i32 = 9;

/// How many of the kills at a system call happened where.
#[derive(Debug, Default)]
struct CallKills {
    during_load: u64,
    during_start: u64,
    /// The call was not made so often: killed like the others.
    elsewhere: u64,
}

/// So many kills, one database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("kill", setting, |scratch, rig| {
        let data_dir = scratch.subdirectory("data")?;
        let mut kills = CallKills::default();
        let mut server = rig.start(&data_dir, Durabilities::Any)?;
        while rig.cycles < cycles {
            match shell::is_installed(shell::STRACE.name) && rig.random.below(CALL_ODDS) == 0 {
                true => {
                    server.kill()?;
                    kill_at_call(scratch, rig, &data_dir, &mut kills)?;
                }
                false => {
                    let moment = moment(rig);
                    let end = rig.load(server.port(), moment, || server.kill())?;
                    require_healthy(&end)?;
                }
            }
            rig.advance()?;
            server = rig.start(&data_dir, Durabilities::Any)?;
            rig.confirm(&server)?;
            rig.cycles += 1;
        }
        let CallKills { during_load, during_start, elsewhere } = kills;
        rig.remarks.push(format!(
            "at a call under load {during_load}, in a start {during_start}, missed {elsewhere}"
        ));
        Ok(())
    })
}

fn moment(rig: &mut Rig) -> Moment {
    let at_latest = Duration::from_millis(rig.random.below(MOST_MILLISECONDS));
    Moment { at_latest: Some(at_latest), ..rig.draw_moment(MOST_REPLIES) }
}

/// Starts a server that dies at a drawn system call, and loads it.
fn kill_at_call(
    scratch: &Scratch,
    rig: &mut Rig,
    data_dir: &Path,
    kills: &mut CallKills,
) -> Outcome {
    let calls = rig.random.pick(&CALLS);
    let bits = rig.random.below(CALL_NUMBER_BITS);
    let number = 1 + rig.random.below(1 << bits);
    let plan = rig.plan(data_dir, Durabilities::Any)?;
    let tracer =
        tracer(&scratch.path().join("trace.txt"), &injection(calls, "signal=KILL", number));
    let interrupt = rig.setting.interrupt.clone();
    let server = match Server::start_under(&tracer, &plan, &interrupt) {
        Ok(server) => server,
        Err(failure) if was_killed(&failure.message) => {
            kills.during_start += 1;
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let mut status = ExitStatus::default();
    // As late as it may be, so that the call comes first.
    let at_latest = Some(Duration::from_millis(MOST_MILLISECONDS));
    let moment = Moment { replies: MOST_REPLIES, at_latest, ..rig.draw_moment(MOST_REPLIES) };
    let end = rig.load(server.port(), moment, || {
        status = server.kill_for_status()?;
        Ok(())
    })?;
    match end.reached {
        true => kills.elsewhere += 1,
        false => kills.during_load += 1,
    }
    if status.signal() != Some(SIGKILL) || !end.errors.is_empty() {
        let errors = end.errors.join(", ");
        return Err(Failure::check(format!("{calls} {number}: ended by {status}, {errors}")));
    }
    Ok(())
}
