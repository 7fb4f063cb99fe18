//! Every system call on the database fails once: strace counts the calls of a
//! short script and then makes the N-th of a kind fail, or kills there.
//!
//! Whatever happens: no panic, errors in words, an end when asked to, and
//! after a start without faults everything acknowledged is there.
#![allow(clippy::disallowed_methods, reason = "a tool reads the trace of its own child")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::report::{Report, conduct};
use super::rig::{Rig, Setting};
use super::scratch::Scratch;
use super::script;
use crate::failure::{Context, Failure, Outcome};
use crate::server_process::Server;

/// The calls that reach files. Those that find other files, such as libraries,
/// are left alone.
const KINDS: &str = "write,pwrite64,pwritev,fdatasync,fsync,openat,openat2,renameat,renameat2,\
                     rename,unlinkat,ftruncate,fallocate,pread64,read,mmap,fchmod,fstat,statx,\
                     newfstatat,getdents64,fadvise64,flock,lseek";
/// Calls that the kernel may interrupt, and that must then be repeated.
const INTERRUPTIBLE: [&str; 6] = ["write", "pwrite64", "pread64", "read", "ftruncate", "openat"];
/// The longest an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(15);
const SIGKILL: i32 = 9;

/// One call and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    kind: String,
    /// Counted from 1, in each thread of the server.
    number: usize,
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
            let has_arrived = inject(scratch, rig, &fault).map_err(|failure| Failure {
                message: format!("{fault:?}: {}", failure.message),
                ..failure
            })?;
            arrived += u64::from(has_arrived);
            rig.cycles += 1;
        }
        // Threads share the work differently each time, so some never do.
        match arrived * 2 >= rig.cycles {
            true => Ok(()),
            false => Err(Failure::check(format!("only {arrived} of the faults happened"))),
        }
    })
}

/// Runs the script without a fault and lists what could have failed.
fn every_fault(scratch: &Scratch, rig: &mut Rig) -> Outcome<Vec<Fault>> {
    let data_dir = scratch.subdirectory("counted")?;
    let trace = scratch.path().join("trace.txt");
    let tracer = tracer(&trace, &["-y".into(), "-e".into(), format!("trace={KINDS}").into()]);
    let server = Server::start_under(&tracer, &rig.plain_plan(&data_dir)?, &rig.setting.interrupt)?;
    let transcript = script::play(server.port()).context("the script")?;
    let (status, printed) = server.ended(PATIENCE)?;
    if !status.success() || !transcript.errors.is_empty() {
        let errors = transcript.errors.join(", ");
        return Err(Failure::check(format!("without a fault: {status}, {errors} {printed}")));
    }
    let text = fs::read_to_string(&trace).context(trace.display())?;
    let calls = calls_on(&data_dir.to_string_lossy(), &text);
    let mut faults = Vec::new();
    for (kind, number) in calls {
        let mut effects = vec!["error=EIO", "error=ENOSPC", "signal=KILL"];
        if INTERRUPTIBLE.contains(&kind.as_str()) {
            effects.push("error=EINTR");
        }
        let fault = |effect| Fault { kind: kind.clone(), number, effect };
        faults.extend(effects.into_iter().map(fault));
    }
    Ok(faults)
}

/// Kinds and numbers, in their thread, of the calls that mention `directory`.
fn calls_on(directory: &str, trace: &str) -> BTreeSet<(String, usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
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
    let options = [
        "-e".into(),
        format!("trace={kind}").into(),
        "-e".into(),
        format!("inject={kind}:{effect}:when={number}").into(),
    ];
    let trace = scratch.path().join("trace.txt");
    let tracer = tracer(&trace, &options);
    let plan = rig.plain_plan(&data_dir)?;
    let interrupt = rig.setting.interrupt.clone();
    let events = match Server::start_under(&tracer, &plan, &interrupt) {
        Ok(server) => {
            let transcript = script::play(server.port()).context("the script")?;
            let (status, printed) = server.ended(PATIENCE)?;
            require_decent_end(status, &printed)?;
            require_words(&transcript.errors)?;
            if *effect == "error=EINTR" && !transcript.errors.is_empty() {
                let errors = &transcript.errors;
                return Err(Failure::check(format!(
                    "an interrupted call was an error: {errors:?}"
                )));
            }
            transcript.events
        }
        // It may refuse to start, in words, or be killed before.
        Err(failure) => {
            interrupt.check()?;
            require_refusal(&failure.message)?;
            Vec::new()
        }
    };
    let oracle = Rig::oracle_of(events)?;
    let server = Server::start(&plan, &interrupt)?;
    rig.confirm_by(oracle, &server)?;
    server.kill()?;
    let text = fs::read_to_string(&trace).context(trace.display())?;
    Ok(text.contains("INJECTED") || text.contains("killed by SIGKILL"))
}

/// strace, which lets the server be our child and follows its threads.
fn tracer(trace: &Path, options: &[OsString]) -> Vec<OsString> {
    let words = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o"];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.push(trace.into());
    words.extend_from_slice(options);
    words
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
