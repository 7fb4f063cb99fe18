//! Every system call on the database fails once: strace counts the calls of a
//! short script and then makes the N-th of a kind fail, or kills there.
//!
//! strace counts in each thread for itself, and threads share the work
//! differently each time, so the N-th call of a kind may not come. A number is
//! tried if each of several counting runs got to it, and tried again a few
//! times if the call did not come; what did not happen then is in the table.
//!
//! Whatever happens: no panic, errors in words, an end when asked to, and
//! after a start without faults everything acknowledged is there.
#![allow(clippy::disallowed_methods, reason = "a tool reads the trace of its own child")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::report::{Report, conduct};
use super::rig::{Rig, Setting};
use super::scratch::Scratch;
use super::script;
use super::tracer::{injection, tracer, was_killed};
use crate::failure::{Context, Failure, Outcome};
use crate::server_process::Server;

/// The calls that reach files. Those that find other files, such as libraries,
/// are left alone.
const KINDS: &str = "write,pwrite64,pwritev,fdatasync,fsync,openat,openat2,renameat,renameat2,\
                     rename,unlinkat,ftruncate,fallocate,pread64,read,mmap,fchmod,fstat,statx,\
                     newfstatat,getdents64,fadvise64,flock,lseek";
/// Calls that the kernel may interrupt, and that must then be repeated.
const INTERRUPTIBLE: [&str; 6] = ["write", "pwrite64", "pread64", "read", "ftruncate", "openat"];
/// Syncs, of which an interrupted one is an error by design: nobody knows what
/// it did, and asking again might be answered by a yes for lost data.
const SYNCS: [&str; 2] = ["fdatasync", "fsync"];
const INTERRUPT: &str = "error=EINTR";
/// Runs without a fault in which a call must come to be tried.
const COUNTING_RUNS: usize = 6;
/// Of the faults that are tried, so many in a hundred must happen.
const LEAST_PERCENT: u64 = 90;
/// Tries of one fault, until its call comes.
const TRIES: u32 = 4;
/// The longest an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(15);
const SIGKILL: i32 = 9;

/// One call and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    kind: String,
    /// Counted from 1, in each thread of the server.
    number: u64,
    effect: &'static str,
}

/// So many faults, drawn from all there are; all of them if there are fewer.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("syscalls", setting, |scratch, rig| {
        let mut faults = every_fault(scratch, rig)?;
        let mut arrived = 0;
        while rig.cycles < cycles && !faults.is_empty() {
            rig.setting.interrupt.check()?;
            let drawn = rig.random.below(faults.len() as u64) as usize;
            let fault = faults.swap_remove(drawn);
            arrived += u64::from(insist(scratch, rig, &fault).map_err(|failure| Failure {
                message: format!("{fault:?}: {}", failure.message),
                ..failure
            })?);
            rig.cycles += 1;
        }
        if rig.cycles == 0 {
            return Err(Failure::check("no call on the database came in each counting run"));
        }
        let share = format!("{arrived} of {} faults happened", rig.cycles);
        rig.remarks.push(share.clone());
        match arrived * 100 >= rig.cycles * LEAST_PERCENT {
            true => Ok(()),
            false => Err(Failure::check(format!("too few: {share}"))),
        }
    })
}

/// Tries until the call comes, a few times; true if it came.
fn insist(scratch: &Scratch, rig: &mut Rig, fault: &Fault) -> Outcome<bool> {
    for _ in 0..TRIES {
        if inject(scratch, rig, fault)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What could have failed in every run of the script without a fault.
fn every_fault(scratch: &Scratch, rig: &mut Rig) -> Outcome<Vec<Fault>> {
    let mut calls = count_calls(scratch, rig)?;
    for _ in 1..COUNTING_RUNS {
        let again = count_calls(scratch, rig)?;
        calls.retain(|call| again.contains(call));
    }
    let mut faults = Vec::new();
    for (kind, number) in calls {
        let mut effects = vec!["error=EIO", "error=ENOSPC", "signal=KILL"];
        if INTERRUPTIBLE.contains(&kind.as_str()) || SYNCS.contains(&kind.as_str()) {
            effects.push(INTERRUPT);
        }
        let fault = |effect| Fault { kind: kind.clone(), number, effect };
        faults.extend(effects.into_iter().map(fault));
    }
    Ok(faults)
}

/// Runs the script without a fault: kinds and numbers of its calls.
fn count_calls(scratch: &Scratch, rig: &mut Rig) -> Outcome<BTreeSet<(String, u64)>> {
    let data_dir = scratch.subdirectory("counted")?;
    fs::remove_dir_all(&data_dir).context(data_dir.display())?;
    let trace = scratch.path().join("trace.txt");
    let mut tracer = tracer(&trace, &[format!("trace={KINDS}")]);
    // Descriptors with the paths behind them.
    tracer.push("-y".into());
    let server = Server::start_under(&tracer, &rig.plain_plan(&data_dir)?, &rig.setting.interrupt)?;
    let transcript = script::play(server.port(), &rig.share_log())?;
    let (status, printed) = server.ended(PATIENCE)?;
    if !status.success() || !transcript.errors.is_empty() {
        let errors = transcript.errors.join(", ");
        return Err(Failure::check(format!("without a fault: {status}, {errors} {printed}")));
    }
    let text = fs::read_to_string(&trace).context(trace.display())?;
    Ok(calls_on(&data_dir.to_string_lossy(), &text))
}

/// Kinds and numbers, in their thread, of the calls that mention `directory`.
fn calls_on(directory: &str, trace: &str) -> BTreeSet<(String, u64)> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut calls = BTreeSet::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // The second half of a call that another thread interrupted, or a
        // signal, or an exit.
        let Some((kind, arguments)) = rest.split_once('(') else { continue };
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let count = counts.entry((thread, kind)).or_default();
        *count += 1;
        if arguments.contains(directory) {
            calls.insert((kind.to_owned(), *count));
        }
    }
    calls
}

