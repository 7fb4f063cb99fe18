//! The benchmark of the engine.
//!
//! Method: closed loop; one clock reading per operation; every database fresh;
//! what was written is read back and compared, or the run fails; write
//! amplification from the kernel's count of bytes sent to the device, after
//! compaction has finished; space amplification from blocks on disk. The load
//! of the machine is printed and stored with the figures.

mod dataset;
mod measure;
mod options;
mod plots;
mod read_workloads;
mod reopen;
mod report;
mod row;
mod session;
mod write_workloads;

use std::path::{Path, PathBuf};

use self::options::Workload;
use self::report::Results;
use self::session::Session;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::machine::{Machine, MachineLoad};
use crate::workspace::source_root;

pub(crate) use self::options::BenchOptions;

/// `cargo xtask bench`.
pub(crate) fn run(options: &BenchOptions) -> Outcome {
    if cfg!(debug_assertions) {
        return Err(Failure::usage(
            "this is a debug build, whose figures mean nothing: run `cargo xtask bench`, \
             which builds for release",
        ));
    }
    options.validate()?;
    let interrupt = Interrupt::install()?;
    let output = source_root().join("target/bench");
    let parent = options.directory.clone().unwrap_or_else(|| output.clone());
    // Removed when it goes out of scope, also after a failure or Ctrl-C.
    let directory = fresh_directory(&parent)?;
    let machine = Machine::describe(directory.path());
    let load_before = MachineLoad::read();
    machine.print();
    load_before.print();
    let mut session = Session::new(options, directory.path(), interrupt);
    for workload in options.chosen() {
        let done = session.rows.len();
        println!("{workload:?} …");
        run_workload(workload, &mut session)?;
        for row in &session.rows[done..] {
            println!("  {}: {:.0} operations/s", row.workload, row.operations_per_second);
        }
    }
    let load_after = MachineLoad::read();
    println!("\n{}", report::table(&session.rows));
    println!(
        "WA, SA: write and space amplification once compaction had finished; peak: resident memory, mapped tables included"
    );
    for line in session.rows.iter().filter_map(row::Row::beside_the_original) {
        println!("\n{line}");
    }
    let json = options.json.clone().unwrap_or_else(|| output.join("results.json"));
    Results::new(&machine, &load_before, &load_after, options, &session.rows).write(&json)?;
    println!("\nresults: {}", json.display());
    let beside = json.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    for plot in plots::draw(&session.rows, options.plots.as_ref().unwrap_or(&beside))? {
        println!("plot:    {}", plot.display());
    }
    Ok(())
}

fn run_workload(workload: Workload, session: &mut Session<'_>) -> Outcome {
    match workload {
        Workload::FillSeq => write_workloads::fill_seq(session),
        Workload::FillRandom => write_workloads::fill_random(session),
        Workload::Durable => write_workloads::durable(session),
        Workload::ReadRandom => read_workloads::read_random(session),
        Workload::ReadMissing => read_workloads::read_missing(session),
        Workload::ReadWhileWriting => read_workloads::read_while_writing(session),
        Workload::Scan => read_workloads::scan(session),
        Workload::Overwrite => write_workloads::overwrite(session),
        Workload::Reopen => reopen::reopen(session),
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark creates its own directory")]
fn fresh_directory(parent: &Path) -> Outcome<tempfile::TempDir> {
    std::fs::create_dir_all(parent).context(parent.display())?;
    tempfile::Builder::new().prefix("databases-").tempdir_in(parent).context(parent.display())
}
