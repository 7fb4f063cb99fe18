//! A device that fails for real: a sparse image on a file system in memory
//! that is too small for it. Writes go to the page cache, and `fdatasync`
//! answers EIO, once; a second one would succeed and the data be gone.
//!
//! The server must answer with the error, take no more writes, go on reading,
//! and after a restart on a healthy device have everything it acknowledged.

use std::path::Path;

use super::load::Moment;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting};
use super::scratch::{Mount, Scratch, format, sparse_file};
use crate::failure::{Context, Failure, Outcome};
use crate::resp::Reply;
use crate::server_process::Server;

/// The size the image claims.
const IMAGE_BYTES: u64 = 96 << 20;
/// Room for all of it.
const HEALTHY_KIB: u64 = 128 << 10;
/// Room that is left when it becomes too small, at the most.
const MOST_LEFT_KIB: u64 = 512;
/// ext4 goes on where it cannot write, so that the next sync is asked of it.
const MOUNT_OPTIONS: &str = "loop,noatime,errors=continue";
/// Replies before that, at the most.
const MOST_REPLIES: u64 = 300;
/// Replies after which a device should long have failed.
const PATIENCE: u64 = 50_000;

/// So many failing devices, each with a new database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("thin", setting, |scratch, rig| {
        while rig.cycles < cycles {
            let mut fresh = Rig::new(setting, scratch.path(), rig.cycles)?;
            let outcome = cycle(scratch, &mut fresh);
            rig.take_over(fresh);
            outcome?;
            rig.cycles += 1;
        }
        Ok(())
    })
}

fn cycle(scratch: &Scratch, rig: &mut Rig) -> Outcome {
    let store = Mount::tmpfs(&scratch.path().join("store"), HEALTHY_KIB)?;
    let image = store.point().join("disk.img");
    let point = scratch.path().join("disk");
    sparse_file(&image, IMAGE_BYTES)?;
    format("ext4", &image)?;
    let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    let left = 4 + rig.random.below(MOST_LEFT_KIB);
    let moment = Moment { replies_after: PATIENCE, ..rig.draw_moment(MOST_REPLIES) };
    let end =
        rig.load(server.port(), moment, || store.resize_tmpfs(used_kib(store.point())? + left))?;
    if end.errors.is_empty() {
        return Err(Failure::check("the device failed and no write was answered by an error"));
    }
    require_poisoned(&server, &end.errors)?;
    // Reads go on, and show nothing that is not so or that the restart takes
    // back.
    rig.observe(&server)?;
    server.kill()?;
    rig.advance()?;
    disk.unmount()?;
    store.resize_tmpfs(HEALTHY_KIB)?;
    let disk = Mount::image(&image, &point, MOUNT_OPTIONS)?;
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    rig.confirm(&server)?;
    server.kill()?;
    disk.unmount()
}

/// Every kind of write is refused, in words that say what to do, and because a
/// sync was answered by EIO: anything else would be another experiment.
fn require_poisoned(server: &Server, errors: &[String]) -> Outcome {
    let writes: [&[&[u8]]; 4] = [
        &[b"SET", b"late", b"1"],
        &[b"INCR", b"later"],
        &[b"MSET", b"a", b"1"],
        &[b"SET", b"late", b"2"],
    ];
    let mut client = server.connect()?;
    for write in writes {
        let reply = client.call(write).context("cannot write")?;
        let is_refused = matches!(&reply, Reply::Error(text)
            if text.starts_with("MISCONF") && text.contains("open it again")
                && text.contains("after a failure (sync ") && text.contains("(os error 5)"));
        if !is_refused {
            let sentence = format!("after {errors:?} the server answered {reply:?} to a write");
            return Err(Failure::check(sentence));
        }
    }
    Ok(())
}

/// KiB in use on a mounted file system.
pub(crate) fn used_kib(point: &Path) -> Outcome<u64> {
    let space = rustix::fs::statvfs(point).map_err(std::io::Error::from);
    let space = space.context(point.display())?;
    Ok((space.f_blocks - space.f_bfree) * space.f_frsize / 1024)
}
