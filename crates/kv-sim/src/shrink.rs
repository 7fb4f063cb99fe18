//! Making a failing history small: whatever can be left out or made simpler
//! without the failure going away, is.

use kv_engine::Durability;
use kv_env::CrashChoice;

use crate::run::{Failure, run};
use crate::script::Script;
use crate::settings::Settings;
use crate::step::{Batch, Change, Cut, Step};
use crate::trouble::{DeviceRule, FailingCall, FaultRule};

/// Runs after which the result is good enough.
const MAX_RUNS: usize = 3_000;

/// The smallest history that it finds to fail, beginning with that of
/// `failure`. Any failure counts, also another one.
pub fn shrink(failure: Failure) -> Failure {
    shrink_with(failure, |script| run(script).err().map(|failure| *failure))
}

/// As [`shrink`], for any notion of failing.
pub fn shrink_with(failure: Failure, mut fails: impl FnMut(&Script) -> Option<Failure>) -> Failure {
    let mut best = failure;
    let mut runs = 0;
    let mut try_one = |best: &mut Failure, script: Script| {
        runs += 1;
        if runs > MAX_RUNS || script == best.script {
            return false;
        }
        let smaller = fails(&script);
        let has_failed = smaller.is_some();
        if let Some(smaller) = smaller {
            *best = smaller;
        }
        has_failed
    };
    // What comes behind the failing step has no part in it.
    let mut cut_short = best.script.clone();
    cut_short.steps.truncate(best.step + 1);
    try_one(&mut best, cut_short);
    loop {
        let mut has_shrunk = remove_steps(&mut best, &mut try_one);
        has_shrunk |= replace(&mut best, &mut try_one, simpler_settings);
        for index in 0..best.script.steps.len() {
            has_shrunk |= replace(&mut best, &mut try_one, |script| simpler_steps(script, index));
        }
        if !has_shrunk {
            return best;
        }
    }
}

type TryOne<'a> = dyn FnMut(&mut Failure, Script) -> bool + 'a;

/// Takes out runs of steps, long ones first, from the end.
fn remove_steps(best: &mut Failure, try_one: &mut TryOne<'_>) -> bool {
    let mut has_shrunk = false;
    let mut len = best.script.steps.len().max(2) / 2;
    while len > 0 {
        let mut end = best.script.steps.len();
        while end >= len {
            let mut script = best.script.clone();
            script.steps.drain(end - len..end);
            has_shrunk |= try_one(best, script);
            end = (end - 1).min(best.script.steps.len());
        }
        len /= 2;
    }
    has_shrunk
}

/// Takes the first candidate that fails, until none does.
fn replace(
    best: &mut Failure,
    try_one: &mut TryOne<'_>,
    candidates: impl Fn(&Script) -> Vec<Script>,
) -> bool {
    let mut has_shrunk = false;
    while candidates(&best.script).into_iter().any(|script| try_one(best, script)) {
        has_shrunk = true;
    }
    has_shrunk
}

/// Each setting put back to its default, all others kept.
fn simpler_settings(script: &Script) -> Vec<Script> {
    let now = &script.settings;
    let usual = Settings::default();
    let candidates = [
        Settings { seed: usual.seed, ..now.clone() },
        Settings { ordered_directory: usual.ordered_directory, ..now.clone() },
        Settings { stale_bytes: usual.stale_bytes, ..now.clone() },
        Settings { failed_sync_reverts: usual.failed_sync_reverts, ..now.clone() },
        Settings { short_writes: usual.short_writes, ..now.clone() },
        Settings { mapped: usual.mapped, ..now.clone() },
        Settings { lz4: usual.lz4, ..now.clone() },
        Settings { memtable: usual.memtable, ..now.clone() },
        Settings { group_batches: usual.group_batches, ..now.clone() },
        Settings { level0_trigger: usual.level0_trigger, ..now.clone() },
        Settings { block_bytes: usual.block_bytes, ..now.clone() },
        Settings { filter_bits: usual.filter_bits, ..now.clone() },
        Settings { cache_bytes: usual.cache_bytes, ..now.clone() },
        Settings { manifest_edit_bytes: usual.manifest_edit_bytes, ..now.clone() },
        Settings { failing_call: None, ..now.clone() },
    ];
    // With fewer steps the same call has a smaller number.
    let earlier = now.failing_call.into_iter().flat_map(|call| {
        smaller(call.number, 0).into_iter().map(move |number| {
            let failing_call = Some(FailingCall { number, ..call });
            Settings { failing_call, ..now.clone() }
        })
    });
    let changed = candidates.into_iter().chain(earlier).filter(|settings| settings != now);
    changed.map(|settings| Script { settings, ..script.clone() }).collect()
}

