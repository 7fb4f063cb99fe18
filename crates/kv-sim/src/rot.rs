//! Rot: what a device does to files that nobody writes. The engine must answer
//! as if nothing had happened, or with an error that says what is damaged;
//! never with something else.

use kv_engine::{Engine, Error};
use kv_env::{DeviceFault, SimDisk};

use crate::keys::{self, COUNTER};
use crate::random::{Random, mix};
use crate::reading::{self, ReadFailure};
use crate::run::{Failure, guarded, run_to_the_end};
use crate::script::Script;
use crate::state::State;
use crate::trouble::{FRAME_BYTES, SECTOR_BYTES};
use crate::world::{Verdict, World};

/// What damaged images came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotFigures {
    /// Images that were damaged and opened.
    pub images: u64,
    /// Every answer was right.
    pub unharmed: u64,
    /// The open was refused with a typed error.
    pub refused: u64,
    /// Some reads failed with a typed error, all others were right.
    pub read_errors: u64,
    /// The end of the log of a killed process looked like a torn write: it was
    /// cut, set aside, and reported.
    pub cut: u64,
    /// The last writes of a killed process became zeros, as if they had never
    /// been made: nothing can tell.
    pub vanished: u64,
    /// The simulated process died of a map that cannot be read.
    pub ended: u64,
}

impl RotFigures {
    /// Adds up two accounts.
    pub fn add(&mut self, other: &RotFigures) {
        self.images += other.images;
        self.unharmed += other.unharmed;
        self.refused += other.refused;
        self.read_errors += other.read_errors;
        self.cut += other.cut;
        self.vanished += other.vanished;
        self.ended += other.ended;
    }
}

/// One kind of damage, with its place.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Some bits of a byte.
    Flip { offset: u64, mask: u8 },
    /// A sector of zeros.
    Zeros { sector: u64 },
    /// A sector holds another one of the same file.
    Swapped { sector: u64, other: u64 },
    /// A sector holds one of another file.
    Foreign { sector: u64, file: u64 },
    /// The end is gone.
    Shorter { len: u64 },
    /// Reads of a sector see another one of the same file.
    MisdirectedRead { sector: u64, other: u64 },
    /// A sector cannot be read.
    Unreadable { sector: u64 },
}

impl Damage {
    /// The sector that is hurt; none if it is more than one.
    fn sector(self) -> Option<u64> {
        match self {
            Damage::Flip { offset, .. } => Some(offset / SECTOR_BYTES),
            Damage::Zeros { sector }
            | Damage::Swapped { sector, .. }
            | Damage::Foreign { sector, .. }
            | Damage::MisdirectedRead { sector, .. }
            | Damage::Unreadable { sector } => Some(sector),
            Damage::Shorter { .. } => None,
        }
    }
}

/// Runs `script`, then damages what it left, once after a kill and once after a
/// proper close, each time `images` times in ways drawn from `seed`.
///
/// # Errors
/// The first wrong answer.
pub fn rot(script: &Script, seed: u64, images: u64) -> Result<RotFigures, Box<Failure>> {
    let (world, _) = run_to_the_end(script, false)?;
    let mut figures = RotFigures::default();
    if world.leeway.is_damaged {
        return Ok(figures);
    }
    for was_closed in [false, true] {
        let prepared = guarded(|| Base::new(&world, was_closed));
        let base = prepared.map_err(|what| failure(script, what))?;
        for number in 0..images {
            let mut random = Random::new(mix(mix(seed, number), u64::from(was_closed)));
            let (name, damage) = base.draw(&mut random);
            let closed = if was_closed { "closed" } else { "killed" };
            let verdict = guarded(|| base.check(&name, damage, &mut figures));
            verdict.map_err(|what| {
                let place = format!("{damage:?} of {name}, {closed}, rot {number} of seed {seed}");
                failure(script, format!("{place}: {what}"))
            })?;
        }
    }
    Ok(figures)
}

/// As [`rot`], for histories with a seed each, on as many threads as asked for.
///
/// # Errors
/// The failure of the first of them, in their order, that has one.
pub fn rot_all(
    histories: &[(u64, Script)],
    images: u64,
    threads: usize,
) -> Result<RotFigures, Box<Failure>> {
    let outcomes =
        crate::parallel::map(histories, threads, |(seed, script)| rot(script, *seed, images));
    let mut sum = RotFigures::default();
    for outcome in outcomes {
        sum.add(&outcome?);
    }
    Ok(sum)
}

fn failure(script: &Script, what: String) -> Box<Failure> {
    let step = script.steps.len();
    Box::new(Failure { script: script.clone(), step, what, log: Vec::new() })
}

