//! A file system that turns read-only under the server, as ext4 does when it
//! meets damage: writes are refused in words, reads go on, a start on it is
//! refused in words, and when it can be written again all that was acknowledged
//! is there.
//!
//! A plain `remount,ro` is refused by the kernel while a file is open for
//! writing; `remount,abort` is what an error of the device comes to.

use std::sync::atomic::Ordering;

use super::image::Image;
use super::load::Moment;
use super::report::{Report, conduct};
use super::rig::{Durabilities, Rig, Setting};
use super::scratch::Mount;
use crate::failure::{Context, Failure, Outcome};
use crate::resp::Reply;
use crate::server_process::Server;

const IMAGE_BYTES: u64 = 64 << 20;
const MOUNT_OPTIONS: &str = "loop,noatime,errors=remount-ro";
/// Replies before it happens, at the most.
const MOST_REPLIES: u64 = 250;
/// Replies after it until the writers stop, if they are not refused before.
const REPLIES_AFTER: u64 = 50_000;

/// So many times with one database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("read-only", setting, |scratch, rig| {
        let image = Image::create(scratch, "ext4", IMAGE_BYTES, MOUNT_OPTIONS)?;
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            let disk = image.mount()?;
            let server = rig.open_and_confirm(&disk)?;
            turn_under_load(rig, &server, &disk)?;
            server.kill()?;
            rig.advance()?;
            require_no_start(rig, &disk)?;
            disk.unmount()?;
            rig.cycles += 1;
        }
        let disk = image.mount()?;
        rig.open_and_confirm(&disk)?.kill()?;
        disk.unmount()
    })
}

fn turn_under_load(rig: &mut Rig, server: &Server, disk: &Mount) -> Outcome {
    let moment = Moment { replies_after: REPLIES_AFTER, ..rig.draw_moment(MOST_REPLIES) };
    // As with a cut of the power: promises end before it.
    let mut last_moment = 0;
    let clock = rig.share_clock();
    let end = rig.load(server.port(), moment, || {
        last_moment = clock.fetch_add(1, Ordering::SeqCst);
        disk.remount("abort")
    })?;
    rig.end_promises(&end, last_moment)?;
    if end.errors.is_empty() {
        return Err(Failure::check("the disk is read-only and no write was refused"));
    }
    require_refusals(server)?;
    rig.observe(server)
}

/// Every write is refused, because of this disk and in words that say what to do.
fn require_refusals(server: &Server) -> Outcome {
    let writes: [&[&[u8]]; 3] =
        [&[b"SET", b"late", b"1"], &[b"INCR", b"later"], &[b"MSET", b"a", b"1"]];
    let mut client = server.connect()?;
    for write in writes {
        let reply = client.call(write).context("cannot write")?;
        if !matches!(&reply, Reply::Error(text) if is_of_a_read_only_disk(text)) {
            return Err(Failure::check(format!("a read-only disk was answered by {reply:?}")));
        }
    }
    Ok(())
}

/// True for a refusal that has this reason and no other, and says what to do. A sync
/// that is under way when ext4 gives up is told of an error of the device instead.
fn is_of_a_read_only_disk(text: &str) -> bool {
    let is_read_only = text.contains("(os error 30)");
    let is_sync = [": sync ", "(sync "].iter().any(|words| text.contains(words));
    let is_failed_sync = is_sync && text.contains("(os error 5)");
    (is_read_only || is_failed_sync)
        && text.starts_with("MISCONF ")
        && text.contains("open it again")
}

/// A server cannot start there, and says so.
fn require_no_start(rig: &mut Rig, disk: &Mount) -> Outcome {
    match rig.start(&disk.point().join("data"), Durabilities::Sync) {
        Ok(_) => Err(Failure::check("a server started on a read-only disk")),
        Err(failure) => {
            rig.setting.interrupt.check()?;
            let message = failure.message;
            let is_told = message.contains("ended before it was ready (exit status: ")
                && message.to_ascii_lowercase().contains("read-only")
                && !message.contains("panicked");
            match is_told {
                true => Ok(()),
                false => Err(Failure::check(format!("a start on a read-only disk: {message}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_a_read_only_disk;

    #[test]
    fn a_server_that_stopped_for_another_reason_is_not_what_is_looked_for() {
        let refusal = |cause: &str| {
            is_of_a_read_only_disk(&format!(
                "MISCONF the engine stopped accepting writes after a failure ({cause}); the \
                 outcome of writes in flight is unknown, close the database and open it again"
            ))
        };
        let eio = "Input/output error (os error 5)";
        assert!(refusal("append to /a/wal.log: Read-only file system (os error 30)"));
        assert!(refusal(&format!("sync /a/wal.log: {eio}")));
        assert!(refusal(&format!("cannot end a segment of the log: sync /a/wal.log: {eio}")));
        assert!(!refusal(&format!("append to /a/wal.log: {eio}")));
        assert!(!refusal("cannot sync the log: sync /a/wal.log: No space left (os error 28)"));
        assert!(!refusal("a panic while committing"));
    }
}
