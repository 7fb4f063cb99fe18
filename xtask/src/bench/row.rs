//! One line of the results, and the original's figures beside ours.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::measure::{Measurement, TIMELINE_STEP};
use crate::failure::Outcome;
use crate::machine;
use kv_engine::{Engine, Stats};

/// Figures that the original store reports for 20 concurrent durable writers.
pub(crate) const ORIGINAL_WRITERS: usize = 20;
pub(crate) const ORIGINAL_NS_PER_OPERATION: f64 = 211_507.0;
pub(crate) const ORIGINAL_P99_US: f64 = 12_024.0;
pub(crate) const ORIGINAL_OPERATIONS_PER_SECOND: f64 = 4_719.0;

/// What one workload came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) threads: usize,
    /// When its writes were acknowledged; `-` for reads.
    pub(crate) durability: &'static str,
    pub(crate) operations: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) operations_per_second: f64,
    /// Elapsed time by operations of all threads together.
    pub(crate) ns_per_operation: f64,
    pub(crate) latency: Latency,
    /// Slowest [`TIMELINE_STEP`], scaled to a second.
    pub(crate) slowest_step_operations_per_second: f64,
    /// Operations in each step of 100 ms.
    pub(crate) timeline: Vec<u64>,
    /// Steps of the percentile curve: share of operations, latency in ns.
    pub(crate) curve: Vec<(f64, u64)>,
    pub(crate) cost: Option<WriteCost>,
    pub(crate) peak_memory_bytes: u64,
}

/// Percentiles of one operation's time, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean_ns: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p90_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p99_9_ns: u64,
    pub(crate) p99_99_ns: u64,
    pub(crate) max_ns: u64,
}

/// What writing has cost the device, compactions included.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct WriteCost {
    pub(crate) user_bytes: u64,
    /// Bytes this process caused to be written to the device.
    pub(crate) device_bytes: u64,
    pub(crate) write_amplification: f64,
    /// Blocks of the database directory when everything had settled.
    pub(crate) disk_bytes: u64,
    /// Bytes of keys and values that can be read.
    pub(crate) live_bytes: u64,
    pub(crate) space_amplification: f64,
    /// `fdatasync` calls on the log for writers.
    pub(crate) fdatasyncs: u64,
    pub(crate) groups: u64,
    pub(crate) flushes: u64,
    pub(crate) compactions: u64,
    /// Times writers had to wait for a flush.
    pub(crate) stalls: u64,
    /// Time writers were slowed down for, in microseconds.
    pub(crate) paced_us: u64,
    /// From the last write to the end of flushing and compacting.
    pub(crate) settle_s: f64,
}

/// Counters at the beginning of a write workload.
pub(crate) struct CostMeter {
    device_bytes: u64,
    stats: Stats,
}

impl CostMeter {
    pub(crate) fn start(engine: &Engine) -> CostMeter {
        CostMeter { device_bytes: machine::device_written_bytes(), stats: engine.stats() }
    }

    /// The cost since the start, read once everything has settled.
    pub(crate) fn finish(&self, engine: &Engine, written: Written) -> Outcome<WriteCost> {
        let device_bytes = machine::device_written_bytes().saturating_sub(self.device_bytes);
        let (before, after) = (&self.stats, engine.stats());
        let ratio = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        Ok(WriteCost {
            user_bytes: written.user_bytes,
            device_bytes,
            write_amplification: ratio(device_bytes, written.user_bytes),
            disk_bytes: written.disk_bytes,
            live_bytes: written.live_bytes,
            space_amplification: ratio(written.disk_bytes, written.live_bytes),
            fdatasyncs: after.wal_syncs - before.wal_syncs,
            groups: after.groups - before.groups,
            flushes: after.flushes - before.flushes,
            compactions: after.compactions - before.compactions,
            stalls: after.stalls - before.stalls,
            paced_us: after.paced_us - before.paced_us,
            settle_s: written.settle_s,
        })
    }
}

/// What the workload knows of its own writes.
pub(crate) struct Written {
    pub(crate) user_bytes: u64,
    pub(crate) live_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) settle_s: f64,
}

impl Row {
    pub(crate) fn new(
        workload: impl Into<String>,
        durability: &'static str,
        measurement: &Measurement,
        cost: Option<WriteCost>,
    ) -> Row {
        // The last step is cut short by the end of the run.
        let whole_steps = measurement.timeline.len().saturating_sub(1);
        let slowest = measurement.timeline[..whole_steps].iter().min();
        let step_s = TIMELINE_STEP.as_secs_f64();
        let average = measurement.operations_per_second();
        Row {
            workload: workload.into(),
            threads: measurement.threads,
            durability,
            operations: measurement.operations,
            elapsed_s: measurement.elapsed.as_secs_f64(),
            operations_per_second: average,
            ns_per_operation: measurement.ns_per_operation(),
            latency: Latency::of(&measurement.latency_ns),
            slowest_step_operations_per_second: slowest
                .map_or(average, |&count| count as f64 / step_s),
            timeline: measurement.timeline.clone(),
            curve: curve(&measurement.latency_ns),
            cost,
            peak_memory_bytes: machine::peak_memory_bytes(),
        }
    }

    /// A line that sets ours beside the original's, for the row it reports.
    pub(crate) fn beside_the_original(&self) -> Option<String> {
        if !self.workload.starts_with("durable") || self.threads != ORIGINAL_WRITERS {
            return None;
        }
        let p99_us = self.latency.p99_ns as f64 / 1e3;
        Some(format!(
            "{ORIGINAL_WRITERS} durable writers   original: {ORIGINAL_NS_PER_OPERATION:>8.0} ns/op, \
             p99 {ORIGINAL_P99_US:>6.0} µs, {ORIGINAL_OPERATIONS_PER_SECOND:>7.0} writes/s\n\
             {:20}     ours: {:>8.0} ns/op, p99 {:>6.0} µs, {:>7.0} writes/s  ({:.1} times the rate)",
            "",
            self.ns_per_operation,
            p99_us,
            self.operations_per_second,
            self.operations_per_second / ORIGINAL_OPERATIONS_PER_SECOND,
        ))
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            mean_ns: histogram.mean(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p99_9_ns: histogram.value_at_quantile(0.999),
            p99_99_ns: histogram.value_at_quantile(0.9999),
            max_ns: histogram.max(),
        }
    }
}

/// Points of the percentile curve, denser towards the slow end.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let point = |point: &f64| (*point, histogram.value_at_quantile(*point));
    let nines = (0..=48).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 8.0));
    nines.collect::<Vec<f64>>().iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::Row;
    use crate::bench::measure;

    #[test]
    fn only_the_row_of_the_original_is_compared() {
        let row = |threads, name: &str| {
            let measurement = measure::run(threads, None, |_, recorder| {
                recorder.record();
                Ok(())
            });
            Row::new(name, "sync", &measurement.unwrap(), None)
        };
        assert!(row(20, "durable").beside_the_original().unwrap().contains("4719 writes/s"));
        assert_eq!(row(4, "durable").beside_the_original(), None);
        assert_eq!(row(20, "overwrite").beside_the_original(), None);
    }
}