/// The script with simpler steps in place of one.
fn simpler_steps(script: &Script, index: usize) -> Vec<Script> {
    let Some(step) = script.steps.get(index) else { return Vec::new() };
    let put = |step: Step| {
        let mut script = script.clone();
        script.steps[index] = step;
        script
    };
    simpler(step).into_iter().map(put).collect()
}

fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Write(batch) => simpler_batches(batch).into_iter().map(Step::Write).collect(),
        Step::Crowd(batches) => simpler_crowds(batches),
        Step::Update { key, batch, disturbed } => {
            let update = |batch| Step::Update { key: *key, batch, disturbed: *disturbed };
            let plain = Step::Write(batch.clone());
            std::iter::once(plain).chain(simpler_batches(batch).into_iter().map(update)).collect()
        }
        Step::Settle => vec![Step::Background(1)],
        Step::Background(steps) => smaller(u64::from(*steps), 1)
            .into_iter()
            .map(|steps| Step::Background(steps as u32))
            .collect(),
        Step::Compact => vec![Step::Flush],
        Step::CompactRange(..) => vec![Step::Flush, Step::Compact],
        Step::Kill(ops_back) => smaller(*ops_back, 0).into_iter().map(Step::Kill).collect(),
        Step::Cut(cut) => simpler_cuts(cut),
        Step::Fault(rule) => {
            let after = smaller(rule.after, 0);
            let step = |after| Step::Fault(FaultRule { after, ..rule.clone() });
            after.into_iter().map(step).collect()
        }
        Step::Device(rule) => {
            let later = |after| DeviceRule { after, ..rule.clone() };
            let narrower = |sectors| DeviceRule { sectors, ..rule.clone() };
            let rules = smaller(rule.after, 0).into_iter().map(later);
            let rules = rules.chain(smaller(rule.sectors, 1).into_iter().map(narrower));
            rules.map(Step::Device).collect()
        }
        Step::Capacity(bytes) => smaller(*bytes, 0).into_iter().map(Step::Capacity).collect(),
        _ => Vec::new(),
    }
}

fn simpler_crowds(batches: &[Batch]) -> Vec<Step> {
    let mut candidates: Vec<Step> = match batches {
        [batch] => vec![Step::Write(batch.clone())],
        _ => Vec::new(),
    };
    for index in 0..batches.len() {
        let mut fewer = batches.to_vec();
        fewer.remove(index);
        candidates.push(Step::Crowd(fewer));
        for batch in simpler_batches(&batches[index]) {
            let mut simpler = batches.to_vec();
            simpler[index] = batch;
            candidates.push(Step::Crowd(simpler));
        }
    }
    candidates
}

fn simpler_batches(batch: &Batch) -> Vec<Batch> {
    let mut candidates = Vec::new();
    for index in 0..batch.changes.len() {
        let mut fewer = batch.clone();
        fewer.changes.remove(index);
        candidates.push(fewer);
        if let Change::Put(key, len) = batch.changes[index] {
            for len in smaller(u64::from(len), 0) {
                let mut shorter = batch.clone();
                shorter.changes[index] = Change::Put(key, len as u32);
                candidates.push(shorter);
            }
        }
    }
    if batch.durability != Durability::Sync {
        candidates.push(Batch { durability: Durability::Sync, ..batch.clone() });
    }
    if batch.bare {
        candidates.push(Batch { bare: false, ..batch.clone() });
    }
    candidates
}

fn simpler_cuts(cut: &Cut) -> Vec<Step> {
    let mut candidates = Vec::new();
    if !matches!(cut.keeps, CrashChoice::None | CrashChoice::All) {
        let corners = [CrashChoice::None, CrashChoice::All].into_iter();
        let few = (0..8).flat_map(|at| [CrashChoice::Only(at), CrashChoice::AllBut(at)]);
        let is_corner = matches!(cut.keeps, CrashChoice::Only(_) | CrashChoice::AllBut(_));
        let choices: Vec<CrashChoice> =
            if is_corner { corners.collect() } else { corners.chain(few).collect() };
        candidates.extend(choices.into_iter().map(|keeps| Step::Cut(Cut { keeps, ..*cut })));
    }
    let nearer = smaller(cut.ops_back, 0).into_iter();
    candidates.extend(nearer.map(|ops_back| Step::Cut(Cut { ops_back, ..*cut })));
    candidates
}

/// Smaller numbers to try, the smallest first.
fn smaller(number: u64, least: u64) -> Vec<u64> {
    let mut candidates = vec![least, number / 2, number.saturating_sub(1)];
    candidates.retain(|&candidate| candidate >= least && candidate < number);
    candidates.dedup();
    candidates
}
