//! Tables under a map that go bad: a table that somebody cuts short while it
//! is open, and one with a sector that cannot be read.
//!
//! A mapped read of such a place ends the process by SIGBUS, where pread gives
//! an error. That is accepted in map mode, and nothing else is: no wrong value,
//! no other end; and by pread, also after a restart, the keys concerned get a
//! typed error and all others their values. When the device is well again
//! everything is there.
#![allow(clippy::disallowed_methods, reason = "a tool damages files and talks to its child")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use kv_engine::{Durability, Engine, WriteBatch};

use super::block_device::{ExportedDevice, FILE_SYSTEM_BYTES};
use super::image::Image;
use super::map_reader::{KEYS, Mode, TABLES, engine_options, key_of, value_at};
use super::report::{Report, conduct};
use super::rig::{Rig, Setting};
use super::scratch::{Mount, Scratch};
use super::shell;
use crate::failure::{Context, Failure, Outcome};
use crate::server_process::file_names;

const SIGBUS: i32 = 7;
const MOUNT_OPTIONS: &str = "noatime,errors=continue";
/// What a map faults in at once.
const PAGE_BYTES: u64 = 4096;

/// So many damaged tables, cut short and unreadable in turn.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("map", setting, |scratch, rig| {
        let mut deaths = 0;
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            deaths += u64::from(match rig.cycles % 2 {
                0 => cut_short(scratch, rig)?,
                _ => unreadable(scratch, rig)?,
            });
            rig.cycles += 1;
        }
        rig.remarks.push(format!("{deaths} of {cycles} mapped readers died of SIGBUS"));
        match deaths * 2 >= cycles {
            true => Ok(()),
            false => Err(Failure::check("few mapped readers met what was damaged")),
        }
    })
}

/// A database of several tables and which file each became.
struct Database {
    directory: PathBuf,
    tables: Vec<String>,
}

/// The table that is damaged, and what its readers must make of it.
struct Damage<'a> {
    database: &'a Database,
    table: u64,
}

/// A table is cut short under its readers; true if the mapped one died.
fn cut_short(scratch: &Scratch, rig: &mut Rig) -> Outcome<bool> {
    let database = Database::create(&scratch.subdirectory("database")?)?;
    let table = rig.random.below(TABLES);
    let damage = Damage { database: &database, table };
    let path = database.path_of(table);
    let whole = fs::read(&path).context(path.display())?;
    // Behind that there may be no entries, but filter and index.
    let shorter = rig.random.below(whole.len() as u64 * 3 / 4);
    let died = damage.check_mapped(rig, || shorten(&path, shorter))?;
    fs::remove_file(&path).context(path.display())?;
    fs::write(&path, &whole).context(path.display())?;
    let (status, answers) =
        Reader::start(&database, Mode::Pread)?.read_after(|| shorten(&path, shorter))?;
    let errors = damage.check_answers(rig, Mode::Pread, status, &answers)?;
    damage.require(errors > 0, "no key is concerned")?;
    damage.require_refusal()?;
    fs::remove_file(&path).context(path.display())?;
    fs::write(&path, &whole).context(path.display())?;
    database.require_whole(rig)?;
    fs::remove_dir_all(&database.directory).context(database.directory.display())?;
    Ok(died)
}