/// An intact disk, and what it holds.
struct Base<'a> {
    world: &'a World,
    disk: SimDisk,
    state: State,
    was_closed: bool,
    files: Vec<(String, u64)>,
}

impl<'a> Base<'a> {
    fn new(world: &'a World, was_closed: bool) -> Verdict<Base<'a>> {
        let options = world.settings.engine_options();
        let mut disk = world.disk.kill(world.disk.op_count());
        if was_closed {
            let engine = Engine::open_in(disk.env(), options.clone());
            engine.and_then(|engine| engine.close()).map_err(|error| error.to_string())?;
        }
        // A disk with no history, all of it durable.
        disk = disk.crash(kv_env::CrashChoice::All);
        let probe = disk.crash(kv_env::CrashChoice::All);
        let engine = Engine::open_in(probe.env(), options).map_err(|error| error.to_string())?;
        let state = reading::contents(&engine).map_err(|failure| failure.to_string())?;
        let entries = disk.fs().list().map_err(|error| error.to_string())?;
        let ours = entries
            .into_iter()
            .filter(|entry| entry.is_regular_file && entry.name != "LOCK" && entry.len > 0);
        let files = ours.map(|entry| (entry.name, entry.len)).collect();
        Ok(Base { world, disk, state, was_closed, files })
    }

    fn draw(&self, random: &mut Random) -> (String, Damage) {
        let index = random.below(self.files.len() as u64) as usize;
        let (name, len) = &self.files[index];
        // Most of a log is zeros that nobody reads: half of the damage goes to
        // its first pages.
        let span = if random.one_in(2) { (*len).min(12 << 10) } else { *len };
        let sectors = span.div_ceil(SECTOR_BYTES);
        let (sector, other) = (random.below(sectors), random.below(sectors));
        let damage = match random.below(10) {
            0..4 => Damage::Flip { offset: random.below(span), mask: 1 << random.below(8) },
            4 => Damage::Zeros { sector },
            5 => Damage::Swapped { sector, other },
            6 => Damage::Foreign { sector, file: random.below(self.files.len() as u64) },
            7 => Damage::Shorter { len: random.below(span) },
            8 => Damage::MisdirectedRead { sector, other },
            _ => Damage::Unreadable { sector },
        };
        (name.clone(), damage)
    }

    /// A copy of the disk with the damage done.
    fn damaged(&self, name: &str, damage: Damage) -> SimDisk {
        let disk = self.world.settings.ready(self.disk.crash(kv_env::CrashChoice::All));
        let range = |sector: u64| sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        let mut bytes = disk.read_file(name).expect("the file was listed");
        let within = |len: usize, sector: u64| {
            (range(sector).start as usize).min(len)..(range(sector).end as usize).min(len)
        };
        match damage {
            Damage::Flip { offset, mask } => disk.corrupt(name, offset, mask),
            Damage::MisdirectedRead { sector, other } => {
                let fault = DeviceFault::misdirected_read(range(sector), name, range(other).start);
                disk.inject_device(fault.on(name));
            }
            Damage::Unreadable { sector } => {
                disk.inject_device(DeviceFault::unreadable(range(sector)).on(name));
            }
            Damage::Shorter { len } => disk.write_file(name, &bytes[..len as usize]),
            Damage::Zeros { .. } | Damage::Swapped { .. } | Damage::Foreign { .. } => {
                let (sector, source) = match damage {
                    Damage::Swapped { sector, other } => {
                        (sector, bytes[within(bytes.len(), other)].to_vec())
                    }
                    Damage::Foreign { sector, file } => {
                        let other = &self.files[file as usize].0;
                        let other = disk.read_file(other).expect("the file was listed");
                        (sector, other[within(other.len(), sector)].to_vec())
                    }
                    Damage::Zeros { sector } => (sector, Vec::new()),
                    _ => unreachable!("the outer match has these three"),
                };
                let place = within(bytes.len(), sector);
                let mut source = source;
                source.resize(place.len(), 0);
                bytes[place].copy_from_slice(&source);
                disk.write_file(name, &bytes);
            }
        }
        disk
    }

    fn check(&self, name: &str, damage: Damage, figures: &mut RotFigures) -> Verdict {
        figures.images += 1;
        let disk = self.damaged(name, damage);
        let zeros = self.zeros(&disk, name, damage);
        let counted = self.judge(&disk, name, zeros, damage)?;
        if disk.is_stopped() {
            figures.ended += 1;
        } else {
            match counted {
                Outcome::Unharmed => figures.unharmed += 1,
                Outcome::Refused => figures.refused += 1,
                Outcome::ReadErrors => figures.read_errors += 1,
                Outcome::Cut => figures.cut += 1,
                Outcome::Vanished => figures.vanished += 1,
            }
        }
        Ok(())
    }

    /// Where the log now looks as if it had never been written.
    fn zeros(&self, disk: &SimDisk, name: &str, damage: Damage) -> Zeros {
        if !name.starts_with("wal") {
            return Zeros::Nowhere;
        }
        let bytes = disk.read_file(name).unwrap_or_default();
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        let (sector, seen) = match damage {
            Damage::Shorter { .. } => return Zeros::ToTheEnd,
            Damage::Flip { .. } | Damage::Unreadable { .. } => return Zeros::Nowhere,
            Damage::Zeros { sector }
            | Damage::Swapped { sector, .. }
            | Damage::Foreign { sector, .. } => (sector, sector),
            Damage::MisdirectedRead { sector, other } => (sector, other),
        };
        let behind = bytes.len().min(((sector + 1) * SECTOR_BYTES) as usize);
        let seen = sector_of(&bytes, seen);
        let ends_in_zeros =
            |line: &[u8]| is_zero(&line[line.len().saturating_sub(LINE_END_BYTES)..]);
        match is_zero(seen) {
            true if is_zero(&bytes[behind..]) => Zeros::ToTheEnd,
            true => Zeros::Sector,
            false if seen.chunks(LINE_BYTES).any(ends_in_zeros) => Zeros::Sector,
            false => Zeros::Nowhere,
        }
    }

    /// Opens a damaged disk and asks it everything.
    fn judge(&self, disk: &SimDisk, name: &str, zeros: Zeros, damage: Damage) -> Verdict<Outcome> {
        let engine = match Engine::open_in(disk.env(), self.world.settings.engine_options()) {
            Ok(engine) => engine,
            Err(error) => return check_typed(&error, damage).map(|()| Outcome::Refused),
        };
        let report = engine.recovery_report().clone();
        let has_cut = report.segments.iter().any(|segment| segment.cut.is_some());
        let found = reading::contents(&engine);
        // Behind a kill, rot of the end of the log cannot always be told from a
        // tear; what is left must be a state that only such a loss can leave, and
        // the cut be reported unless there is nothing to report.
        if let Ok(found) = &found
            && (has_cut || zeros == Zeros::ToTheEnd)
            && !self.was_closed
            && *found != self.state
            && self.may_pass_for_a_tear(name, zeros, damage, found)?
        {
            let checked = reading::check_everything(&engine, found, &self.world.keys);
            checked.map_err(|failure| failure.to_string())?;
            return Ok(if has_cut { Outcome::Cut } else { Outcome::Vanished });
        }
        self.judge_reads(&engine, damage, found)
    }

    /// True if `found` lacks nothing but the last promise, or what a sector with zeros
    /// in the log hides. Behind the sector a record is found only by the one before
    /// it, and until the next frame no stamp proves that there was one: it may cost
    /// the rest of a frame, and of what lies behind that the last promise.
    fn may_pass_for_a_tear(
        &self,
        name: &str,
        zeros: Zeros,
        damage: Damage,
        found: &State,
    ) -> Verdict<bool> {
        let history = &self.world.history;
        if history.is_at_most_one_promise_short(found) {
            return Ok(true);
        }
        let Some(sector) = damage.sector().filter(|_| zeros != Zeros::Nowhere) else {
            return Ok(false);
        };
        let start = sector * SECTOR_BYTES;
        let least = self.state_without(name, start)?;
        let kept = self.state_without(name, (start / FRAME_BYTES + 1) * FRAME_BYTES)?;
        Ok(history.is_short_between(found, &least, &kept))
    }

    /// What the database would hold had nothing been written to the log `name` from
    /// `offset` on.
    fn state_without(&self, name: &str, offset: u64) -> Verdict<State> {
        let disk = self.world.settings.ready(self.disk.crash(kv_env::CrashChoice::All));
        let mut bytes = disk.read_file(name).expect("the file was listed");
        let kept = bytes.len().min(offset as usize);
        bytes[kept..].fill(0);
        disk.write_file(name, &bytes);
        let engine = Engine::open_in(disk.env(), self.world.settings.engine_options());
        let engine = engine.map_err(|error| error.to_string())?;
        reading::contents(&engine).map_err(|failure| failure.to_string())
    }

    fn judge_reads(
        &self,
        engine: &Engine,
        damage: Damage,
        found: Result<State, ReadFailure>,
    ) -> Verdict<Outcome> {
        let mut errors = 0;
        let mut note = |outcome: Result<(), ReadFailure>| match outcome {
            Ok(()) => Ok(()),
            Err(ReadFailure::Error(error)) => {
                errors += 1;
                check_typed(&error, damage)
            }
            Err(ReadFailure::Wrong(what)) => Err(format!("silently wrong: {what}")),
        };
        note(reading::compare("a scan", &self.state, found))?;
        for &key in &self.world.keys {
            note(reading::check_get(engine, &self.state, &keys::key(key)))?;
        }
        note(reading::check_get(engine, &self.state, COUNTER))?;
        note(reading::check_everything(engine, &self.state, &self.world.keys))?;
        Ok(if errors > 0 { Outcome::ReadErrors } else { Outcome::Unharmed })
    }
}

/// What a torn write leaves out is whole lines of this size, or the end of one.
const LINE_BYTES: usize = 64;

/// The shortest end of a line that is left out.
const LINE_END_BYTES: usize = 8;

/// Whether a part of the log looks as if it had never been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Nowhere,
    /// A sector does, or the end of one of its lines.
    Sector,
    /// So does all that is behind it.
    ToTheEnd,
}

