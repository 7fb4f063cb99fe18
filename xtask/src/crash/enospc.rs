//! A full disk: a tiny file system in memory, and a 16 MiB ext4.
//!
//! Writes are refused with "no space" or, where that has left too much work undone,
//! as busy; nothing is lost, reads go on, deletes are accepted; when there is space
//! again the same server takes writes again, and a kill after all of it costs
//! nothing.
#![allow(clippy::disallowed_methods, reason = "a tool fills a disk with a file of its own")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::image::Image;
use super::load::Moment;
use super::report::{Report, conduct};
use super::request::{is_no_space, is_refusal};
use super::rig::{Durabilities, Rig, Setting, require_healthy};
use super::scratch::{Mount, Scratch};
use crate::failure::{Context, Failure, Outcome};
use crate::pause::pause;
use crate::resp::{Client, Reply};
use crate::server_process::Server;

const MOUNT_OPTIONS: &str = "loop,noatime";
/// Size of either file system.
const DISK_KIB: u64 = 16 << 10;
/// What the ballast leaves free, at the least and at the most.
const LEFT_KIB: [u64; 2] = [128, 640];
/// Replies before the disk is filled, at the most.
const MOST_REPLIES: u64 = 200;
/// Length of the values that fill the rest, in bytes.
const FILLER_BYTES: usize = 1500;
/// Requests after which any disk here is full, were nothing to go wrong.
const MOST_FILLERS: usize = 30_000;
/// Deletes that a full disk must accept.
const DELETES: usize = 10;
/// Time between two tries to write when there is space again, and tries: the
/// engine may back off for some seconds.
const HEALING_POLL: Duration = Duration::from_millis(20);
const HEALING_POLLS: u32 = 500;
/// Replies of the load that follows.
const REPLIES_AFTER: u64 = 200;

/// So many full disks of both kinds, each with a new database.
pub(crate) fn run(setting: &Setting, kind: &'static str, cycles: u64) -> Outcome<Report> {
    conduct(&format!("enospc {kind}"), setting, |scratch, rig| {
        while rig.cycles < cycles {
            rig.with_new_database(scratch.path(), rig.cycles, |rig| cycle(kind, scratch, rig))?;
            rig.cycles += 1;
        }
        Ok(())
    })
}

/// Keys that exist only to fill the disk: what the server said yes to.
struct Fillers {
    written: usize,
    deleted: usize,
}

/// The file system that is filled.
struct Disk {
    // Dropped before the one that its image is on.
    mount: Mount,
    store: Option<Mount>,
}

fn cycle(kind: &str, scratch: &Scratch, rig: &mut Rig) -> Outcome {
    let disk = Disk::mount(kind, scratch)?;
    let data_dir = disk.mount.point().join("data");
    let server = rig.start(&data_dir, Durabilities::Sync)?;
    let moment = rig.draw_moment(MOST_REPLIES);
    let end = rig.load(server.port(), moment, || Ok(()))?;
    require_healthy(&end)?;

    let left = LEFT_KIB[0] + rig.random.below(LEFT_KIB[1] - LEFT_KIB[0]);
    let ballast = fill(&disk.mount, left)?;
    let mut fillers = Fillers { written: 0, deleted: 0 };
    fillers.write_until_full(&mut server.connect()?)?;
    let moment = Moment { replies_after: REPLIES_AFTER, ..rig.draw_moment(MOST_REPLIES) };
    let end = rig.load(server.port(), moment, || Ok(()))?;
    if let Some(text) = end.errors.iter().find(|text| !is_refusal(text)) {
        return Err(Failure::check(format!("a full disk was answered by {text:?}")));
    }
    rig.observe(&server).map_err(|failure| under("a full disk", failure))?;
    rig.advance().map_err(|failure| under("a full disk", failure))?;
    fillers.require_all(&server)?;
    fillers.delete_some(&mut server.connect()?)?;

    fs::remove_file(&ballast).context(ballast.display())?;
    wait_until_writable(rig, &server)?;
    let moment = rig.draw_moment(MOST_REPLIES);
    let end = rig.load(server.port(), moment, || server.kill())?;
    require_healthy(&end).map_err(|failure| under("a disk with space again", failure))?;
    rig.advance()?;
    let server = rig.start(&data_dir, Durabilities::Sync)?;
    rig.confirm(&server)?;
    fillers.require_all(&server)?;
    server.kill()?;
    disk.unmount()
}

fn under(circumstance: &str, failure: Failure) -> Failure {
    Failure { message: format!("{circumstance}: {}", failure.message), ..failure }
}