/// A sector of a table cannot be read; true if the mapped reader died.
fn unreadable(scratch: &Scratch, rig: &mut Rig) -> Outcome<bool> {
    let image = Image::create(scratch, "ext4", FILE_SYSTEM_BYTES, "loop,noatime")?;
    let disk = image.mount()?;
    let database = Database::create(&disk.point().join("data"))?;
    let block_bytes = block_bytes_of(disk.point())?;
    let table = rig.random.below(TABLES);
    let path = database.path_of(table);
    let pages = fs::metadata(&path).context(path.display())?.len() / PAGE_BYTES;
    disk.unmount()?;
    // In the middle: an open needs header, filter and index, and the kernel
    // reads and loses up to 128 KiB at a time around what is asked for.
    let page = pages * 2 / 5 + rig.random.below(pages / 5);
    let name = format!("/data/{}", database.tables[table as usize]);
    let block = page * PAGE_BYTES / block_bytes;
    let request = format!("bmap {name} {block}");
    let words = ["-R".as_ref(), request.as_ref(), image.file().as_os_str()];
    let answer = shell::run(shell::DEBUGFS.name, &words)?;
    let physical: u64 =
        answer.parse().map_err(|_| Failure::check(format!("{request}: {answer:?} is no block")))?;
    let sector = physical * (block_bytes / 512);
    let device = ExportedDevice::with_bad_sector(scratch.path(), image.file(), sector)?;
    let disk = Mount::image(device.path(), &scratch.path().join("disk"), MOUNT_OPTIONS)?;
    let damage = Damage { database: &database, table };
    let died = damage.check_mapped(rig, || Ok(()))?;
    let (status, answers) = Reader::start(&database, Mode::Pread)?.read_after(|| Ok(()))?;
    let errors = damage.check_answers(rig, Mode::Pread, status, &answers)?;
    damage.require(errors > 0, "no key is concerned")?;
    damage.require(errors < KEYS, "one sector costs the whole table")?;
    disk.unmount()?;
    drop(device);
    let disk = image.mount()?;
    database.require_whole(rig)?;
    disk.unmount()?;
    Ok(died)
}

impl Database {
    fn create(directory: &Path) -> Outcome<Database> {
        let engine = Engine::open(directory, engine_options(Mode::Pread))?;
        let mut tables: Vec<String> = Vec::new();
        for table in 0..TABLES {
            let mut batch = WriteBatch::new();
            for number in 0..KEYS {
                batch.put(key_of(table, number).as_bytes(), &value_at(table, number))?;
            }
            engine.write(batch, Durability::Sync)?;
            engine.flush()?;
            let new = file_names(directory)
                .into_iter()
                .filter(|name| name.ends_with(".db") && !tables.contains(name));
            let new: Vec<String> = new.collect();
            let [name] = new.as_slice() else {
                return Err(Failure::check(format!("a flush left the tables {new:?}")));
            };
            tables.push(name.clone());
        }
        engine.close()?;
        Ok(Database { directory: directory.to_path_buf(), tables })
    }

    fn path_of(&self, table: u64) -> PathBuf {
        self.directory.join(&self.tables[table as usize])
    }

    /// Everything is right, in both modes.
    fn require_whole(&self, rig: &mut Rig) -> Outcome {
        for mode in [Mode::Pread, Mode::Map] {
            let (status, answers) = Reader::start(self, mode)?.read_after(|| Ok(()))?;
            let right = answers.lines().filter(|line| line.ends_with(" right")).count() as u64;
            count(rig, right);
            if !status.success() || right != TABLES * KEYS {
                let sentence = format!("without damage: {status}, {}", unlike_right(&answers));
                return Err(Failure::check(sentence));
            }
        }
        Ok(())
    }
}

