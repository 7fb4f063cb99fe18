//! The shape of a tree, drawn for people.

use std::fmt::Write;

use crate::table_meta::TableRef;
use crate::version::Version;

/// Width of the longest bar, in characters.
const BAR_WIDTH: u64 = 40;

/// One line per level down to the deepest in use: number of tables, size, and
/// a bar in proportion to the largest level.
///
/// ```text
/// L0      3 tables     12.0 MiB  ##
/// L1      4 tables    230.1 MiB  ########################################
/// ```
pub fn shape_text<T: TableRef>(version: &Version<T>) -> String {
    let deepest = version.deepest_level().unwrap_or(0);
    let largest = (0..=deepest).map(|level| version.level_bytes(level)).max().unwrap_or(0);
    let mut text = String::new();
    for (level, tables) in version.levels().iter().enumerate().take(deepest + 1) {
        let bytes = version.level_bytes(level);
        let count = tables.len();
        let noun = if count == 1 { "table " } else { "tables" };
        let size = human_size(bytes);
        let line = format!("L{level} {count:>6} {noun} {size:>12}  {}", bar(bytes, largest));
        writeln!(text, "{}", line.trim_end()).expect("a string takes any text");
    }
    text
}

/// A bar of at least one mark for a level that holds anything.
fn bar(bytes: u64, largest: u64) -> String {
    if bytes == 0 {
        return String::new();
    }
    let marks = u128::from(bytes) * u128::from(BAR_WIDTH) / u128::from(largest);
    "#".repeat(marks.max(1) as usize)
}

fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut size = bytes as f64 / 1024.0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}
