//! Power cut of a real file system: the shutdown ioctl of ext4 and xfs drops
//! everything that has not reached the device, with pages, sizes and names.

use std::sync::atomic::Ordering;

use super::image::Image;
use super::load::Moment;
use super::oracle::Verdict;
use super::power_cut::cut_power;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting};
use super::scratch::Mount;
use crate::failure::{Failure, Outcome};
use crate::server_process::Server;

/// Replies after which the power fails at the latest.
const MOST_REPLIES: u64 = 250;
/// xfs takes no smaller ones; sparse.
const IMAGE_BYTES: u64 = 320 << 20;
const MOUNT_OPTIONS: &str = "loop,noatime";

/// So many power cuts of one file system with one database.
pub(crate) fn run(setting: &Setting, kind: &str, cycles: u64) -> Outcome<Report> {
    conduct(&format!("shut {kind}"), setting, |scratch, rig| {
        let image = Image::create(scratch, kind, IMAGE_BYTES, MOUNT_OPTIONS)?;
        while rig.cycles < cycles {
            let disk = image.mount()?;
            let server = rig.open_and_confirm(&disk)?;
            let moment = rig.draw_moment(MOST_REPLIES);
            cut_under_load(rig, moment, server, disk)?;
            rig.cycles += 1;
        }
        let disk = image.mount()?;
        rig.open_and_confirm(&disk)?.kill()?;
        disk.unmount()
    })
}

/// The negative control: a server that does not sync before it answers must be
/// seen to lose what it acknowledged, or the experiment proves nothing.
pub(crate) fn run_control(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("shut control", setting, |scratch, rig| {
        let mut losses = 0;
        while rig.cycles < cycles {
            let image = Image::create(scratch, "ext4", IMAGE_BYTES, MOUNT_OPTIONS)?;
            let mut doomed = Rig::new(setting, scratch.path(), rig.cycles)?;
            let disk = image.mount()?;
            let server = doomed.start(&disk.point().join("data"), Durabilities::Os)?;
            let moment = doomed.draw_moment(MOST_REPLIES);
            cut_under_load(&mut doomed, moment, server, disk)?;
            let disk = image.mount()?;
            let server = doomed.start(&disk.point().join("data"), Durabilities::Os)?;
            // A mount or a start that fails is no catch: it stays a failure.
            losses += u64::from(doomed.judge(&server)? != Verdict::Holds);
            server.kill()?;
            disk.unmount()?;
            rig.cycles += 1;
        }
        require_losses(rig, losses)
    })
}

/// Notes how many losses a control saw, and fails if most went unseen: an
/// oracle that misses them proves nothing by its silence elsewhere.
pub(crate) fn require_losses(rig: &mut Rig, losses: u64) -> Outcome {
    let remark = format!("{losses} of {} caught", rig.cycles);
    rig.remarks.push(remark.clone());
    match losses * 2 > rig.cycles {
        true => Ok(()),
        false => Err(Failure::check(format!("losses that had to be there: {remark}"))),
    }
}

/// Cuts the power at the moment and kills the server, whose life is over then.
pub(crate) fn cut_under_load(
    rig: &mut Rig,
    moment: Moment,
    server: Server,
    disk: Mount,
) -> Outcome {
    // What is acknowledged while the cut is under way may not be durable: the
    // kernel lets some syncs of that moment pass. So promises end before it.
    let mut last_moment = 0;
    let clock = rig.share_clock();
    let end = rig.load(server.port(), moment, || {
        last_moment = clock.fetch_add(1, Ordering::SeqCst);
        cut_power(disk.point())?;
        server.kill()
    })?;
    rig.end_promises(&end, last_moment)?;
    rig.advance()?;
    disk.unmount()
}
