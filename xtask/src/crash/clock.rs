//! Clocks that jump: the server under faketime, whose wall clock is set to
//! 1970, 2099 and elsewhere, between its lives and under load, before SIGKILL.
//!
//! In every third life the monotonic clock jumps with it, which no kernel
//! does: the server may take clients for silent and the disk for stalled, and a
//! jump between its looks at the two clocks may take it anywhere in time. So only
//! what does not expire is looked at, and keys that do may be gone afterwards.
//! In the others they are held to what is said of them: the time of a running
//! server never goes back, so what has expired stays away, and the rest is there.
#![allow(clippy::disallowed_methods, reason = "a tool reads the real clock and sets a false one")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::load::LoadEnd;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting, require_healthy};
use super::scratch::Scratch;
use super::shell;
use crate::failure::{Context, Failure, Outcome};
use crate::resp::{Client, Reply};
use crate::server_process::Server;

/// Moments to which the clock is set, in seconds since 1970: its first minute,
/// a leap day, both sides of the end of 32 bits, the last day of 2099.
const MOMENTS: [i64; 5] = [10, 951_782_400, 2_147_483_640, 2_147_483_660, 4_102_358_400];
/// Or it is moved by so much from where it is right.
const SHIFTS: [i64; 6] = [0, 1, -1, 3600, -3600, -86_400];
/// Jumps under load, before the kill.
const JUMPS: usize = 4;
/// Replies before the first of them, at the most.
const MOST_REPLIES: u64 = 300;
/// Lives of the keys that expire, in seconds: one that passes in the life in
/// which it was written, and one that does not.
const SHORT_S: i64 = 50;
const LONG_S: i64 = 100_000;
/// What faketime shares between processes, and how the names of it start; then comes
/// the id of the process.
const SHARED: &str = "/dev/shm";
const SHARED_PREFIXES: [&str; 2] = ["faketime_shm_", "sem.faketime_sem_"];
/// When a key without a life of its own expires.
const NEVER_S: i64 = i64::MAX / 2;
/// Seconds within which nothing is said about a moment: the test takes time.
const SLACK_S: i64 = 20;

/// So many lives of one database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("clock", setting, |scratch, rig| {
        let data_dir = scratch.subdirectory("data")?;
        let mut clock = FalseClock::new(scratch, &data_dir)?;
        let mut expiring = Vec::new();
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            let jumps = rig.cycles % 3 == 2;
            cycle(rig, &data_dir, &mut clock, jumps, &mut expiring)?;
            rig.cycles += 1;
        }
        let seen = expiring.len();
        rig.remarks.push(format!("{} jumps, {seen} keys of known lives", clock.jumps));
        Ok(())
    })
}

/// The clock of the servers, which they read from a file.
struct FalseClock {
    library: OsString,
    file: PathBuf,
    unfinished: PathBuf,
    /// The latest moment of the present life.
    latest: i64,
    jumps: u64,
}

/// A key with a life of its own.
struct Expiring {
    key: String,
    until: i64,
    /// The latest moment at which a server that had it may have been.
    latest: i64,
}

fn cycle(
    rig: &mut Rig,
    data_dir: &Path,
    clock: &mut FalseClock,
    monotonic_jumps: bool,
    expiring: &mut Vec<Expiring>,
) -> Outcome {
    let start = draw(rig);
    clock.latest = start;
    clock.set(start)?;
    let plan = rig.plan(data_dir, Durabilities::Any)?;
    let interrupt = rig.setting.interrupt.clone();
    let server = Server::start_under(&clock.words(monotonic_jumps), &plan, &interrupt)?;
    rig.confirm(&server)?;
    let mut client = server.connect()?;
    if !monotonic_jumps {
        for key in &*expiring {
            key.check_after_restart(&mut client, start)?;
        }
        let first = expiring.len();
        write_and_expire(&mut client, clock, start, first, expiring)?;
    }
    let jumps: [i64; JUMPS] = std::array::from_fn(|_| draw(rig));
    let moment = rig.draw_moment(MOST_REPLIES);
    let port = server.port();
    let end = rig.load(port, moment, || {
        for jump in jumps {
            clock.set(jump)?;
            // It is read now, while the writers write.
            require_answer(port)?;
        }
        server.kill()
    })?;
    match monotonic_jumps {
        true => require_patience(&end)?,
        false => require_healthy(&end)?,
    }
    rig.advance()?;
    for key in expiring {
        let latest = if monotonic_jumps { NEVER_S - 1 } else { clock.latest + SLACK_S };
        key.latest = key.latest.max(latest);
    }
    Ok(())
}

fn draw(rig: &mut Rig) -> i64 {
    match rig.random.below(2) {
        0 => rig.random.pick(&MOMENTS),
        _ => now() + rig.random.pick(&SHIFTS),
    }
}

/// Seconds since 1970, by the real clock.
fn now() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs() as i64)
}

impl FalseClock {
    /// In the data directory, so that a server which is confined to it can
    /// read it: a stray file that it must leave alone.
    fn new(scratch: &Scratch, data_dir: &Path) -> Outcome<FalseClock> {
        clear_shared();
        let library =
            shell::run(shell::FAKETIME.name, &["-m", "-f", "+0", "printenv", "LD_PRELOAD"])?;
        Ok(FalseClock {
            library: library.into(),
            file: data_dir.join("false-clock"),
            unfinished: scratch.path().join("false-clock"),
            latest: 0,
            jumps: 0,
        })
    }

