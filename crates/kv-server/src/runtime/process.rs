//! What the operating system says about this process. Nothing where there is
//! no `/proc`.

use std::fs::read_to_string;

/// The size of a page and the clock ticks per second that Linux reports with
/// on all its common platforms.
const PAGE_BYTES: u64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of the process that is in RAM, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// CPU time used so far in user code and in the kernel.
pub(crate) fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; field 3 follows it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? / TICKS_PER_SECOND, ticks(12)? / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_has_used_time() {
        assert!(resident_bytes().expect("linux has /proc") > 100_000);
        assert!(cpu_seconds().is_some());
    }
}
