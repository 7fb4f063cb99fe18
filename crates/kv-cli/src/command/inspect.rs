//! Figures, shape and soundness of a database.

use std::path::Path;

use kv_engine::{
    Basis, LevelStats, ManifestState, Problem, RecoveryReport, Stats, VerifyReport,
    manifest_tables, verify_directory,
};
use kv_env::Env;
use serde::Serialize;

use crate::command::{note_findings, open, open_to_read};
use crate::escape::escape;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Figures {
    stats: Stats,
    recovery: RecoveryReport,
}

pub(crate) fn stats(dir: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let engine = open(dir)?;
    let figures = Figures { stats: engine.stats(), recovery: engine.recovery_report().clone() };
    output.record(&figures, |figures| {
        let stats = serde_json::to_value(&figures.stats).unwrap_or_default();
        let lines = stats.as_object().into_iter().flatten();
        let lines: Vec<String> = lines.map(|(name, value)| format!("{name:<26} {value}")).collect();
        format!("{:#}\n{}", figures.recovery, lines.join("\n"))
    })?;
    engine.close()?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct TableLine {
    level: u32,
    file: String,
    bytes: u64,
    entries: u64,
    deletes: u64,
    smallest_key: String,
    largest_key: String,
}

#[derive(Serialize)]
struct Levels {
    levels: Vec<LevelStats>,
    tables: Vec<TableLine>,
}

pub(crate) fn levels(dir: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let engine = open(dir)?;
    note_findings(&engine, output);
    let (levels, shape) = (engine.levels(), engine.shape());
    engine.close()?;
    let tables = manifest_tables(&Env::real(dir, false)?)?;
    let tables = tables.into_iter().map(|(level, meta)| TableLine {
        level,
        file: meta.file_name(),
        bytes: meta.file_bytes,
        entries: meta.entries,
        deletes: meta.deletes,
        smallest_key: escape(&meta.smallest_key),
        largest_key: escape(&meta.largest_key),
    });
    output.record(&Levels { levels, tables: tables.collect() }, |report| {
        let mut text = shape;
        for table in &report.tables {
            text.push_str(&format!(
                "L{} {} {} bytes, {} entries ({} deletes), {} to {}\n",
                table.level,
                table.file,
                table.bytes,
                table.entries,
                table.deletes,
                table.smallest_key,
                table.largest_key
            ));
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn verify(dir: &Path, deep: bool, output: &mut Output) -> Result<Outcome, Failure> {
    let report = verify_directory(&open_to_read(dir)?, deep)?;
    output.summed_up(&report, |report| verify_text(report, dir))?;
    Ok(if report.problems.is_empty() { Outcome::Done } else { Outcome::CheckFailed })
}

/// A line for the manifest, for each file and each problem, and the summary.
fn verify_text(report: &VerifyReport, dir: &Path) -> String {
    let manifest = &report.manifest;
    let mut lines = vec![match report.manifest_state {
        ManifestState::Whole => format!("manifest {manifest}"),
        ManifestState::Partial => format!(
            "manifest {manifest} is DAMAGED: its intact edits count, and what they do not \
             name is judged by the file alone"
        ),
        ManifestState::Lost => {
            "NO MANIFEST can be read: every file is judged by itself alone".into()
        }
    }];
    for file in &report.files {
        let torn = match file.torn_bytes {
            0 => String::new(),
            bytes => format!(", {bytes} bytes of an incomplete write behind them"),
        };
        let basis = match file.judged_by {
            Basis::Manifest => "",
            Basis::FileAlone => ", by the file alone",
        };
        let stamps = match file.damaged_stamps {
            0 => String::new(),
            count => {
                format!(", {count} frame stamps are damaged, nothing is lost, but check the device")
            }
        };
        lines.push(format!("ok {}: {} items{torn}{basis}{stamps}", file.name, file.items));
    }
    let fate = match report.manifest_state {
        ManifestState::Whole => "an open removes it",
        _ => "no longer part of the tree, as the manifest says",
    };
    lines.extend(report.unused.iter().map(|name| format!("unused {name}: {fate}")));
    lines.extend(report.foreign.iter().map(|name| format!("foreign {name}: left alone")));
    lines.extend(report.problems.iter().map(|problem| {
        let bytes = problem.bytes.map_or(String::new(), |bytes| format!(" ({bytes} bytes)"));
        let Problem { file, what, advice, .. } = problem;
        format!("PROBLEM {file}: {what}{bytes}; {advice}")
    }));
    lines.push(match report.problems.len() {
        0 => format!("{} files are sound", report.files.len()),
        count => format!(
            "{count} problem{}; restore the files from a backup, \
             or salvage the rest with kv repair {} --to NEW",
            if count == 1 { "" } else { "s" },
            dir.display()
        ),
    });
    lines.join("\n")
}
