//! A device that fails for real: a sparse image on a file system in memory
//! that is too small for it. Writes go to the page cache, and `fdatasync`
//! answers EIO, once; a second one would succeed and the data be gone.
//!
//! The server must answer with the error, take no more writes, go on reading,
//! and after a restart on a healthy device have everything it acknowledged.
//!
//! What was written once has its place in the image for good, and so a log that
//! was filled with zeros before it is used can be written to where nothing else
//! can. In most cycles those zeros are taken out of the image again, while the
//! file system is frozen: then the log meets the error like any other file.
//!
//! A loop device that can write the first part of a request and not the rest
//! reports success: nobody above it can see such a loss. So blocks are pages here,
//! and no request is larger than one.

use std::collections::BTreeMap;
use std::path::Path;

use super::load::Moment;
use super::report::{Report, conduct};
use super::request::is_no_space;
use super::rig::{Durabilities, Rig, Setting, require_reached};
use super::scratch::{LoopDevice, Mount, Scratch, format_in_pages, sparse_file};
use super::shell;
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
const MOUNT_OPTIONS: &str = "noatime,errors=continue";
/// Replies before that, at the most.
const MOST_REPLIES: u64 = 300;
/// What is noted where the kernel tells the true reason and the server takes
/// it for a full disk, before a sync fails; likewise checked and done again.
const NO_SPACE: &str = "none, but no space";
/// A file system that is written to is measured and made smaller so often.
const SHRINK_TRIES: u32 = 100;
/// What is noted where the sync of a directory failed, an fsync and not the
/// fdatasync that is meant: checked like the others, and done again.
const DIRECTORY: &str = "the directory";
/// What is noted where ext4's journal met the error first and the file system
/// refused everything from then on, before a sync of ours was answered by EIO:
/// checked like the others, and done again.
const READ_ONLY: &str = "none, but read-only";
/// What is added to the name of a file whose sync failed as it is meant to, but
/// with ENOSPC, for the device passes on what it met below.
const WITHOUT_SPACE: &str = "for want of space";
/// What counts for nothing: another experiment than the one that is meant.
const NOTES: [&str; 3] = [DIRECTORY, NO_SPACE, READ_ONLY];
/// One cycle in so many leaves the zeros in the image.
const DIG_ODDS: u64 = 3;
/// Devices tried for each one that fails as meant, at the most.
const MOST_TRIES: u64 = 10;
/// Replies after which a device should long have failed.
const PATIENCE: u64 = 50_000;

/// So many failing devices, each with a new database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("thin", setting, |scratch, rig| {
        let mut synced: BTreeMap<String, u64> = BTreeMap::new();
        for attempt in 0..cycles.saturating_mul(MOST_TRIES) {
            rig.setting.interrupt.check()?;
            let name = rig.with_new_database(scratch.path(), attempt, |rig| cycle(scratch, rig))?;
            rig.cycles += u64::from(!NOTES.contains(&name.as_str()));
            *synced.entry(kind_of(&name)).or_default() += 1;
            if rig.cycles == cycles {
                break;
            }
        }
        let counts = synced.iter().map(|(name, count)| format!("a failed sync: {name} {count}"));
        rig.remarks.extend(counts);
        let remark = rig.remarks.join(", ");
        match rig.cycles == cycles {
            true => Ok(()),
            false => Err(Failure::check(format!("too few failed in fdatasync: {remark}"))),
        }
    })
}

/// The name of a file without its number.
fn kind_of(name: &str) -> String {
    name.replace(|letter: char| letter.is_ascii_digit(), "").replace("_.", ".")
}

/// Returns the name of the file whose sync failed.
fn cycle(scratch: &Scratch, rig: &mut Rig) -> Outcome<String> {
    let store = Mount::tmpfs(&scratch.path().join("store"), HEALTHY_KIB)?;
    let image = store.point().join("disk.img");
    let point = scratch.path().join("disk");
    sparse_file(&image, IMAGE_BYTES)?;
    format_in_pages(&image)?;
    let mut device = LoopDevice::attach(&image)?;
    device.limit_requests_to_pages()?;
    let disk = Mount::image(&device.path, &point, MOUNT_OPTIONS)?;
    let server = rig.start(&disk.point().join("data"), Durabilities::Sync)?;
    let left = 4 + rig.random.below(MOST_LEFT_KIB);
    let digs = rig.random.below(DIG_ODDS) > 0;
    let moment = Moment { replies_after: PATIENCE, ..rig.draw_moment(MOST_REPLIES) };
    let end = rig.load(server.port(), moment, || match digs {
        true => {
            let frozen = disk.freeze()?;
            dig_zeros(&image)?;
            shrink(&store, left)?;
            frozen.thaw()
        }
        false => shrink(&store, left),
    })?;
    require_reached(&end)?;
    if end.errors.is_empty() {
        return Err(Failure::check("the device failed and no write was answered by an error"));
    }
    let name = require_poisoned(&server, &end.errors)?;
    // Reads go on, and show nothing that is not so or that the restart takes
    // back.
    rig.observe(&server)?;
    server.kill()?;
    rig.advance()?;
    disk.unmount()?;
    store.resize_tmpfs(HEALTHY_KIB)?;
    let disk = Mount::image(&device.path, &point, MOUNT_OPTIONS)?;
    rig.open_and_confirm(&disk)?.kill()?;
    disk.unmount()?;
    drop(device);
    store.unmount()?;
    Ok(name)
}