enum Outcome {
    Unharmed,
    Refused,
    ReadErrors,
    Cut,
    Vanished,
}

fn sector_of(bytes: &[u8], sector: u64) -> &[u8] {
    let start = ((sector * SECTOR_BYTES) as usize).min(bytes.len());
    &bytes[start..bytes.len().min(start + SECTOR_BYTES as usize)]
}

/// Damage has its own kinds of error, and each names a file. Only what cannot be
/// read at all is an error of the device.
fn check_typed(error: &Error, damage: Damage) -> Verdict {
    let is_unreadable = matches!(damage, Damage::Unreadable { .. });
    let file = match error {
        Error::Corruption { file, .. } | Error::Unsupported { file, .. } => file,
        Error::Io { path, .. } if is_unreadable => path,
        other => return Err(format!("damage is reported as something else: {other}")),
    };
    if file.is_empty() { Err(format!("damage without a file: {error}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"{"memtable":{"entries":100}}"#;
    const WRITE: &str = r#"{"write":{"durability":"sync","changes":[{"put":[1,300]}]}}"#;

    /// A killed database with eight promises within a frame of its log.
    fn world() -> World {
        let script: Script = [&[SETTINGS][..], &[WRITE; 8]].concat().join("\n").parse().unwrap();
        run_to_the_end(&script, false).unwrap().0
    }

    #[test]
    fn only_a_sector_with_zeros_hides_the_rest_of_its_frame() {
        let world = world();
        let base = Base::new(&world, false).unwrap();
        let sector = (0..20)
            .find(|&sector| {
                let left = base.state_without("wal.log", sector * SECTOR_BYTES);
                left.is_ok_and(|left| left.len() == 2)
            })
            .unwrap();
        let least = base.state_without("wal.log", sector * SECTOR_BYTES).unwrap();
        assert!(!world.history.is_at_most_one_promise_short(&least));
        let passes = |damage| {
            let disk = base.damaged("wal.log", damage);
            let zeros = base.zeros(&disk, "wal.log", damage);
            (zeros, base.may_pass_for_a_tear("wal.log", zeros, damage, &least).unwrap())
        };
        let flip = Damage::Flip { offset: sector * SECTOR_BYTES + 9, mask: 1 };
        assert_eq!(passes(flip), (Zeros::Nowhere, false));
        assert_eq!(passes(Damage::Unreadable { sector }), (Zeros::Nowhere, false));
        assert_eq!(passes(Damage::Swapped { sector, other: sector - 1 }), (Zeros::Nowhere, false));
        assert_eq!(passes(Damage::Zeros { sector }), (Zeros::Sector, true));
        // That of the file's header is zeros for the most part.
        assert_eq!(passes(Damage::Swapped { sector, other: 0 }), (Zeros::Sector, true));
    }

    #[test]
    fn silence_is_for_zeros_behind_which_nothing_stands() {
        let world = world();
        let base = Base::new(&world, false).unwrap();
        let bytes = base.disk.read_file("wal.log").unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64;
        let last = used / SECTOR_BYTES;
        let zeros = |sector| {
            let damage = Damage::Zeros { sector };
            base.zeros(&base.damaged("wal.log", damage), "wal.log", damage)
        };
        assert_eq!([last - 1, last].map(zeros), [Zeros::Sector, Zeros::ToTheEnd]);
        let damage = Damage::MisdirectedRead { sector: last - 1, other: last + 1 };
        assert_eq!(base.zeros(&base.damaged("wal.log", damage), "wal.log", damage), Zeros::Sector);
        let damage = Damage::Zeros { sector: 0 };
        let disk = base.damaged("MANIFEST_000001", damage);
        assert_eq!(base.zeros(&disk, "MANIFEST_000001", damage), Zeros::Nowhere);
    }
}
