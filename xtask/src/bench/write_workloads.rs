//! Workloads that write: fills, overwrite, durable.

use kv_engine::{Durability, Engine};

use super::dataset::{KeyOrder, Random};
use super::measure::{self, Recorder};
use super::row::{CostMeter, Row};
use super::session::{LOADED, Session};
use crate::failure::Outcome;
use crate::machine;

/// Distance between the first keys of two durable writers: more than one can
/// write in the time.
const WRITER_STRIDE: u64 = 1 << 40;

/// Rising keys into an empty database.
pub(crate) fn fill_seq(session: &mut Session<'_>) -> Outcome {
    let engine = fill(session, "fillseq", "fillseq", KeyOrder::Rising)?;
    session.discard("fillseq", engine)
}

/// Random keys into an empty database, which the read workloads then use.
pub(crate) fn fill_random(session: &mut Session<'_>) -> Outcome {
    session.discard_loaded()?;
    let engine = fill(session, "fillrandom", LOADED, KeyOrder::Random)?;
    session.keep(engine);
    Ok(())
}

fn fill(session: &mut Session<'_>, workload: &str, name: &str, order: KeyOrder) -> Outcome<Engine> {
    let count = session.options.count;
    machine::reset_peak_memory();
    let engine = session.open(name, session.options.durability.into())?;
    let meter = CostMeter::start(&engine);
    let measurement = session.fill(&engine, order)?;
    let cost = session.cost(name, &engine, &meter, count, count)?;
    session.verify(&engine, order, count)?;
    session.rows.push(Row::new(workload, durability_name(session), &measurement, Some(cost)));
    Ok(engine)
}

/// Entries of the loaded database, chosen evenly, get a new value.
pub(crate) fn overwrite(session: &mut Session<'_>) -> Outcome {
    let engine = session.loaded()?;
    let count = session.options.count;
    let share = count / session.options.threads as u64;
    machine::reset_peak_memory();
    let meter = CostMeter::start(&engine);
    let measurement =
        measure::run(session.options.threads, session.limit(), |thread, recorder| {
            overwrite_entries(session, &engine, thread as u64, recorder, |done| done >= share)
        })?;
    let cost = session.cost(LOADED, &engine, &meter, measurement.operations, count)?;
    session.verify(&engine, KeyOrder::Random, count)?;
    session.rows.push(Row::new("overwrite", durability_name(session), &measurement, Some(cost)));
    Ok(())
}

/// Overwrites entries until the time is over or `is_enough` says so.
pub(crate) fn overwrite_entries(
    session: &Session<'_>,
    engine: &Engine,
    seed: u64,
    recorder: &mut Recorder,
    is_enough: impl Fn(u64) -> bool,
) -> Outcome {
    let mut random = Random::new(seed.wrapping_add(0x0e11));
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let number = random.below(session.options.count);
        session.dataset.key(KeyOrder::Random, number, &mut key);
        session.dataset.value(number, recorder.operations() + 1, &mut value);
        engine.put(&key, &value)?;
        if !recorder.record() || is_enough(recorder.operations()) {
            return session.interrupt.check();
        }
    }
}

/// New keys, each acknowledged after fdatasync, by several numbers of writers.
pub(crate) fn durable(session: &mut Session<'_>) -> Outcome {
    for &writers in &session.options.writers {
        session.interrupt.check()?;
        let name = format!("durable{writers}");
        machine::reset_peak_memory();
        let engine = session.open(&name, Durability::Sync)?;
        let meter = CostMeter::start(&engine);
        let measurement = measure::run(writers, session.limit(), |thread, recorder| {
            durable_writer(session, &engine, thread as u64, recorder)
        })?;
        let writes = measurement.operations;
        let cost = session.cost(&name, &engine, &meter, writes, writes)?;
        let row = Row::new("durable", "sync", &measurement, Some(cost));
        verify_after_reopen(session, &name, engine, writers as u64)?;
        session.rows.push(row);
    }
    Ok(())
}

fn durable_writer(
    session: &Session<'_>,
    engine: &Engine,
    thread: u64,
    recorder: &mut Recorder,
) -> Outcome {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let number = thread * WRITER_STRIDE + recorder.operations();
        session.dataset.key(KeyOrder::Random, number, &mut key);
        session.dataset.value(number, 0, &mut value);
        engine.put(&key, &value)?;
        if !recorder.record() || session.interrupt.is_requested() {
            return session.interrupt.check();
        }
    }
}

/// Every writer's first writes are there after a restart.
fn verify_after_reopen(session: &Session<'_>, name: &str, engine: Engine, writers: u64) -> Outcome {
    engine.close()?;
    drop(engine);
    let engine = session.open(name, Durability::Sync)?;
    let mut key = Vec::new();
    for writer in 0..writers {
        session.verify_one(&engine, KeyOrder::Random, writer * WRITER_STRIDE, &mut key)?;
    }
    session.discard(name, engine)
}

/// The durability asked for, as the results name it.
pub(crate) fn durability_name(session: &Session<'_>) -> &'static str {
    match session.options.durability.into() {
        Durability::Sync => "sync",
        Durability::Interval => "interval",
        Durability::Os => "os",
    }
}