impl Disk {
    fn mount(kind: &str, scratch: &Scratch) -> Outcome<Disk> {
        if kind == "tmpfs" {
            let mount = Mount::tmpfs(&scratch.path().join("disk"), DISK_KIB)?;
            return Ok(Disk { mount, store: None });
        }
        // In memory too: what is asked is what a full file system does, not
        // what its device takes for it.
        let store = Mount::tmpfs(&scratch.path().join("store"), DISK_KIB * 2)?;
        let bytes = DISK_KIB << 10;
        let image = Image::create_in(store.point(), scratch, kind, bytes, MOUNT_OPTIONS)?;
        Ok(Disk { mount: image.mount()?, store: Some(store) })
    }

    fn unmount(self) -> Outcome {
        self.mount.unmount()?;
        self.store.map_or(Ok(()), Mount::unmount)
    }
}

/// Puts a file onto the disk that leaves so many KiB.
fn fill(disk: &Mount, left_kib: u64) -> Outcome<PathBuf> {
    let path = disk.point().join("ballast");
    let free = free_kib(disk.point())?;
    let mut file = fs::File::create(&path).context(path.display())?;
    let block = vec![b'b'; 16 << 10];
    for _ in 0..free.saturating_sub(left_kib) / 16 {
        file.write_all(&block).context(path.display())?;
    }
    // Blocks are taken when they are written back, not before.
    file.sync_all().context(path.display())?;
    Ok(path)
}

fn free_kib(point: &Path) -> Outcome<u64> {
    let space = rustix::fs::statvfs(point).map_err(std::io::Error::from);
    let space = space.context(point.display())?;
    Ok(space.f_bavail * space.f_frsize / 1024)
}

/// The next write after space is back may still be refused; one soon is not.
fn wait_until_writable(rig: &Rig, server: &Server) -> Outcome {
    let mut client = server.connect()?;
    let mut last = Reply::Nil;
    for _ in 0..HEALING_POLLS {
        rig.setting.interrupt.check()?;
        last = client.call(&[b"SET", b"healed", b"1"]).context("cannot write")?;
        match &last {
            reply if reply.is_ok() => return Ok(()),
            Reply::Error(text) if is_refusal(text) => {}
            reply => {
                let sentence = format!("a disk with space again was answered by {reply:?}");
                return Err(Failure::check(sentence));
            }
        }
        pause(HEALING_POLL);
    }
    Err(Failure::check(format!("space is back, and writes are still refused: {last:?}")))
}

impl Fillers {
    fn key(number: usize) -> Vec<u8> {
        format!("filler:{number:06}").into_bytes()
    }

    /// Fresh keys until one is refused; the refusal must say why.
    fn write_until_full(&mut self, client: &mut Client) -> Outcome {
        let mut value = vec![b'f'; FILLER_BYTES];
        for _ in 0..MOST_FILLERS {
            // Not compressible, so that tables are as large as the log.
            let mut random = super::random::Random::new(self.written as u64);
            value.chunks_mut(8).for_each(|part| {
                part.copy_from_slice(&random.next().to_le_bytes()[..part.len()]);
            });
            let reply = client.call(&[b"SET", &Fillers::key(self.written), &value]);
            match reply.context("the server went away on a full disk")? {
                Reply::Error(text) if is_no_space(&text) => return Ok(()),
                // Busy with what it has: that is not full yet.
                Reply::Error(text) if is_refusal(&text) => {}
                reply if reply.is_ok() => self.written += 1,
                reply => {
                    let sentence = format!("a full disk was answered by {reply:?}");
                    return Err(Failure::check(sentence));
                }
            }
        }
        Err(Failure::check("the disk never became full"))
    }

    /// Every filler that was acknowledged is there, and no deleted one.
    fn require_all(&self, server: &Server) -> Outcome {
        let mut client = server.connect()?;
        for number in 0..self.written {
            client.queue(&[b"STRLEN", &Fillers::key(number)]);
        }
        client.send().context("cannot read back")?;
        for number in 0..self.written {
            let expected = if number < self.deleted { 0 } else { FILLER_BYTES as i64 };
            let reply = client.receive().context("cannot read back")?;
            if reply != Reply::Integer(expected) {
                let sentence = format!("STRLEN filler:{number:06}: {expected} became {reply:?}");
                return Err(Failure::check(sentence));
            }
        }
        Ok(())
    }

    fn delete_some(&mut self, client: &mut Client) -> Outcome {
        while self.deleted < DELETES.min(self.written) {
            let reply = client.call(&[b"DEL", &Fillers::key(self.deleted)]).context("DEL")?;
            if reply != Reply::Integer(1) {
                let sentence = format!("a delete on a full disk was answered by {reply:?}");
                return Err(Failure::check(sentence));
            }
            self.deleted += 1;
        }
        Ok(())
    }
}
