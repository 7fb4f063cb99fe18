//! Recoveries that are interrupted again and again: a power cut anywhere in a
//! run, then one anywhere in each of the recoveries that follow, five deep. All
//! of them lead to the state that the first recovery would have led to.

use kv_engine::{Engine, Options};
use kv_env::{DirectoryModel, SimDisk, SimOptions};
use proptest::prelude::*;

use crate::support::{contents, open, settle, tiny};

const DEPTH: usize = 5;

/// Fills tables and log, and ends with a close that may be cut as well.
fn run(options: SimOptions, seed: u64) -> SimDisk {
    let disk = SimDisk::with_options(seed, options);
    let engine = open(&disk, tiny());
    for number in 0..30u32 {
        engine.put(&(number * 7 % 13).to_be_bytes(), &number.to_be_bytes()).unwrap();
        if number % 11 == 10 {
            settle(&engine);
        }
    }
    engine.close().unwrap();
    disk
}

/// One of the images after an op, both chosen by a number.
fn cut(disk: &SimDisk, from: u64, choice: u64) -> (String, SimDisk) {
    let ops = disk.op_count() - from + 1;
    let op = from + choice % ops;
    let choices = disk.choices_at(op);
    let choice = choices[(choice / ops) as usize % choices.len()];
    (format!("cut after op {op}, {choice:?}"), disk.image(op, choice))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_recovery_cut_five_times_leads_to_the_same_state(
        seed in 0u64..4,
        is_weak in any::<bool>(),
        stale_bytes in any::<bool>(),
        pread in any::<bool>(),
        cuts in prop::array::uniform6(any::<u64>()),
    ) {
        let directory_model = if is_weak { DirectoryModel::Weak } else { DirectoryModel::Ext4 };
        let sim = SimOptions { directory_model, stale_bytes, ..SimOptions::default() };
        let mut options: Options = tiny();
        if pread {
            options.read_mode = kv_engine::ReadMode::Pread;
        }
        let (mut what, mut image) = cut(&run(sim, seed), 0, cuts[0]);
        let mut expected = None;
        for next in &cuts[1..=DEPTH] {
            let before = image.op_count();
            let engine = Engine::open_in(image.env(), options.clone());
            let engine = engine.map_err(|error| TestCaseError::fail(format!("{what}: {error}")))?;
            let found = contents(&engine);
            prop_assert_eq!(expected.get_or_insert(found.clone()), &found, "{}", what);
            // The cut comes in the recovery or in the close behind it.
            drop(engine);
            let (place, next_image) = cut(&image, before, *next);
            what = format!("{what}, then {place}");
            image = next_image;
        }
    }
}
