//! A disk that takes its time: strace holds back `fdatasync`.
//!
//! `slow` holds each one back before it is done and cuts the power meanwhile:
//! what was acknowledged before its sync is then lost, and found missing.
//! `hang` holds one back for longer than the server is patient: reads go on,
//! new writes are answered `BUSY`, those that wait are answered when it is done.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::image::Image;
use super::load::Moment;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting};
use super::scratch::{Mount, Scratch};
use super::shut::cut_under_load;
use super::tracer::tracer;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::pause::pause;
use crate::resp::Reply;
use crate::server_process::Server;

const IMAGE_BYTES: u64 = 64 << 20;
const MOUNT_OPTIONS: &str = "loop,noatime";
/// How long a sync of the slow disk is held back, in milliseconds.
const DELAYS_MS: [u64; 4] = [5, 20, 60, 150];
/// The first sync of each thread that is held back, at the most: of the slow disk,
/// whose server has a short life, and of the one that hangs.
const FIRST_SLOW_SYNCS: u64 = 2;
const FIRST_SYNCS: u64 = 20;
/// What strace notes of a call that it has held back, and where.
const HELD_BACK: &str = "(DELAYED)";
const TRACE_FILE: &str = "trace.txt";
/// The power is cut so long after the first reply at the latest, in
/// milliseconds, or after so many replies.
const MOST_MILLISECONDS: u64 = 250;
const MOST_REPLIES: u64 = 150;
/// How long a sync of the hanging disk is held back. strace counts in each thread for
/// itself, so that of another thread may follow at once: a client waits for both.
const HANG: Duration = Duration::from_secs(14);
/// New writes are tried when nothing has moved for so long: more than the ten
/// seconds of the server's patience, and less than the disk hangs by what a busy
/// machine may need for them.
const STANDSTILL: Duration = Duration::from_millis(10_600);
const STANDSTILL_POLL: Duration = Duration::from_millis(50);
/// Time in which a disk should long have hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many cuts of the power while a sync is held back, with one database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("slow", setting, |scratch, rig| {
        let image = Image::create(scratch, "ext4", IMAGE_BYTES, MOUNT_OPTIONS)?;
        let mut slow = 0;
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            slow += u64::from(cut_while_slow(scratch, rig, image.mount()?)?);
            let disk = image.mount()?;
            rig.open_and_confirm(&disk)?.kill()?;
            disk.unmount()?;
            rig.cycles += 1;
        }
        let remark = format!("syncs held back in {slow} of {} lives", rig.cycles);
        rig.remarks.push(remark.clone());
        match slow > 0 {
            true => Ok(()),
            false => Err(Failure::check(format!("nothing was slow: {remark}"))),
        }
    })
}

/// So many disks that hang once, each with a new database.
pub(crate) fn run_hang(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("hang", setting, |scratch, rig| {
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            rig.with_new_database(scratch.path(), rig.cycles, |rig| hang(scratch, rig))?;
            rig.cycles += 1;
        }
        Ok(())
    })
}

/// True if syncs were held back under load before the power was cut.
fn cut_while_slow(scratch: &Scratch, rig: &mut Rig, disk: Mount) -> Outcome<bool> {
    let first = 1 + rig.random.below(FIRST_SLOW_SYNCS);
    let delay = Duration::from_millis(rig.random.pick(&DELAYS_MS));
    let words = slow_syncs(scratch, "delay_enter", delay, &format!("{first}+"));
    let plan = rig.plan(&disk.point().join("data"), Durabilities::Sync)?;
    let server = Server::start_under(&words, &plan, &rig.setting.interrupt.clone())?;
    let at_latest = Some(Duration::from_millis(rig.random.below(MOST_MILLISECONDS)));
    let moment = Moment { at_latest, ..rig.draw_moment(MOST_REPLIES) };
    cut_under_load(rig, moment, server, disk)?;
    let trace = scratch.path().join(TRACE_FILE);
    let text = std::fs::read_to_string(&trace).context(trace.display())?;
    Ok(was_slow(&text))
}

/// True if a sync was held back of another thread than the first, which opens the
/// database.
fn was_slow(trace: &str) -> bool {
    let thread_of = |line: &str| line.split(' ').next().map(str::to_owned);
    let first = trace.lines().next().and_then(thread_of);
    trace.lines().any(|line| line.contains(HELD_BACK) && thread_of(line) != first)
}

