//! Simulated crashes of the kv engine.
//!
//! A [`Script`] is a history as data: settings of disk and engine, then steps.
//! [`run`] carries it out on a simulated disk, in one thread, and compares the
//! engine with a model after every step:
//!
//! ```
//! let script: kv_sim::Script = r#"
//! {"memtable":{"entries":3}}
//! {"write":{"durability":"sync","changes":[{"put":[1,100]},{"delete":2}]}}
//! {"cut":{"keeps":"none"}}
//! {"get":1}
//! "#.parse()?;
//! let run = kv_sim::run(&script)?;
//! assert_eq!(run.tally.opens, 2);
//!
//! // The same history, with the power cut at each of its ops.
//! let figures = kv_sim::cut_everywhere(&script, &kv_sim::Effort::ORDINARY)?;
//! assert!(figures.images > figures.ops);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it is not: a test of the real file system, or of threads.
//!
//! Invariants:
//! * The same script, or the same seed, gives the same ops of the disk.
//! * A failure carries the script that shows it, and the script is a file.
//! * A wrong engine ends a run; it never makes one hang.
#![forbid(unsafe_code)]

mod crash;
mod entry;
mod failing;
mod generate;
mod hunt;
mod keys;
mod log_damage;
mod model;
mod opening;
mod panics;
mod parallel;
mod parts;
mod patience;
mod random;
mod reading;
mod rot;
mod run;
mod script;
mod settings;
mod shrink;
mod state;
mod step;
mod tally;
mod trouble;
mod workloads;
mod world;
mod writing;

pub use crash::{Effort, Figures, cut_all, cut_everywhere};
pub use failing::{FailFigures, count_runs, fail_all, fail_everywhere, with_a_failing_call};
pub use generate::script_of;
pub use hunt::{
    Budget, SeedOutcome, hunt, hunt_scripts, negative_control, negative_control_of_cuts, run_seeds,
};
pub use rot::{RotFigures, rot, rot_all};
pub use run::{Failure, Run, run, run_with_log};
pub use script::Script;
pub use settings::{MemtableSize, Settings};
pub use shrink::{shrink, shrink_with};
pub use step::{Batch, Change, Cut, Direction, Step};
pub use tally::Tally;
pub use trouble::{DeviceEffect, DeviceRule, FailingCall, FaultRule};
pub use workloads::workloads;
