//! Power cuts between any two block writes: the server runs once on a disk
//! that logs its writes; then disks are built that a cut could have left, and
//! the real server opens each on a real ext4.
#![allow(clippy::disallowed_methods, reason = "a tool reads and writes disk images")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::block_device::{FILE_SYSTEM_BYTES, LoggedDevice};
use super::block_log::{BlockLog, Disk};
use super::load::Moment;
use super::oracle::Verdict;
use super::report::{Report, conduct};
use super::request::Event;
use super::rig::{Durabilities, Rig, Setting, require_healthy};
use super::scratch::{Mount, Scratch, format, sparse_file};
use super::shut::require_losses;
use crate::failure::{Context, Failure, Outcome};
use crate::pause::pause;

/// Marks in one log: moments at which it is known what was acknowledged.
const MARKS: u64 = 150;
/// Requests and replies between two marks, how often it is looked whether they
/// have passed, and how many times.
const TICKS_BETWEEN_MARKS: u64 = 6;
const REQUEST_POLL: Duration = Duration::from_micros(200);
const REQUEST_POLLS: u32 = 50;
/// States that are built from one log.
const STATES_PER_LOG: u64 = 100;

/// So many crash states; each must hold what was acknowledged.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("blk", setting, |scratch, rig| {
        while rig.cycles < cycles {
            let recording = record(scratch, rig)?;
            let last = cycles.min(rig.cycles + STATES_PER_LOG);
            while rig.cycles < last {
                rig.setting.interrupt.check()?;
                let cut = rig.random.below(recording.log.len() as u64 + 1) as usize;
                // Disks tear whole blocks of 4 KiB here, which ext4 survives:
                // a mount or a start that fails is a violation like a loss.
                check_state(scratch, rig, &recording, cut, Disk::Honest)?.into_outcome()?;
                rig.cycles += 1;
            }
        }
        Ok(())
    })
}

/// The negative control: on a disk that answers flushes and does nothing,
/// losses must be seen.
pub(crate) fn run_control(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("blk control", setting, |scratch, rig| {
        let recording = record(scratch, rig)?;
        let mut losses = 0;
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            // In the first half of the log little was promised yet.
            let half = recording.log.len() / 2;
            let cut = half + rig.random.below(recording.log.len() as u64 - half as u64) as usize;
            // The disk stops at an earlier flush, which is a state that an
            // honest one may leave: it must mount, and the server must start.
            // Only what the oracle finds missing is a catch.
            let verdict = check_state(scratch, rig, &recording, cut, Disk::Lying)?;
            losses += u64::from(verdict != Verdict::Holds);
            rig.cycles += 1;
        }
        require_losses(rig, losses)
    })
}

/// What one run of the server did, and told its disk to do.
struct Recording {
    start: Vec<u8>,
    log: BlockLog,
    events: Vec<Event>,
}

fn record(scratch: &Scratch, rig: &mut Rig) -> Outcome<Recording> {
    let start_image = scratch.path().join("start.img");
    let log_image = scratch.path().join("log.img");
    sparse_file(&start_image, FILE_SYSTEM_BYTES)?;
    format("ext4", &start_image)?;
    let device = LoggedDevice::new(scratch.path(), &start_image, &log_image)?;
    let disk = Mount::image(device.path(), &scratch.path().join("disk"), "noatime")?;
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    let clock = rig.share_clock();
    let moment = Moment { replies: 1, ..rig.draw_moment(1) };
    let end = rig.load(server.port(), moment, || {
        for _ in 0..MARKS {
            let moment = clock.fetch_add(1, Ordering::SeqCst);
            device.mark(moment)?;
            wait_for_requests(&clock, moment);
        }
        server.kill()
    })?;
    require_healthy(&end)?;
    disk.unmount()?;
    drop(device);
    let bytes = fs::read(&log_image).context(log_image.display())?;
    let log = BlockLog::parse(&bytes).ok_or_else(|| Failure::check("the block log is damaged"))?;
    let start = fs::read(&start_image).context(start_image.display())?;
    Ok(Recording { start, log, events: rig.take_events() })
}

/// Lets some requests pass behind a mark: marks are quicker than syncs, and a
/// log with little but marks shows little. A server that stands still is not
/// waited for.
fn wait_for_requests(clock: &AtomicU64, mark: u64) {
    for _ in 0..REQUEST_POLLS {
        if clock.load(Ordering::SeqCst) > mark + TICKS_BETWEEN_MARKS {
            return;
        }
        pause(REQUEST_POLL);
    }
}

/// Cuts the recording before write `cut`, opens what is left and checks it.
fn check_state(
    scratch: &Scratch,
    rig: &mut Rig,
    recording: &Recording,
    cut: usize,
    disk: Disk,
) -> Outcome<Verdict> {
    let Recording { start, log, events } = recording;
    let image = log.image(start, cut, disk, &mut rig.random);
    let path = scratch.path().join("crash.img");
    write(&path, &image)?;
    let mut events = events.clone();
    let moment = log.marked_moment(cut);
    events.iter_mut().for_each(|event| event.forget_after(moment));
    let oracle = Rig::oracle_of(events)?;
    let disk = Mount::image(&path, &scratch.path().join("disk"), "loop,noatime")?;
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    let verdict = rig.judge_by(oracle, &server)?;
    server.kill()?;
    disk.unmount()?;
    Ok(verdict)
}

fn write(path: &Path, image: &[u8]) -> Outcome {
    fs::write(path, image).context(path.display())
}
