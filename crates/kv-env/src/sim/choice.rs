//! Which of the unsynced changes a power cut keeps.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::random::{Random, mix};
use super::state::{Subject, Unit};

/// Up to this many unsynced changes all subsets are tried: 1024 images.
const MAX_EXHAUSTIVE_UNITS: usize = 10;

/// Above that, single survivors, single losses and prefixes are tried at this
/// many positions at most, so that one large append does not make thousands of
/// images that differ by one sector in the middle.
const MAX_CORNER_POSITIONS: usize = 64;

/// Random subsets tried beside the corners.
const SEEDED_CHOICES: u64 = 16;

const _: () = assert!(MAX_EXHAUSTIVE_UNITS < u64::BITS as usize);

/// What a power cut keeps of the unsynced changes, which are numbered from 0
/// in the order in which they were made: one for each written 512-byte sector,
/// each new file length and each change of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum CrashChoice {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// One change only.
    Only(usize),
    /// All but one change.
    AllBut(usize),
    /// The first so many changes.
    Prefix(usize),
    /// Change `i` where bit `i` is set; none from the 64th on.
    Mask(u64),
    /// A random subset, the same for the same seed. It draws its shape as
    /// well: independent coins of some bias, a prefix with a ragged end, or
    /// whole files.
    Seeded(u64),
}

impl CrashChoice {
    /// A number that differs between choices.
    pub(super) fn salt(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// How directory changes may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectoryModel {
    /// Each on its own, in any combination: what POSIX promises.
    #[default]
    Weak,
    /// Only the latest ones: a journal replays in order, as on ext4.
    Ext4,
}

/// The fate of each unit: true if it survives.
pub(super) fn survivors(choice: CrashChoice, units: &[Unit], model: DirectoryModel) -> Vec<bool> {
    let mut survivors: Vec<bool> = match choice {
        CrashChoice::Seeded(seed) => seeded(seed, units),
        _ => (0..units.len())
            .map(|index| match choice {
                CrashChoice::None | CrashChoice::Seeded(_) => false,
                CrashChoice::All => true,
                CrashChoice::Only(survivor) => index == survivor,
                CrashChoice::AllBut(lost) => index != lost,
                CrashChoice::Prefix(len) => index < len,
                CrashChoice::Mask(mask) => index < 64 && mask >> index & 1 == 1,
            })
            .collect(),
    };
    if model == DirectoryModel::Ext4 {
        let mut is_intact = true;
        for (unit, survives) in units.iter().zip(&mut survivors) {
            if unit.subject == Subject::Directory {
                is_intact &= *survives;
                *survives = is_intact;
            }
        }
    }
    survivors
}

fn seeded(seed: u64, units: &[Unit]) -> Vec<bool> {
    let mut random = Random::new(seed);
    match random.below(3) {
        0 => {
            let eighths = 1 + random.below(7);
            units.iter().map(|_| random.below(8) < eighths).collect()
        }
        1 => {
            let cut = random.below(units.len() as u64 + 1) as usize;
            let ragged = cut.saturating_sub(8)..cut.saturating_add(8);
            (0..units.len())
                .map(
                    |index| {
                        if ragged.contains(&index) { random.below(2) == 0 } else { index < cut }
                    },
                )
                .collect()
        }
        _ => {
            let mut fates: BTreeMap<Subject, bool> = BTreeMap::new();
            units
                .iter()
                .map(|unit| *fates.entry(unit.subject).or_insert_with(|| random.below(2) == 0))
                .collect()
        }
    }
}

/// The choices worth trying for `units` unsynced changes: all subsets of few,
/// the corners and some random subsets of many.
pub(super) fn choices(seed: u64, units: usize) -> Vec<CrashChoice> {
    if units <= MAX_EXHAUSTIVE_UNITS {
        return (0..1 << units).map(CrashChoice::Mask).collect();
    }
    let mut choices = vec![CrashChoice::None, CrashChoice::All];
    for position in positions(units) {
        choices.push(CrashChoice::Only(position));
        choices.push(CrashChoice::AllBut(position));
        if position > 0 {
            choices.push(CrashChoice::Prefix(position));
        }
    }
    choices.extend((0..SEEDED_CHOICES).map(|index| CrashChoice::Seeded(mix(seed, index))));
    choices
}

/// All of `0..units`, or evenly spaced ones with both ends.
fn positions(units: usize) -> Vec<usize> {
    let count = units.min(MAX_CORNER_POSITIONS);
    (0..count).map(|step| step * (units - 1) / (count - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(subjects: &[Subject]) -> Vec<Unit> {
        let unit = |(op, subject): (usize, &Subject)| Unit { op: op as u64, subject: *subject };
        subjects.iter().enumerate().map(unit).collect()
    }

    #[test]
    fn few_units_give_every_subset_once() {
        let units = units(&[Subject::File(1); 3]);
        let mut subsets: Vec<Vec<bool>> = choices(0, 3)
            .into_iter()
            .map(|choice| survivors(choice, &units, DirectoryModel::Weak))
            .collect();
        subsets.sort();
        subsets.dedup();
        assert_eq!(subsets.len(), 8);
    }

    #[test]
    fn many_units_give_each_corner() {
        let choices = choices(0, 20);
        for index in 0..20 {
            assert!(choices.contains(&CrashChoice::Only(index)));
            assert!(choices.contains(&CrashChoice::AllBut(index)));
            assert!(index == 0 || choices.contains(&CrashChoice::Prefix(index)));
        }
        assert!(choices.contains(&CrashChoice::None) && choices.contains(&CrashChoice::All));
        let positions = positions(100_000);
        assert_eq!((positions.first(), positions.last()), (Some(&0), Some(&99_999)));
        assert_eq!(positions.len(), MAX_CORNER_POSITIONS);
    }

    #[test]
    fn a_journal_loses_directory_changes_from_the_end_only() {
        use Subject::{Directory, File};
        let units = units(&[Directory, File(1), Directory, File(1), Directory]);
        let survivors = survivors(CrashChoice::AllBut(2), &units, DirectoryModel::Ext4);
        assert_eq!(survivors, [true, true, false, true, false]);
    }

    #[test]
    fn seeds_draw_every_shape_and_repeat() {
        let units = units(&[[Subject::File(1); 10], [Subject::File(2); 10]].concat());
        let draw = |seed| survivors(CrashChoice::Seeded(seed), &units, DirectoryModel::Weak);
        let mut drawn: Vec<Vec<bool>> = (0..50).map(draw).collect();
        assert_eq!(drawn[7], draw(7));
        assert!(drawn.iter().any(|fate| fate[..10] == [true; 10] && fate[10..] == [false; 10]));
        drawn.sort();
        drawn.dedup();
        assert!(drawn.len() > 20, "{}", drawn.len());
    }
}