fn hang(scratch: &Scratch, rig: &mut Rig) -> Outcome {
    let data_dir = scratch.subdirectory("data")?;
    std::fs::remove_dir_all(&data_dir).context(data_dir.display())?;
    let first = 1 + rig.random.below(FIRST_SYNCS);
    let words = slow_syncs(scratch, "delay_exit", HANG, &first.to_string());
    let plan = rig.plan(&data_dir, Durabilities::Sync)?;
    let server = Server::start_under(&words, &plan, &rig.setting.interrupt.clone())?;
    let moment = Moment { replies: 1, at_latest: None, delay: Duration::ZERO, replies_after: 0 };
    let (clock, interrupt) = (rig.share_clock(), rig.setting.interrupt.clone());
    let end = rig.load(server.port(), moment, || {
        wait_for_standstill(&clock, &interrupt)?;
        require_patience(&server)
    })?;
    let is_busy = |text: &&String| !text.starts_with("BUSY ");
    if let Some(text) = end.errors.iter().find(is_busy) {
        return Err(Failure::check(format!("a disk that hung was answered by {text:?}")));
    }
    if !end.reached {
        return Err(Failure::check("the writers did not wait for the disk"));
    }
    let reply = server.connect()?.call(&[b"SET", b"late", b"2"]).context("a write afterwards")?;
    if !reply.is_ok() {
        return Err(Failure::check(format!("when the disk is well again: {reply:?}")));
    }
    server.kill()?;
    rig.advance()?;
    let server = rig.start(&data_dir, Durabilities::Sync)?;
    rig.confirm(&server)?;
    server.kill()
}

/// Waits until nobody was answered for longer than the server is patient. From
/// the first reply to the sync that is held back it may be long on a busy machine.
fn wait_for_standstill(clock: &AtomicU64, interrupt: &Interrupt) -> Outcome {
    let started = Instant::now();
    let (mut seen, mut since) = (clock.load(Ordering::SeqCst), started);
    while started.elapsed() < PATIENCE {
        interrupt.check()?;
        pause(STANDSTILL_POLL);
        // Before and after a look at the clock, so that nothing has moved in between,
        // however long this thread waits for a processor.
        let now = Instant::now();
        let moment = clock.load(Ordering::SeqCst);
        if moment != seen {
            (seen, since) = (moment, Instant::now());
        } else if now.duration_since(since) > STANDSTILL {
            return Ok(());
        }
    }
    Err(Failure::check("no sync of the log was held back: the writers went on"))
}

/// While the disk hangs: reads are answered, writes by BUSY.
fn require_patience(server: &Server) -> Outcome {
    let mut client = server.connect()?;
    let read = client.call(&[b"GET", b"c0:r:0"]).context("a read while the disk hangs")?;
    if let Reply::Error(text) = read {
        return Err(Failure::check(format!("a read while the disk hangs: {text}")));
    }
    let write = client.call(&[b"SET", b"late", b"1"]).context("a write while the disk hangs")?;
    match &write {
        Reply::Error(text) if text.starts_with("BUSY ") => Ok(()),
        _ => Err(Failure::check(format!("a write while the disk hangs: {write:?}"))),
    }
}

/// The words that start a program whose syncs are held back.
fn slow_syncs(scratch: &Scratch, effect: &str, delay: Duration, when: &str) -> Vec<OsString> {
    let delay = delay.as_micros();
    let options =
        ["trace=fdatasync".to_owned(), format!("inject=fdatasync:{effect}={delay}:when={when}")];
    tracer(&scratch.path().join(TRACE_FILE), &options)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::{wait_for_standstill, was_slow};
    use crate::failure::EXIT_INTERRUPTED;
    use crate::interrupt::Interrupt;

    #[test]
    fn nobody_waits_for_a_disk_after_an_interrupt() {
        let interrupt = Interrupt::install().unwrap();
        interrupt.request();
        let failure = wait_for_standstill(&AtomicU64::new(1), &interrupt).unwrap_err();
        assert_eq!(failure.exit_code, EXIT_INTERRUPTED);
    }

    #[test]
    fn syncs_of_the_start_do_not_count_as_slow_ones_under_load() {
        let start = "10 fdatasync(3) = 0 (DELAYED)\n11 fdatasync(4) = 0\n";
        assert!(!was_slow(start) && !was_slow(""));
        assert!(was_slow(&format!("{start}11 fdatasync(4) = 0 (DELAYED)\n")));
    }
}
