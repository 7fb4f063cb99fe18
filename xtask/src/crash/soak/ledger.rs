//! The page of a soak: written anew whenever something is known, so that it
//! also tells of a soak that did not come to its end.
#![allow(clippy::disallowed_methods, reason = "a tool writes its report and measures time")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::schedule::Progress;
use crate::crash::report::{Report, add_remarks};
use crate::crash::shell;
use crate::failure::{Context, Outcome};
use crate::machine::{Machine, MachineLoad};
use crate::workspace::source_root;

/// What is done, and how much of it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    /// What is counted.
    pub(super) unit: &'static str,
    pub(super) progress: Progress,
    /// True if the target is "all there are", whose number nobody knows before.
    pub(super) is_all: bool,
    pub(super) seconds: f64,
    pub(super) violations: Vec<String>,
    /// Why it was skipped or left unfinished.
    pub(super) notices: Vec<String>,
    /// In figures and words.
    pub(super) remarks: Vec<String>,
    /// What a tool printed at its end.
    pub(super) printed: String,
    pub(super) acknowledged: u64,
    pub(super) keys_read: u64,
    pub(super) histories: u64,
}

/// Where the soak stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Running,
    Complete,
    Interrupted,
}

/// All rows, and the page that shows them.
pub(super) struct Ledger {
    path: PathBuf,
    head: String,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    rows: Vec<Row>,
    course: Course,
}

impl Row {
    pub(super) fn new(name: &str, unit: &'static str, target: u64) -> Row {
        Row {
            name: name.to_owned(),
            unit,
            progress: Progress { done: 0, target, is_closed: false },
            is_all: target == u64::MAX,
            seconds: 0.0,
            violations: Vec::new(),
            notices: Vec::new(),
            remarks: Vec::new(),
            printed: String::new(),
            acknowledged: 0,
            keys_read: 0,
            histories: 0,
        }
    }

    /// Nothing more is done of it; `notice` says why.
    pub(super) fn close(&mut self, notice: impl Into<String>) {
        self.progress.is_closed = true;
        self.notices.push(notice.into());
    }

    /// Adds a part of it that was carried out.
    pub(super) fn add(&mut self, report: Report) {
        self.progress.done += report.cycles;
        self.seconds += report.seconds;
        self.acknowledged += report.acknowledged;
        self.keys_read += report.keys_read;
        self.histories += report.histories;
        add_remarks(&mut self.remarks, report.remarks);
        self.violations.extend(report.violation.map(|violation| violation.to_string()));
    }

    /// What was to be done.
    pub(super) fn target(&self) -> String {
        if self.is_all { "all".into() } else { self.progress.target.to_string() }
    }
}

