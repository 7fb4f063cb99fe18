//! Tidy: the rules of the house that a machine can check.
//!
//! One file per rule, each a function from values to [`Violation`]s; this one
//! gathers the tree and runs them all.

mod crates;
mod dependencies;
mod functions;
mod layering;
mod links;
mod rust_rules;
mod source_text;

use std::fmt;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

pub(crate) use layering::all_of;

/// A place where the tree breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the rule.
    pub rule: &'static str,
    /// File, relative to the workspace root.
    pub file: String,
    /// Line in it, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Violation {
    fn new(rule: &'static str, file: &str, message: impl Into<String>) -> Violation {
        Violation { rule, file: file.into(), line: None, message: message.into() }
    }

    fn at(self, line: usize) -> Violation {
        Violation { line: Some(line), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}: {}", self.rule, self.message)
    }
}

/// Checks the whole workspace and returns every violation, sorted by file.
///
/// # Errors
/// If the tree cannot be read; a violation is no error.
pub fn check_workspace() -> Result<Vec<Violation>, String> {
    check(&Workspace::load().map_err(|failure| failure.to_string())?)
        .map_err(|failure| failure.to_string())
}

/// `cargo xtask tidy`: prints the violations and fails if there are any.
pub(crate) fn run() -> Outcome {
    let violations = check(&Workspace::load()?)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: no violations");
            Ok(())
        }
        count => Err(Failure::check(format!("tidy: {count} violations"))),
    }
}

fn check(workspace: &Workspace) -> Outcome<Vec<Violation>> {
    let sources = workspace.files(".rs")?;
    let documents = workspace.files(".md")?;
    let mut violations = Vec::new();
    for source in &sources {
        violations.extend(rust_rules::check(source));
    }
    for package in &workspace.packages {
        violations.extend(crates::check(workspace, package));
    }
    violations.extend(layering::check(workspace));
    violations.extend(links::check(&documents, |path| workspace.root.join(path).exists()));
    violations.extend(dependencies::check(workspace));
    violations.sort_by(|left, right| (&left.file, left.line).cmp(&(&right.file, right.line)));
    Ok(violations)
}
