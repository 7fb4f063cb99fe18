//! Workloads that read: gets of present and missing keys, gets beside a
//! writer, scans.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kv_engine::{Engine, KeyRange, Scan};

use super::dataset::{KeyOrder, Random};
use super::measure::{self, Recorder};
use super::row::{CostMeter, Row};
use super::session::{LOADED, Session};
use super::write_workloads::{durability_name, overwrite_entries};
use crate::failure::{Failure, Outcome};
use crate::machine;

/// Entries of a short scan.
const SHORT_SCAN: usize = 100;
/// Entries of a full scan between two readings of the clock.
const SCAN_STRIDE: u64 = 1000;

/// Gets of keys that exist; every value is checked.
pub(crate) fn read_random(session: &mut Session<'_>) -> Outcome {
    let engine = session.loaded()?;
    let share = session.options.count / session.options.threads as u64;
    machine::reset_peak_memory();
    let measurement =
        measure::run(session.options.threads, session.limit(), |thread, recorder| {
            get_entries(session, &engine, thread as u64, recorder, |done| done >= share)
        })?;
    session.rows.push(Row::new("readrandom", "-", &measurement, None));
    Ok(())
}

/// Gets of keys that were never written.
pub(crate) fn read_missing(session: &mut Session<'_>) -> Outcome {
    let engine = session.loaded()?;
    let count = session.options.count;
    let share = count / session.options.threads as u64;
    machine::reset_peak_memory();
    let measurement =
        measure::run(session.options.threads, session.limit(), |thread, recorder| {
            let mut random = Random::new(thread as u64);
            let mut key = Vec::new();
            loop {
                // Entries from `count` on do not exist; their keys lie among the
                // others.
                session.dataset.key(KeyOrder::Random, count + random.below(count), &mut key);
                if engine.get(&key)?.is_some() {
                    return Err(Failure::check("a key that was never written has a value"));
                }
                if !recorder.record() || recorder.operations() >= share {
                    return session.interrupt.check();
                }
            }
        })?;
    session.rows.push(Row::new("readmissing", "-", &measurement, None));
    Ok(())
}

/// Gets for the whole time, beside one writer that overwrites without rest.
pub(crate) fn read_while_writing(session: &mut Session<'_>) -> Outcome {
    let engine = session.loaded()?;
    let count = session.options.count;
    machine::reset_peak_memory();
    let meter = CostMeter::start(&engine);
    let over = AtomicBool::new(false);
    let is_over = |_| over.load(Ordering::Relaxed);
    let (reads, writes) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            measure::run(1, None, |_, recorder| {
                overwrite_entries(session, &engine, 1 << 32, recorder, is_over)
            })
        });
        let reads = measure::run(session.options.threads, session.limit(), |thread, recorder| {
            get_entries(session, &engine, thread as u64, recorder, |_| false)
        });
        over.store(true, Ordering::Relaxed);
        (reads, writer.join().expect("the writer does not panic"))
    });
    let (reads, writes) = (reads?, writes?);
    let cost = session.cost(LOADED, &engine, &meter, writes.operations, count)?;
    session.verify(&engine, KeyOrder::Random, count)?;
    session.rows.push(Row::new("readwhilewriting: reads", "-", &reads, None));
    let durability = durability_name(session);
    session.rows.push(Row::new("readwhilewriting: writes", durability, &writes, Some(cost)));
    Ok(())
}

fn get_entries(
    session: &Session<'_>,
    engine: &Engine,
    seed: u64,
    recorder: &mut Recorder,
    is_enough: impl Fn(u64) -> bool,
) -> Outcome {
    let mut random = Random::new(seed);
    let mut key = Vec::new();
    loop {
        session.verify_one(
            engine,
            KeyOrder::Random,
            random.below(session.options.count),
            &mut key,
        )?;
        if !recorder.record() || is_enough(recorder.operations()) {
            return session.interrupt.check();
        }
    }
}

/// The whole database in order, then seeks with a hundred entries each.
pub(crate) fn scan(session: &mut Session<'_>) -> Outcome {
    let engine = session.loaded()?;
    let count = session.options.count;
    machine::reset_peak_memory();
    let full = measure::run(1, None, |_, recorder| {
        let entries = scan_all(session, engine.scan(KeyRange::all())?, recorder)?;
        if entries == count {
            return Ok(());
        }
        Err(Failure::check(format!("the scan found {entries} entries of {count}: figures void")))
    })?;
    session.rows.push(Row::new("scan: entries in order", "-", &full, None));
    let found = Mutex::new(0_u64);
    let share = (count / SHORT_SCAN as u64).max(1);
    let short = measure::run(session.options.threads, session.limit(), |thread, recorder| {
        let mut random = Random::new(thread as u64);
        let mut key = Vec::new();
        loop {
            session.dataset.key(KeyOrder::Random, random.below(count), &mut key);
            let entries = scan_some(engine.scan(KeyRange::from_bounds(key.as_slice()..))?)?;
            *found.lock().expect("no scanner panics") += entries;
            if !recorder.record() || recorder.operations() >= share {
                return session.interrupt.check();
            }
        }
    })?;
    if *found.lock().expect("no scanner panics") == 0 {
        return Err(Failure::check("scans from keys that exist found nothing: figures void"));
    }
    session.rows.push(Row::new("scan: seek and 100", "-", &short, None));
    Ok(())
}

fn scan_all(session: &Session<'_>, mut scan: Scan, recorder: &mut Recorder) -> Outcome<u64> {
    let mut entries = 0;
    let mut last_key = Vec::new();
    while scan.advance()? {
        if entries > 0 && scan.key() <= last_key.as_slice() {
            return Err(Failure::check("the scan is out of order: figures void"));
        }
        last_key.clear();
        last_key.extend_from_slice(scan.key());
        std::hint::black_box(scan.value());
        entries += 1;
        if entries % SCAN_STRIDE == 0 {
            recorder.record_many(SCAN_STRIDE);
            session.interrupt.check()?;
        }
    }
    recorder.record_many(entries % SCAN_STRIDE);
    Ok(entries)
}

fn scan_some(mut scan: Scan) -> Outcome<u64> {
    let mut entries = 0;
    while entries < SHORT_SCAN as u64 && scan.advance()? {
        std::hint::black_box((scan.key(), scan.value()));
        entries += 1;
    }
    Ok(entries)
}