/// Runs the script with one fault and checks what is left; true if the fault
/// happened.
fn inject(scratch: &Scratch, rig: &mut Rig, fault: &Fault) -> Outcome<bool> {
    let data_dir = scratch.subdirectory("data")?;
    fs::remove_dir_all(&data_dir).context(data_dir.display())?;
    let Fault { kind, number, effect } = fault;
    let trace = scratch.path().join("trace.txt");
    let tracer = tracer(&trace, &injection(kind, effect, *number));
    let plan = rig.plain_plan(&data_dir)?;
    let interrupt = rig.setting.interrupt.clone();
    let (events, is_killed) = match Server::start_under(&tracer, &plan, &interrupt) {
        Ok(server) => {
            let transcript = script::play(server.port(), &rig.share_log())?;
            let (status, printed) = server.ended(PATIENCE)?;
            require_decent_end(status, &printed)?;
            require_words(&transcript.errors)?;
            if *effect == INTERRUPT {
                let has_arrived = has_injected(&trace)?;
                require_repetition(kind, has_arrived, status, &transcript.errors, &printed)?;
            }
            (transcript.events, status.signal() == Some(SIGKILL))
        }
        // It may refuse to start, in words, or be killed before.
        Err(failure) => {
            interrupt.check()?;
            require_refusal(&failure.message)?;
            (Vec::new(), was_killed(&failure.message))
        }
    };
    // Whom strace kills it need not have written down yet.
    let has_arrived = is_killed || has_injected(&trace)?;
    let oracle = Rig::oracle_of(events)?;
    let server = Server::start(&plan, &interrupt)?;
    rig.judge_by(oracle, &server)?.into_outcome()?;
    server.kill()?;
    Ok(has_arrived)
}

/// True if strace did what it was told to.
fn has_injected(trace: &Path) -> Outcome<bool> {
    let text = fs::read_to_string(trace).context(trace.display())?;
    Ok(text.contains("INJECTED"))
}

/// An interrupted call is repeated, and nobody hears of it; but not a sync:
/// that one is refused, in words, and so is what follows.
fn require_repetition(
    kind: &str,
    has_arrived: bool,
    status: ExitStatus,
    errors: &[String],
    printed: &str,
) -> Outcome {
    if !SYNCS.contains(&kind) {
        return match errors {
            [] => Ok(()),
            _ => Err(Failure::check(format!("an interrupted call was an error: {errors:?}"))),
        };
    }
    let is_typed = |text: &String| text.starts_with("MISCONF ") && text.contains("(os error 4)");
    // The last sync is that of the end, which nobody is told of but the shell.
    let is_told = errors.first().is_some_and(is_typed) || !status.success();
    match !has_arrived || is_told {
        true => Ok(()),
        false => Err(Failure::check(format!(
            "an interrupted sync was no error: {status}, {errors:?}, {printed}"
        ))),
    }
}

fn require_decent_end(status: ExitStatus, printed: &str) -> Outcome {
    let is_decent = status.code().is_some() || status.signal() == Some(SIGKILL);
    match is_decent && !printed.contains("panicked") {
        true => Ok(()),
        false => Err(Failure::check(format!("the server ended by {status}: {printed}"))),
    }
}

fn require_words(errors: &[String]) -> Outcome {
    let words = ["ERR ", "MISCONF ", "BUSY ", "EXECABORT ", "SHUTDOWN "];
    match errors.iter().find(|text| !words.iter().any(|word| text.starts_with(word))) {
        None => Ok(()),
        Some(text) => Err(Failure::check(format!("an error without a type: {text:?}"))),
    }
}

fn require_refusal(message: &str) -> Outcome {
    let has_ended = message.contains("ended before it was ready");
    let is_bad = message.contains("panicked")
        || message.contains("signal: ") && !message.contains("signal: 9 ");
    match has_ended && !is_bad {
        true => Ok(()),
        false => Err(Failure::check(format!("not a refusal to start: {message}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::calls_on;

    #[test]
    fn calls_are_counted_in_their_thread_and_kept_if_they_touch_the_database() {
        let trace = "\
10    openat(AT_FDCWD</x>, \"/lib/libc.so\", O_RDONLY) = 3</lib/libc.so>
10    openat(7</x/db>, \"wal.log\", O_RDWR) = 3</x/db/wal.log>
11    pwrite64(3</x/db/wal.log>, \"a\", 1, 0 <unfinished ...>
10    pwrite64(9</elsewhere>, \"a\", 1, 0) = 1
11    <... pwrite64 resumed>) = 1
10    pwrite64(3</x/db/wal.log>, \"a\", 1, 0) = 1
10    +++ exited with 0 +++
";
        let calls: Vec<_> = calls_on("/x/db", trace).into_iter().collect();
        let call = |kind: &str, number| (kind.to_owned(), number);
        assert_eq!(calls, [call("openat", 2), call("pwrite64", 1), call("pwrite64", 2)]);
    }
}
