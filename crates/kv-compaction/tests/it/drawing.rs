//! Trees as text, so that a test shows the shape it is about.
//!
//! One line per level, tables as `id:first-last:bytes`, and `:deletes` of 100
//! entries where there are any:
//!
//! ```text
//! L0 12:a-m:10 11:c-z:10
//! L1 5:a-f:100 6:g-z:100:40
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_compaction::{Plan, Policy, TableMeta, TableOrigin, Version, VersionEdit};
use kv_core::SeqNo;

/// A policy in which the sizes of drawings mean something: level 1 holds 100
/// bytes, level 2 1000, a table 50.
pub(crate) fn policy() -> Policy {
    Policy { level_base_bytes: 100, table_bytes: 50, ..Policy::default() }
}

/// A table of 100 entries with sequence numbers `100 * id` and up.
pub(crate) fn table(id: u64, first: &str, last: &str, file_bytes: u64) -> TableMeta {
    TableMeta {
        id,
        run: id,
        origin: TableOrigin::Flush,
        file_uid: [0; 16],
        file_bytes,
        checksum: 0,
        entries: 100,
        deletes: 0,
        smallest_key: first.into(),
        largest_key: last.into(),
        smallest_seqno: SeqNo(100 * id),
        largest_seqno: SeqNo(100 * id + 99),
        slice: None,
        properties: BTreeMap::new(),
    }
}

/// The tree that is drawn.
pub(crate) fn tree(drawing: &str) -> Version<TableMeta> {
    let mut edit = VersionEdit::default();
    for line in drawing.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let level = words.next().unwrap().strip_prefix('L').unwrap().parse().unwrap();
        edit.added.extend(words.map(|word| (level, parse_table(word))));
    }
    apply(&Version::new(), &edit)
}

fn parse_table(word: &str) -> TableMeta {
    let fields: Vec<&str> = word.split(':').collect();
    let (first, last) = fields[1].split_once('-').unwrap();
    let mut meta = table(fields[0].parse().unwrap(), first, last, fields[2].parse().unwrap());
    meta.deletes = fields.get(3).map_or(0, |deletes| deletes.parse().unwrap());
    meta
}

/// The drawing of a tree.
pub(crate) fn draw(version: &Version<TableMeta>) -> String {
    let mut drawing = String::new();
    for (level, tables) in version.levels().iter().enumerate() {
        if tables.is_empty() {
            continue;
        }
        drawing.push_str(&format!("L{level}"));
        for meta in tables.iter() {
            let (first, last) = (meta.smallest_key.escape_ascii(), meta.largest_key.escape_ascii());
            drawing.push_str(&format!(" {}:{first}-{last}:{}", meta.id, meta.file_bytes));
            if meta.deletes > 0 {
                drawing.push_str(&format!(":{}", meta.deletes));
            }
        }
        drawing.push('\n');
    }
    drawing
}

/// Applies an edit that must be possible.
pub(crate) fn apply(version: &Version<TableMeta>, edit: &VersionEdit) -> Version<TableMeta> {
    version.apply(edit, |meta| Ok(Arc::new(meta.clone()))).unwrap()
}

/// The tree after a plan, as if its rewrite had written the inputs unchanged
/// into tables of about `table_bytes`; deletes go where the plan allows it for
/// the whole span. New tables have the ids from `next_id` on.
pub(crate) fn carry_out(
    version: &Version<TableMeta>,
    plan: &Plan,
    policy: &Policy,
    next_id: &mut u64,
) -> Version<TableMeta> {
    let groups = plan.input_tables(version).unwrap();
    let inputs: Vec<&TableMeta> =
        groups.iter().flat_map(|(_, tables)| tables).map(|table| &**table).collect();
    if plan.trivial_move {
        return apply(version, &plan.edit(inputs.into_iter().cloned()));
    }
    let entries: u64 = inputs.iter().map(|meta| meta.entries).sum();
    let deletes: u64 = inputs.iter().map(|meta| meta.deletes).sum();
    let kept_deletes = if plan.below.is_nothing() { 0 } else { deletes };
    let kept = entries - deletes + kept_deletes;
    if kept == 0 {
        return apply(version, &plan.edit([]));
    }
    // The inputs' own bounds are where outputs are cut: bounds that exist.
    let mut firsts: Vec<&Vec<u8>> = inputs.iter().map(|meta| &meta.smallest_key).collect();
    firsts.sort();
    firsts.dedup();
    let wanted = (plan.input_bytes / policy.table_bytes).clamp(1, firsts.len() as u64) as usize;
    let starts: Vec<&Vec<u8>> =
        firsts.iter().step_by(firsts.len().div_ceil(wanted)).copied().collect();
    let run = *next_id;
    let outputs = starts.iter().enumerate().map(|(index, first)| {
        let largest_key = match starts.get(index + 1) {
            // The key before the next start, as far as short keys allow.
            Some(next) => just_before(next),
            None => plan.span.largest.clone(),
        };
        let share = starts.len() as u64;
        let id = *next_id;
        *next_id += 1;
        TableMeta {
            id,
            run,
            origin: TableOrigin::Compaction,
            file_bytes: (plan.input_bytes / share).max(1),
            entries: (kept / share).max(1),
            deletes: kept_deletes / share,
            smallest_key: first.to_vec(),
            largest_key: largest_key.max(first.to_vec()),
            smallest_seqno: inputs.iter().map(|meta| meta.smallest_seqno).min().unwrap(),
            largest_seqno: inputs.iter().map(|meta| meta.largest_seqno).max().unwrap(),
            ..table(0, "", "", 0)
        }
    });
    let outputs: Vec<TableMeta> = outputs.collect();
    apply(version, &plan.edit(outputs))
}

/// A key directly before `key`, which is not empty.
fn just_before(key: &[u8]) -> Vec<u8> {
    let mut before = key.to_vec();
    match before.pop() {
        Some(0) | None => before,
        Some(byte) => {
            before.extend([byte - 1, 0xff]);
            before
        }
    }
}