    /// The words that start a program under it.
    fn words(&self, monotonic_jumps: bool) -> Vec<OsString> {
        let mut preload = OsString::from("LD_PRELOAD=");
        preload.push(&self.library);
        let mut file = OsString::from("FAKETIME_TIMESTAMP_FILE=");
        file.push(&self.file);
        let mut words = vec!["env".into(), preload, file, "FAKETIME_NO_CACHE=1".into()];
        if !monotonic_jumps {
            words.push("FAKETIME_DONT_FAKE_MONOTONIC=1".into());
        }
        words
    }

    /// Sets it to so many seconds since 1970; from there it goes on.
    fn set(&mut self, seconds: i64) -> Outcome {
        self.latest = self.latest.max(seconds);
        self.jumps += 1;
        fs::write(&self.unfinished, format!("{:+}\n", seconds - now()))
            .context(self.unfinished.display())?;
        // Whole or not at all: it is read all the time.
        fs::rename(&self.unfinished, &self.file).context(self.file.display())
    }
}

impl Drop for FalseClock {
    fn drop(&mut self) {
        clear_shared();
    }
}

/// Removes what killed processes have left. The next one that gets such an id could
/// not start under faketime.
fn clear_shared() {
    for entry in fs::read_dir(SHARED).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = SHARED_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Where it stays, the next run tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Expiring {
    /// What is surely so at a server that was just started at `start`.
    fn check_after_restart(&self, client: &mut Client, start: i64) -> Outcome {
        let key = &self.key;
        if start > self.until + SLACK_S {
            require(client, key, false, "it had expired when the server started")?;
        } else if self.latest.max(start + SLACK_S) < self.until {
            require(client, key, true, "its time was not over in any life")?;
        }
        Ok(())
    }
}

/// Keys that expire, and the clock set back, forwards and back again.
fn write_and_expire(
    client: &mut Client,
    clock: &mut FalseClock,
    start: i64,
    number: usize,
    expiring: &mut Vec<Expiring>,
) -> Outcome {
    let [short, long, plain] =
        ["short", "long", "plain"].map(|kind| format!("clock:{kind}:{number}"));
    for (key, life) in [(&short, Some(SHORT_S)), (&long, Some(LONG_S)), (&plain, None)] {
        let life = life.map(|seconds| seconds.to_string());
        let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), b"1"];
        if let Some(life) = &life {
            words.extend([b"EX".as_slice(), life.as_bytes()]);
        }
        let reply = client.call(&words).context("SET")?;
        check(reply.is_ok(), || format!("SET {key}: {reply:?}"))?;
    }
    for (moment, is_short_there) in
        [(start - 86_400, true), (start + SHORT_S + SLACK_S, false), (MOMENTS[0], false)]
    {
        clock.set(moment)?;
        require(client, &short, is_short_there, "the clock was set back, forwards, back")?;
        require(client, &long, true, "its time is not over")?;
        require(client, &plain, true, "it does not expire")?;
        let left = client.call(&[b"TTL", long.as_bytes()]).context("TTL")?;
        let Reply::Integer(left) = left else {
            return Err(Failure::check(format!("TTL {long}: {left:?}")));
        };
        check((0..=LONG_S).contains(&left), || format!("{long} lives for {left} seconds"))?;
    }
    // The server has seen the jump, or all of this has shown nothing.
    let time = client.call(&[b"TIME"]).context("TIME")?;
    let has_jumped = match &time {
        Reply::Array(parts) => {
            let seconds: Option<i64> = parts[0].text().and_then(|text| text.parse().ok());
            seconds.is_some_and(|seconds| seconds >= start + SHORT_S)
        }
        _ => false,
    };
    check(has_jumped, || format!("the clock was set forwards and TIME answered {time:?}"))?;
    let latest = clock.latest + SLACK_S;
    expiring.push(Expiring { key: short, until: start + SHORT_S, latest });
    expiring.push(Expiring { key: long, until: start + LONG_S, latest });
    expiring.push(Expiring { key: plain, until: NEVER_S, latest });
    Ok(())
}

fn require(client: &mut Client, key: &str, is_there: bool, why: &str) -> Outcome {
    let reply = client.call(&[b"EXISTS", key.as_bytes()]).context("EXISTS")?;
    check(reply == Reply::Integer(i64::from(is_there)), || {
        format!("EXISTS {key} answered {reply:?} although: {why}")
    })
}

/// A disk that seems to stall is answered by BUSY, and nothing else is wrong.
fn require_patience(end: &LoadEnd) -> Outcome {
    let other = end.errors.iter().find(|text| !text.starts_with("BUSY "));
    check(other.is_none(), || format!("a jump of the clock was answered by {other:?}"))
}

/// Whoever comes now is served, whatever became of those who were there.
fn require_answer(port: u16) -> Outcome {
    let reply = Client::connect(port).and_then(|mut client| client.call(&[b"PING"]));
    let reply = reply.context("a jump of the clock stopped the server")?;
    check(reply == Reply::Simple("PONG".into()), || format!("PING: {reply:?}"))
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::check(otherwise())) }
}
