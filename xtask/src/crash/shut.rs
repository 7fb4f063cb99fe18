//! Power cut of a real file system: the shutdown ioctl of ext4 and xfs drops
//! everything that has not reached the device, with pages, sizes and names.

use std::sync::atomic::Ordering;

use super::oracle::Verdict;
use super::power_cut::cut_power;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting, require_healthy};
use super::scratch::{Mount, format, sparse_file};
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
        let image = scratch.path().join("disk.img");
        sparse_file(&image, IMAGE_BYTES)?;
        format(kind, &image)?;
        let point = scratch.path().join("disk");
        while rig.cycles < cycles {
            let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
            let server = open_and_check(rig, &disk)?;
            cut_under_load(rig, server, disk)?;
            rig.cycles += 1;
        }
        let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
        open_and_check(rig, &disk)?.kill()
    })
}

/// The negative control: a server that does not sync before it answers must be
/// seen to lose what it acknowledged, or the experiment proves nothing.
pub(crate) fn run_control(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("shut control", setting, |scratch, rig| {
        let image = scratch.path().join("disk.img");
        let point = scratch.path().join("disk");
        let mut losses = 0;
        while rig.cycles < cycles {
            sparse_file(&image, IMAGE_BYTES)?;
            format("ext4", &image)?;
            let mut doomed = Rig::new(setting, scratch.path(), rig.cycles)?;
            let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
            let server = doomed.start(&disk.point().join("data"), Durabilities::Os)?;
            cut_under_load(&mut doomed, server, disk)?;
            let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
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

/// Opens what the last cut left and checks it.
fn open_and_check(rig: &mut Rig, disk: &Mount) -> Outcome<Server> {
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    rig.confirm(&server)?;
    Ok(server)
}

fn cut_under_load(rig: &mut Rig, server: Server, disk: Mount) -> Outcome {
    let moment = rig.draw_moment(MOST_REPLIES);
    // What is acknowledged while the cut is under way may not be durable: the
    // kernel lets some syncs of that moment pass. So promises end before it.
    let mut last_moment = 0;
    let clock = rig.share_clock();
    let end = rig.load(server.port(), moment, || {
        last_moment = clock.fetch_add(1, Ordering::SeqCst);
        cut_power(disk.point())?;
        server.kill()
    })?;
    if !end.reached {
        require_healthy(&end)?;
    }
    rig.forget_after(last_moment)?;
    rig.advance()?;
    disk.unmount()
}
