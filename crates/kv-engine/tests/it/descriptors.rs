//! File descriptors that are used up.

use std::sync::Arc;

use kv_engine::Engine;
use kv_env::{Env, Failure, Fault, FaultFs, Operation, SimDisk};

use crate::sample_run::{Progress, WRITES, assert_survives, states, while_work, write};
use crate::support::{contents, settle, tiny};

/// Descriptors that are used up are given back at some time: background work is
/// put off, nothing ends.
#[test]
fn every_file_that_is_opened_may_find_no_descriptor() {
    let states = states();
    for operation in [Operation::Create, Operation::Open] {
        for call in 0.. {
            let disk = SimDisk::new(5);
            let fs = FaultFs::new(disk.fs());
            let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
            let engine = Engine::open_in(env, tiny()).unwrap();
            let fault = Fault::new(Failure::TooManyOpenFiles).of(operation).after(call).times(1);
            fs.inject(fault);
            let before = fs.count(operation);
            let mut progress = Progress::default();
            for number in 1..=WRITES {
                write(&engine, number).unwrap();
                progress.begun = number;
                progress.acknowledged = number;
                while_work(&engine).unwrap();
                if number == 20 && engine.compact().is_err() {
                    engine.compact().unwrap();
                }
            }
            let what = format!("{operation:?} {call}");
            assert_eq!(contents(&engine), states[WRITES as usize], "{what}");
            assert!(!engine.stats().poisoned, "{what}");
            settle(&engine);
            assert_eq!(engine.stats().frozen_memtables, 0, "{what}: all is flushed");
            engine.close().unwrap();
            assert_survives(&disk, &states, &progress, &what);
            if fs.count(operation) - before <= call {
                assert!(call > 5, "{what}");
                break;
            }
        }
    }
}