impl Ledger {
    /// Begins the page. `told` says what was asked for.
    pub(super) fn create(told: &str, rows: Vec<Row>) -> Outcome<Ledger> {
        let date = shell::run("date", &["-u", "+%Y-%m-%d %H:%M"])?;
        let load = MachineLoad::read();
        let Machine { cpu, cores, memory_bytes, kernel, commit, .. } =
            Machine::describe(&std::env::temp_dir());
        let head = format!(
            "# Soak of {date} UTC\n\nCommit {commit}; {cores} cores of {cpu}, {} GiB, kernel \
             {kernel}.\n{told}\nLoad average at the start: {}.\n",
            memory_bytes >> 30,
            load.load_average
        );
        let state = Mutex::new(State { rows, course: Course::Running });
        let path = free_path(&source_root().join("docs/soak"))?;
        let ledger = Ledger { path, head, started: Instant::now(), state };
        ledger.write(&ledger.lock())?;
        Ok(ledger)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn progress(&self) -> Vec<Progress> {
        self.lock().rows.iter().map(|row| row.progress).collect()
    }

    pub(super) fn row(&self, index: usize) -> Row {
        self.lock().rows[index].clone()
    }

    /// Changes a row and the page.
    pub(super) fn update(&self, index: usize, change: impl FnOnce(&mut Row)) -> Outcome {
        let mut state = self.lock();
        change(&mut state.rows[index]);
        self.write(&state)
    }

    /// The last word of the page; all violations.
    pub(super) fn conclude(&self, course: Course) -> Outcome<Vec<String>> {
        let mut state = self.lock();
        state.course = course;
        self.write(&state)?;
        Ok(state.rows.iter().flat_map(|row| row.violations.iter().cloned()).collect())
    }

    pub(super) fn minutes(&self) -> f64 {
        self.started.elapsed().as_secs_f64() / 60.0
    }

    pub(super) fn table(&self) -> String {
        table(&self.lock().rows)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// Puts the page in its place, whole.
    fn write(&self, state: &State) -> Outcome {
        let page = page(&self.head, state, self.minutes());
        let unfinished = self.path.with_extension("tmp");
        fs::write(&unfinished, page).context(unfinished.display())?;
        fs::rename(&unfinished, &self.path).context(self.path.display())
    }
}

/// A name of today that is not taken.
fn free_path(directory: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(directory).context(directory.display())?;
    let path = directory.join(shell::run("date", &["-u", "+%Y-%m-%d.md"])?);
    match path.exists() {
        false => Ok(path),
        true => Ok(directory.join(shell::run("date", &["-u", "+%Y-%m-%dT%H%M%SZ.md"])?)),
    }
}

fn page(head: &str, state: &State, minutes: f64) -> String {
    let State { rows, course } = state;
    let count: usize = rows.iter().map(|row| row.violations.len()).sum();
    let ending = match course {
        Course::Running => {
            "**It is still running, or was ended before it could say so.** So far it took"
        }
        Course::Complete => "It ran to its end, which took",
        Course::Interrupted => "**It was interrupted.** Until then it took",
    };
    let mut page = format!(
        "{head}\n{ending} {minutes:.0} minutes and found {count} violations.\n\n{}\n",
        table(rows)
    );
    for row in rows {
        // Writing to memory cannot fail.
        let _ = write!(page, "{}", details(row));
    }
    page
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["experiment", "done", "target", "unit", "violations", "seconds"]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            row.progress.done.to_string(),
            row.target(),
            row.unit.to_owned(),
            row.violations.len().to_string(),
            format!("{:.0}", row.seconds),
        ]);
    }
    table.trim_fmt()
}

/// The section of one experiment; nothing if there is nothing to say.
fn details(row: &Row) -> String {
    let mut text = String::new();
    if row.acknowledged + row.keys_read > 0 {
        let Row { acknowledged, keys_read, histories, .. } = row;
        text += &format!(
            "{acknowledged} acknowledged requests checked, {keys_read} keys read back, \
             {histories} histories of one key found linearizable.\n\n"
        );
    }
    for remark in &row.remarks {
        text += &format!("- {remark}\n");
    }
    for notice in &row.notices {
        text += &format!("- NOTICE: {notice}\n");
    }
    for violation in &row.violations {
        text += &format!("\nVIOLATION:\n\n{}\n", quote(violation));
    }
    if !row.printed.is_empty() {
        text += &format!("\n{}\n", quote(&row.printed));
    }
    match text.is_empty() {
        true => text,
        false => format!("\n## {}\n\n{}\n", row.name, text.trim()),
    }
}

/// What was printed, without the places of this machine.
fn quote(printed: &str) -> String {
    let printed = printed.replace(&*source_root().to_string_lossy(), ".");
    let places = std::env::temp_dir().join("");
    let printed = printed.replace(&*places.to_string_lossy(), "");
    format!("```text\n{}\n```", printed.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Course, Row, State, page};

    #[test]
    fn a_page_says_what_was_reached_and_whether_it_was_all() {
        let mut kill = Row::new("kill", "cycles", 50);
        kill.progress.done = 20;
        kill.violations.push("cycle 3: a key is gone".into());
        let mut calls = Row::new("syscalls", "faults", u64::MAX);
        calls.close("strace is not installed");
        let mut state = State { rows: vec![kill, calls], course: Course::Running };
        let text = page("# Soak\n", &state, 2.0);
        let row = text.lines().find(|line| line.contains("| kill")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1..6], ["kill", "20", "50", "cycles", "1"]);
        assert!(text.contains("| all "), "{text}");
        assert!(text.contains("a key is gone"), "{text}");
        assert!(text.contains("NOTICE: strace is not installed"), "{text}");
        assert!(text.contains("still running"), "{text}");
        state.course = Course::Interrupted;
        assert!(page("", &state, 2.0).contains("was interrupted"));
        state.course = Course::Complete;
        assert!(page("", &state, 2.0).contains("ran to its end, which took 2 minutes and found 1"));
    }
}
