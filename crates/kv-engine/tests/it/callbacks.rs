//! Callbacks of submitted batches.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};

use kv_engine::{Durability, Engine, FlushSize, Options, WriteBatch};
use kv_env::SimDisk;

use crate::support::{open, tiny};

/// Deeper than any stack, if each were a call in the one before.
const CHAIN: u32 = 20_000;

fn batch(number: u32) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(&(number % 8).to_be_bytes(), b"value").unwrap();
    batch
}

fn roomy() -> Arc<Engine> {
    let options = Options { memtable_flush_size: FlushSize::Bytes(64 << 20), ..tiny() };
    Arc::new(open(&SimDisk::new(1), options))
}

/// A mended bug. Without threads a batch that was submitted by a callback was synced
/// and told of in the same stack.
#[test]
fn a_chain_of_batches_that_submit_each_other_needs_no_stack() {
    fn submit_from(number: u32, engine: &Arc<Engine>, done: mpsc::Sender<u32>) {
        let next = Arc::clone(engine);
        engine.submit(batch(number), Durability::Sync, move |outcome| {
            outcome.unwrap();
            match number {
                CHAIN => done.send(number).unwrap(),
                _ => submit_from(number + 1, &next, done),
            }
        });
    }
    let (done, finished) = mpsc::channel();
    submit_from(0, &roomy(), done);
    assert_eq!(finished.try_recv(), Ok(CHAIN));
}

/// Those that wait to be told are told all the same, each what is true of it.
#[test]
fn a_callback_that_panics_costs_no_other_its_answer() {
    let engine = roomy();
    let (answer, answers) = mpsc::channel();
    let inner = Arc::clone(&engine);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        engine.submit(batch(0), Durability::Sync, move |_| {
            for number in 1..=3 {
                let answer = answer.clone();
                inner.submit(batch(number), Durability::Sync, move |outcome| {
                    answer.send((number, outcome.is_ok())).unwrap();
                });
            }
            resume_unwind(Box::new("a callback panics"));
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    assert!(engine.stats().poisoned, "nobody knows what it left half done");
}