/// Every kind of write is refused, in words that say what to do, and because a
/// sync was answered by an error: anything else would be another experiment. Returns
/// the name of the file, or one of the notes above.
fn require_poisoned(server: &Server, errors: &[String]) -> Outcome<String> {
    let writes: [&[&[u8]]; 4] = [
        &[b"SET", b"late", b"1"],
        &[b"INCR", b"later"],
        &[b"MSET", b"a", b"1"],
        &[b"SET", b"late", b"2"],
    ];
    let mut client = server.connect()?;
    let mut name = String::new();
    for write in writes {
        let reply = client.call(write).context("cannot write")?;
        match &reply {
            Reply::Error(text) if text.starts_with("MISCONF") => {
                name = poisoned_by(text).unwrap_or_default();
            }
            Reply::Error(text) if is_no_space(text) => name = NO_SPACE.into(),
            _ => name.clear(),
        }
        if name.is_empty() {
            let sentence = format!("after {errors:?} the server answered {reply:?} to a write");
            return Err(Failure::check(sentence));
        }
    }
    Ok(name)
}

/// The file whose sync failed, with EIO or for want of space, or the note for a file
/// system that went read-only, if that is the reason of a refusal which also says
/// what to do.
fn poisoned_by(text: &str) -> Option<String> {
    // The cause may have brackets and advice of its own.
    let (cause, advice) = text.split_once("after a failure (")?.1.rsplit_once("); ")?;
    if !advice.contains("open it again") {
        return None;
    }
    if cause.contains("(os error 30)") {
        return Some(READ_ONLY.into());
    }
    let (_, sync) = cause.rsplit_once("sync ")?;
    let path = sync.split_once(": ")?.0;
    let name = match path.starts_with("directory ") {
        true => DIRECTORY,
        false => path.rsplit('/').next().unwrap_or(path),
    };
    match (sync.ends_with("(os error 5)"), sync.ends_with("(os error 28)")) {
        (true, _) => Some(name.to_owned()),
        (_, true) if name != DIRECTORY => Some(format!("{name} {WITHOUT_SPACE}")),
        (_, true) => Some(DIRECTORY.to_owned()),
        _ => None,
    }
}

/// Takes the zeros out of the image of a file system that nobody writes to now:
/// they read as before, and to write there needs room.
fn dig_zeros(image: &Path) -> Outcome {
    shell::run("fallocate", &["--dig-holes".as_ref(), image.as_os_str()]).map(drop)
}

/// Leaves so many KiB to a file system that is in use: what is written while
/// it is measured may make the size too small to be taken.
fn shrink(store: &Mount, left: u64) -> Outcome {
    let mut outcome = Ok(());
    for _ in 0..SHRINK_TRIES {
        outcome = store.resize_tmpfs(used_kib(store.point())? + left);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// KiB in use on a mounted file system.
pub(crate) fn used_kib(point: &Path) -> Outcome<u64> {
    let space = rustix::fs::statvfs(point).map_err(std::io::Error::from);
    let space = space.context(point.display())?;
    Ok((space.f_blocks - space.f_bfree) * space.f_frsize / 1024)
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORY, READ_ONLY, poisoned_by};

    #[test]
    fn only_a_sync_that_failed_or_an_aborted_journal_is_a_cause() {
        let refusal = |cause: &str| {
            poisoned_by(&format!(
                "MISCONF the engine stopped accepting writes after a failure ({cause}); the \
                 outcome of writes in flight is unknown, close the database and open it again"
            ))
        };
        let eio = "Input/output error (os error 5)";
        assert_eq!(refusal(&format!("sync /a/wal.log: {eio}")).as_deref(), Some("wal.log"));
        let directory = format!("cannot sync the directory: sync directory /a/data/: {eio}");
        assert_eq!(refusal(&directory).as_deref(), Some(DIRECTORY));
        let background = format!("background work failed: sync /a/sst_1.db: {eio}");
        assert_eq!(refusal(&background).as_deref(), Some("sst_1.db"));
        let aborted = "append to /a/wal.log: Read-only file system (os error 30)";
        assert_eq!(refusal(aborted).as_deref(), Some(READ_ONLY));
        let advised = format!("{aborted}; the file system cannot be written to");
        assert_eq!(refusal(&advised).as_deref(), Some(READ_ONLY));
        let full = "cannot sync the log: sync /a/wal.log: No space left on device (os error 28)";
        assert_eq!(refusal(full).as_deref(), Some("wal.log for want of space"));
        let silent = format!("MISCONF the engine stopped after a failure ({aborted}); no advice");
        assert_eq!(poisoned_by(&silent), None);
        for other in [
            format!("append to /a/wal.log: {eio}"),
            "append to /a/wal.log: No space left on device (os error 28)".into(),
            "a panic while committing".into(),
        ] {
            assert_eq!(refusal(&other), None, "{other}");
        }
    }
}
