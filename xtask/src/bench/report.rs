//! The results on the screen and as JSON.

use std::path::Path;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::options::BenchOptions;
use super::row::Row;
use crate::failure::{Context, Failure, Outcome};
use crate::machine::{Machine, MachineLoad};

/// Format of the JSON file; raised when a field changes its meaning.
const RESULTS_VERSION: u32 = 1;

/// Everything that is needed to judge and to repeat a run.
#[derive(Debug, Serialize)]
pub(crate) struct Results<'a> {
    results_version: u32,
    machine: &'a Machine,
    load_before: &'a MachineLoad,
    load_after: &'a MachineLoad,
    options: &'a BenchOptions,
    rows: &'a [Row],
}

impl<'a> Results<'a> {
    pub(crate) fn new(
        machine: &'a Machine,
        load_before: &'a MachineLoad,
        load_after: &'a MachineLoad,
        options: &'a BenchOptions,
        rows: &'a [Row],
    ) -> Results<'a> {
        let results_version = RESULTS_VERSION;
        Results { results_version, machine, load_before, load_after, options, rows }
    }

    /// Writes the JSON file.
    #[allow(clippy::disallowed_methods, reason = "a benchmark writes its own results")]
    pub(crate) fn write(&self, file: &Path) -> Outcome {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::check(format!("results: {error}")))?;
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory).context(directory.display())?;
        }
        std::fs::write(file, text + "\n").context(file.display())
    }
}

/// The table on the screen.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "workload",
        "threads",
        "durability",
        "ops/s",
        "ns/op",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "p99.99 µs",
        "max µs",
        "WA",
        "SA",
        "fdatasyncs",
        "peak MiB",
    ]);
    for row in rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn cells(row: &Row) -> Vec<String> {
    let latency = &row.latency;
    let microseconds = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
    let of_cost = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        row.workload.clone(),
        row.threads.to_string(),
        row.durability.into(),
        format!("{:.0}", row.operations_per_second),
        format!("{:.0}", row.ns_per_operation),
        microseconds(latency.p50_ns),
        microseconds(latency.p99_ns),
        microseconds(latency.p99_9_ns),
        microseconds(latency.p99_99_ns),
        microseconds(latency.max_ns),
        of_cost(row.cost.map(|cost| format!("{:.2}", cost.write_amplification))),
        of_cost(row.cost.map(|cost| format!("{:.2}", cost.space_amplification))),
        of_cost(row.cost.map(|cost| cost.fdatasyncs.to_string())),
        (row.peak_memory_bytes >> 20).to_string(),
    ]
}