impl Damage<'_> {
    /// Damages the table under a mapped reader; true if that died of SIGBUS.
    fn check_mapped(&self, rig: &mut Rig, harm: impl FnOnce() -> Outcome) -> Outcome<bool> {
        let (status, answers) = Reader::start(self.database, Mode::Map)?.read_after(harm)?;
        self.check_answers(rig, Mode::Map, status, &answers)?;
        Ok(status.signal() == Some(SIGBUS))
    }

    /// Only right values, and typed errors in the damaged table; returns how
    /// many errors. Only a mapped reader may die of SIGBUS.
    fn check_answers(
        &self,
        rig: &mut Rig,
        mode: Mode,
        status: ExitStatus,
        answers: &str,
    ) -> Outcome<u64> {
        let own = format!("{}:", self.table);
        let mut errors = BTreeSet::new();
        let mut right = 0;
        for line in answers.lines().filter(|line| *line != "end") {
            let Some((key, found)) = line.split_once(' ') else { continue };
            let is_typed = ["error Corruption ", "error Io "];
            let is_typed = is_typed.iter().any(|start| found.starts_with(start));
            match found {
                "right" => right += 1,
                _ if is_typed && key.starts_with(&own) => drop(errors.insert(key.to_owned())),
                _ => self.require(false, line)?,
            }
        }
        count(rig, right);
        let has_ended = status.success() && right + errors.len() as u64 == TABLES * KEYS;
        let has_died = mode == Mode::Map && status.signal() == Some(SIGBUS);
        self.require(has_ended || has_died, &status.to_string())?;
        Ok(errors.len() as u64)
    }

    /// A table of the wrong length is refused when it is opened, by its name.
    fn require_refusal(&self) -> Outcome {
        for mode in [Mode::Pread, Mode::Map] {
            let complaint = match Reader::start(self.database, mode) {
                Ok(_) => "a table that was cut short was opened".to_owned(),
                Err(failure) => failure.message,
            };
            let name = &self.database.tables[self.table as usize];
            let is_typed = complaint.contains("Corruption ") && complaint.contains(name);
            self.require(is_typed, &complaint)?;
        }
        Ok(())
    }

    fn require(&self, holds: bool, otherwise: &str) -> Outcome {
        let name = &self.database.tables[self.table as usize];
        match holds {
            true => Ok(()),
            false => Err(Failure::check(format!("with {name} damaged: {otherwise}"))),
        }
    }
}

/// A `map-reader` that has opened the database.
struct Reader {
    child: Child,
}

impl Reader {
    /// Fails with what it said if it cannot open the database.
    fn start(database: &Database, mode: Mode) -> Outcome<Reader> {
        let own = std::env::current_exe().context("where this program is")?;
        let child = Command::new(own)
            .args(["map-reader".as_ref(), database.directory.as_os_str()])
            .arg(mode.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the reader")?;
        let mut reader = Reader { child };
        let mut first = [0; "ready\n".len()];
        let output = reader.child.stdout.as_mut().expect("it is piped");
        if output.read_exact(&mut first).is_ok() && &first == b"ready\n" {
            return Ok(reader);
        }
        let mut complaint = String::new();
        let errors = reader.child.stderr.as_mut().expect("it is piped");
        errors.read_to_string(&mut complaint).context("the reader")?;
        let status = reader.child.wait().context("the reader")?;
        Err(Failure::check(format!("the reader ended by {status}: {complaint}")))
    }

    /// Lets it read everything after `harm`: how it ended and what it found.
    fn read_after(mut self, harm: impl FnOnce() -> Outcome) -> Outcome<(ExitStatus, String)> {
        harm()?;
        let mut input = self.child.stdin.take().expect("it is piped");
        input.write_all(b"\n").context("the reader")?;
        let mut answers = String::new();
        let output = self.child.stdout.as_mut().expect("it is piped");
        output.read_to_string(&mut answers).context("the reader")?;
        Ok((self.child.wait().context("the reader")?, answers))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Values that were written with a promise and are right.
fn count(rig: &mut Rig, right: u64) {
    rig.oracle.counts.acknowledged += right;
    rig.oracle.counts.keys_read += right;
}

/// The first answers that say something else.
fn unlike_right(answers: &str) -> String {
    let others = answers.lines().filter(|line| !line.ends_with(" right"));
    others.take(3).collect::<Vec<_>>().join(", ")
}

/// Cuts a sealed file, which only root and its owner's tools may write to.
fn shorten(path: &Path, bytes: u64) -> Outcome {
    let file = OpenOptions::new().write(true).open(path).context(path.display())?;
    file.set_len(bytes).context(path.display())
}

fn block_bytes_of(point: &Path) -> Outcome<u64> {
    let space = rustix::fs::statvfs(point).map_err(std::io::Error::from);
    Ok(space.context(point.display())?.f_frsize)
}
