//! The shape of the tree as text: a bar per level.

/// Longest bar, in characters.
const BAR_WIDTH: u64 = 36;

/// One level of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Level {
    pub(crate) level: u64,
    pub(crate) tables: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// Draws all levels down to the lowest one that holds a table.
pub(crate) fn draw(levels: &[Level]) -> String {
    let widest = levels.iter().map(|level| level.bytes).max().unwrap_or(0).max(1);
    let depth = levels.iter().rposition(|level| level.tables > 0).map_or(0, |last| last + 1);
    let mut lines = vec!["memory   (newest writes, also in wal.log)".to_owned()];
    for level in &levels[..depth] {
        let length = (level.bytes * BAR_WIDTH).div_ceil(widest) as usize;
        let bar = "█".repeat(length);
        lines.push(format!(
            "level {}  {bar:<width$}  {:>3} tables {:>10} {:>8} entries",
            level.level,
            level.tables,
            human_bytes(level.bytes),
            level.entries,
            width = BAR_WIDTH as usize,
        ));
    }
    lines.join("\n")
}

/// A size with a unit that keeps it below four digits.
pub(crate) fn human_bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if size < 1024.0 {
            let digits = usize::from(unit != "B");
            return format!("{size:.digits$} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::{Level, draw, human_bytes};

    #[test]
    fn bars_are_in_proportion_and_empty_levels_below_are_left_out() {
        let level = |level, tables, bytes| Level { level, tables, bytes, entries: bytes / 100 };
        let text = draw(&[level(0, 1, 1000), level(1, 0, 0), level(2, 4, 4000), level(3, 0, 0)]);
        let bars: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(bars, [0, 9, 0, 36]);
        assert!(text.ends_with("4 tables    3.9 KiB       40 entries"), "{text}");
    }

    #[test]
    fn sizes_have_a_fitting_unit() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")];
        for (bytes, expected) in cases {
            assert_eq!(human_bytes(bytes), expected);
        }
    }
}
