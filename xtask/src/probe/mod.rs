//! The disk probe: what one durable write costs here, and what disturbs it.
//!
//! Its figures decide design questions: whether segments are written ahead,
//! in which scheduling class the background runs, how often it syncs.

mod neighbours;
mod sync_leg;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use hdrhistogram::Histogram;

use self::neighbours::Neighbours;
use self::sync_leg::Preparation;
use crate::failure::{Context, Outcome};
use crate::interrupt::Interrupt;
use crate::machine::{Machine, MachineLoad};

/// Options of the probe.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProbeOptions {
    /// Directory on the disk to probe
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Time of each leg, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

/// One thing to measure.
struct Leg {
    name: &'static str,
    preparation: Preparation,
    write_bytes: usize,
    neighbours: Neighbours,
}

const fn leg(name: &'static str, preparation: Preparation, write_bytes: usize) -> Leg {
    Leg { name, preparation, write_bytes, neighbours: Neighbours::None }
}

const fn beside(name: &'static str, neighbours: Neighbours) -> Leg {
    Leg { name, preparation: Preparation::Prewritten, write_bytes: 4 << 10, neighbours }
}

const LEGS: [Leg; 11] = [
    leg("append 4 KiB", Preparation::Append, 4 << 10),
    leg("fallocate, 4 KiB", Preparation::Fallocate, 4 << 10),
    leg("prewritten, 4 KiB", Preparation::Prewritten, 4 << 10),
    leg("prewritten, 64 KiB", Preparation::Prewritten, 64 << 10),
    leg("prewritten, 256 KiB", Preparation::Prewritten, 256 << 10),
    leg("prewritten, 1 MiB", Preparation::Prewritten, 1 << 20),
    beside("beside busy threads", Neighbours::Busy),
    beside("beside idle-class threads", Neighbours::Idle),
    beside("beside 100 MB/s, never synced", Neighbours::Writer { sync_every_bytes: 0 }),
    beside("beside 100 MB/s, synced per 1 MiB", Neighbours::Writer { sync_every_bytes: 1 << 20 }),
    beside("beside 100 MB/s, synced per 8 MiB", Neighbours::Writer { sync_every_bytes: 8 << 20 }),
];

/// `cargo xtask probe`.
pub(crate) fn run(options: &ProbeOptions) -> Outcome {
    let interrupt = Interrupt::install()?;
    let directory = tempfile::Builder::new()
        .prefix(".kv-probe-")
        .tempdir_in(&options.directory)
        .context(options.directory.display())?;
    Machine::describe(directory.path()).print();
    MachineLoad::read().print();
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "write + fdatasync",
        "p50 µs",
        "p90 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
        "syncs/s",
    ]);
    for leg in &LEGS {
        println!("{} …", leg.name);
        let duration = Duration::from_secs(options.seconds);
        let took_ns = neighbours::beside(leg.neighbours, directory.path(), || {
            sync_leg::run(directory.path(), leg.preparation, leg.write_bytes, duration, &interrupt)
        })?;
        table.add_row(cells(leg.name, &took_ns));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{table}");
    Ok(())
}

fn cells(name: &str, took_ns: &Histogram<u64>) -> Vec<String> {
    let quantiles = [0.5, 0.9, 0.99, 0.999, 1.0];
    let microseconds = quantiles
        .map(|quantile| format!("{:.0}", took_ns.value_at_quantile(quantile) as f64 / 1e3));
    let per_second = format!("{:.0}", 1e9 / took_ns.mean().max(1.0));
    [name.to_owned()].into_iter().chain(microseconds).chain([per_second]).collect()
}
