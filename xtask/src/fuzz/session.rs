//! One run of one target.

#![allow(clippy::disallowed_methods, reason = "a tool at the edge makes its own directories")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::targets::Target;
use crate::failure::{Context, Outcome};
use crate::workspace::source_root;

/// The longest that one input may take, in seconds: thousands of times what
/// the slowest target needs.
const INPUT_TIMEOUT_S: u32 = 20;

/// The most memory of a target, in MiB, with its corpus.
const MEMORY_LIMIT_MIB: u32 = 2048;

/// The largest single allocation, in MiB; it holds where a sanitizer watches
/// allocations. The targets assert far tighter bounds themselves.
const ALLOCATION_LIMIT_MIB: u32 = 64;

/// What a run of a target came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) executions: u64,
    pub(super) executions_per_second: u64,
    pub(super) edges: u64,
    pub(super) new_units: u64,
    pub(super) reproducer: Option<String>,
    pub(super) succeeded: bool,
}

/// Where a target's files are.
pub(super) struct Places {
    pub(super) program: PathBuf,
    /// Committed seeds, never written to.
    pub(super) corpus: PathBuf,
    /// What was found on this machine.
    pub(super) scratch: PathBuf,
    artifacts: PathBuf,
    pub(super) log: PathBuf,
}

impl Places {
    pub(super) fn of(target: &Target, programs: &Path) -> Outcome<Places> {
        let work = source_root().join("target/fuzz-work").join(target.name);
        let places = Places {
            program: programs.join(target.name),
            corpus: source_root().join("fuzz/corpus").join(target.name),
            scratch: work.join("corpus"),
            artifacts: work.join("artifacts"),
            log: work.join("log"),
        };
        for directory in [&places.scratch, &places.artifacts] {
            fs::create_dir_all(directory).context(directory.display())?;
        }
        Ok(places)
    }
}

/// Fuzzes `target` for so many seconds.
pub(super) fn run(target: &Target, places: &Places, seconds: u64) -> Outcome<Findings> {
    let log = fs::File::create(&places.log).context(places.log.display())?;
    let errors = log.try_clone().context(places.log.display())?;
    let mut command = Command::new(&places.program);
    command.args([&places.scratch, &places.corpus]).args(limits(target)).args([
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", places.artifacts.display()),
        "-print_final_stats=1".to_owned(),
        // The directory is nobody else's.
        "-reload=0".to_owned(),
    ]);
    let dictionary = source_root().join("fuzz/dictionaries").join(format!("{}.dict", target.name));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let status = command.stdout(log).stderr(errors).status();
    let status = status.context(places.program.display())?;
    // The log holds bytes of inputs.
    let output = fs::read(&places.log).context(places.log.display())?;
    let findings = Findings::parse(&String::from_utf8_lossy(&output));
    Ok(Findings { succeeded: status.success(), ..findings })
}

/// Rewrites the committed corpus of `target`: of it and of what was found here,
/// the smallest inputs that reach all that they reach together.
pub(super) fn merge(target: &Target, places: &Places) -> Outcome<bool> {
    let merged = places.scratch.with_file_name("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged).context(merged.display())?;
    }
    fs::create_dir_all(&merged).context(merged.display())?;
    let output = Command::new(&places.program)
        // The fewest inputs that reach every edge; how often does not count.
        .args(["-set_cover_merge=1", "-use_counters=0"])
        .args(limits(target))
        .args([&merged, &places.corpus, &places.scratch])
        .output()
        .context(places.program.display())?;
    if !output.status.success() {
        return Ok(false);
    }
    for entry in fs::read_dir(&places.corpus).context(places.corpus.display())? {
        let path = entry.context(places.corpus.display())?.path();
        // Seeds with a name were written by people, or mended bugs.
        if path.file_name().is_some_and(|name| is_hash(&name.to_string_lossy())) {
            fs::remove_file(&path).context(path.display())?;
        }
    }
    for entry in fs::read_dir(&merged).context(merged.display())? {
        let entry = entry.context(merged.display())?;
        let to = places.corpus.join(entry.file_name());
        fs::copy(entry.path(), &to).context(to.display())?;
    }
    Ok(true)
}

fn limits(target: &Target) -> [String; 4] {
    [
        format!("-max_len={}", target.max_input_bytes),
        format!("-timeout={INPUT_TIMEOUT_S}"),
        format!("-rss_limit_mb={MEMORY_LIMIT_MIB}"),
        format!("-malloc_limit_mb={ALLOCATION_LIMIT_MIB}"),
    ]
}

/// True for the names that libFuzzer gives.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { executions, executions_per_second, edges, .. } = self;
        let verdict = self.verdict();
        write!(
            formatter,
            "{executions} executions, {executions_per_second} a second, {edges} edges, {verdict}"
        )
    }
}

impl Findings {
    /// What became of the run, in a word.
    pub(super) fn verdict(&self) -> &'static str {
        if self.succeeded { "ok" } else { "CRASH" }
    }

    /// Reads what libFuzzer prints.
    fn parse(output: &str) -> Findings {
        let number_behind = |mark: &str| {
            let (_, behind) = output.rsplit_once(mark)?;
            behind.split_whitespace().next()?.parse().ok()
        };
        let reproducer = output.rsplit_once("Test unit written to ");
        Findings {
            executions: number_behind("stat::number_of_executed_units:").unwrap_or(0),
            executions_per_second: number_behind("stat::average_exec_per_sec:").unwrap_or(0),
            new_units: number_behind("stat::new_units_added:").unwrap_or(0),
            edges: number_behind(" cov: ").unwrap_or(0),
            reproducer: reproducer
                .and_then(|(_, behind)| behind.lines().next())
                .map(|path| path.trim().to_owned()),
            succeeded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, is_hash};

    #[test]
    fn what_libfuzzer_prints_is_read() {
        let sound = "#2\tINITED cov: 10 ft: 12 corp: 1/1b\n#900\tDONE   cov: 31 ft: 90 corp: 4/9b\n\
                     Done 900 runs in 3 second(s)\nstat::number_of_executed_units: 900\n\
                     stat::average_exec_per_sec:     300\nstat::new_units_added:          3\n";
        let expected = Findings {
            executions: 900,
            executions_per_second: 300,
            edges: 31,
            new_units: 3,
            ..Findings::default()
        };
        assert_eq!(Findings::parse(sound), expected);
        let crash = "panicked\nTest unit written to /a/crash-1\nBase64: eA==\n";
        assert_eq!(Findings::parse(crash).reproducer.as_deref(), Some("/a/crash-1"));
    }

    #[test]
    fn seeds_by_people_are_told_from_those_of_the_machine() {
        assert!(is_hash("044b2b29944de3abc94f94e45619bc1002677b5f"));
        assert!(!is_hash("pipeline.txt"));
    }
}
