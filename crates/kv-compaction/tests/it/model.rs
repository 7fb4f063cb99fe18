//! The whole crate against an ordered map: whatever is written, flushed,
//! picked, carried out in any order and asked for, reads see the same.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::{Plan, Policy, RangeCompaction, RangePick, pick, pick_idle};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::store::{Store, store};

/// So few keys that tables overlap and versions pile up.
const KEYS: u8 = 32;

#[derive(Debug, Clone)]
enum Step {
    /// Puts a value that lives for so many ticks.
    Put(u8, u8),
    Delete(u8),
    /// Puts neighbouring keys, so that some tables are narrow.
    Fill(u8, u8),
    Flush {
        drop_deletes: bool,
    },
    /// Picks a plan and lets it run.
    Begin {
        is_idle: bool,
    },
    /// Ends one of the running plans.
    End(usize),
    Range {
        keys: (u8, u8),
        rewrite_all: bool,
        steps: u8,
    },
    Tick,
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => (key(), 1u8..40).prop_map(|(key, ticks)| Step::Put(key, ticks)),
        4 => key().prop_map(Step::Delete),
        4 => (key(), 1u8..8).prop_map(|(first, count)| Step::Fill(first, count)),
        6 => any::<bool>().prop_map(|drop_deletes| Step::Flush { drop_deletes }),
        8 => any::<bool>().prop_map(|is_idle| Step::Begin { is_idle }),
        4 => any::<usize>().prop_map(Step::End),
        1 => ((key(), key()), any::<bool>(), 1u8..6)
            .prop_map(|(keys, rewrite_all, steps)| Step::Range { keys, rewrite_all, steps }),
        1 => Just(Step::Tick),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (1usize..4, 400u64..2000, 1u64..3, 100u64..500, 1u64..8, 1u64..12).prop_map(
        |(level0_trigger, level_base_bytes, level_ratio, table_bytes, overlap, plan)| Policy {
            level0_trigger,
            level_base_bytes,
            level_ratio,
            table_bytes,
            overlap_limit_tables: overlap,
            plan_limit_tables: plan,
            ..Policy::default()
        },
    )
}

struct Model {
    store: Store,
    expected: BTreeMap<Vec<u8>, u64>,
    running: Vec<Plan>,
}

impl Model {
    fn step(&mut self, step: Step) {
        let now = self.store.expiry.now.load(Relaxed);
        match step {
            Step::Put(key, ticks) => self.put(key, now + u64::from(ticks)),
            Step::Fill(first, count) => {
                for key in first..KEYS.min(first + count) {
                    self.put(key, now + 50);
                }
            }
            Step::Delete(key) => {
                self.store.write(&[key], None);
                self.expected.remove(&[key][..]);
            }
            Step::Flush { drop_deletes } => self.store.flush(drop_deletes).unwrap(),
            Step::Begin { is_idle } => {
                if let Some(plan) = self.pick(is_idle) {
                    self.store.busy.begin(&plan);
                    self.running.push(plan);
                }
            }
            Step::End(which) => {
                if !self.running.is_empty() {
                    let plan = self.running.swap_remove(which % self.running.len());
                    self.store.carry_out(&plan).unwrap();
                }
            }
            Step::Range { keys, rewrite_all, steps } => {
                self.range(keys, rewrite_all, steps);
            }
            Step::Tick => {
                self.store.expiry.now.fetch_add(7, Relaxed);
            }
        }
    }

    fn put(&mut self, key: u8, time: u64) {
        self.store.write(&[key], Some(time));
        self.expected.insert(vec![key], time);
    }

    fn pick(&self, is_idle: bool) -> Option<Plan> {
        let Store { version, policy, busy, .. } = &self.store;
        if is_idle { pick_idle(version, policy, busy) } else { pick(version, policy, busy) }
    }

    /// Compacts a range for some steps; true if that was all of it.
    fn range(&mut self, keys: (u8, u8), rewrite_all: bool, steps: u8) -> bool {
        let (start, end) = ([keys.0.min(keys.1)], [keys.0.max(keys.1)]);
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let compaction = RangeCompaction::new(&self.store.version, range, rewrite_all);
        for _ in 0..steps {
            let Store { version, policy, busy, .. } = &self.store;
            match compaction.pick(version, policy, busy) {
                RangePick::Done => return true,
                RangePick::Blocked => {
                    assert!(!self.running.is_empty(), "only running plans block");
                    return false;
                }
                RangePick::Plan(plan) => {
                    self.store.busy.begin(&plan);
                    self.store.carry_out(&plan).unwrap();
                }
            }
        }
        false
    }

    fn check(&self) {
        let now = self.store.expiry.now.load(Relaxed);
        for key in 0..KEYS {
            let expected = self.expected.get(&[key][..]).copied().filter(|time| *time > now);
            assert_eq!(self.store.get(&[key]).unwrap(), expected, "key {key}");
        }
        let (found, named) = self.store.files();
        assert_eq!(found, named, "each file has its table, each table its file");
    }

    /// Ends what runs and compacts until there is nothing left to do.
    fn settle(&mut self) {
        for plan in std::mem::take(&mut self.running) {
            self.store.carry_out(&plan).unwrap();
        }
        let mut steps = 0;
        while let Some(plan) = self.pick(true) {
            self.store.busy.begin(&plan);
            self.store.carry_out(&plan).unwrap();
            steps += 1;
            assert!(steps < 1000, "picking does not end: {plan}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reads_see_what_an_ordered_map_sees(
        policy in any_policy(),
        forget_seqnos in any::<bool>(),
        steps in vec(any_step(), 1..150),
    ) {
        let (_disk, mut store) = store(policy);
        store.forget_seqnos = forget_seqnos;
        let mut model = Model { store, expected: BTreeMap::new(), running: Vec::new() };
        for step in steps {
            model.step(step);
            model.check();
        }
        model.settle();
        model.check();
        // A full compaction leaves one level and no deletes.
        model.step(Step::Flush { drop_deletes: false });
        prop_assert!(model.range((0, KEYS), true, u8::MAX), "a range compaction does not end");
        model.check();
        let version = &model.store.version;
        let used = version.levels().iter().filter(|tables| !tables.is_empty()).count();
        prop_assert!(used <= 1, "{} levels are in use", used);
        prop_assert!(version.tables().all(|(_, open)| open.meta.deletes == 0));
        let live = model.expected.values().filter(|time| {
            **time > model.store.expiry.now.load(Relaxed)
        });
        let entries: u64 = version.tables().map(|(_, open)| open.meta.entries).sum();
        prop_assert_eq!(entries, live.count() as u64, "nothing else takes space");
    }
}
