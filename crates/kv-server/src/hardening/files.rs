//! The sandbox: a process that has been taken over reaches no file but its own.
//!
//! Landlock takes rights from this thread, from those it starts later, and for
//! good. What stays: everything that the engine does in the database directory,
//! and reading `/proc` (memory and time of this process for `INFO`) and
//! `/sys/fs/cgroup` (how many cores it may use). What was opened before stays
//! open. Nothing can be executed.
//!
//! Landlock came with Linux 5.13. Cutting files short is covered since 6.2, calls
//! to devices since 6.10; older kernels leave these open, and that is still a
//! sandbox.

use std::path::Path;

use kv_env::RealFs;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, path_beneath_rules,
};

use crate::config::SandboxMode;
use crate::runtime::StartError;

/// What is read beside the database.
const READ_PATHS: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

/// The least that a sandbox must be able to take away.
const LEAST: ABI = ABI::V1;

/// The most that is asked of a kernel.
const MOST: ABI = ABI::V5;

/// Shuts the process out of all files but those beneath `data_dir`, which is
/// created if it is not there. Returns what is to be told to the log.
///
/// # Errors
/// [`StartError::Sandbox`] if `mode` requires what the kernel does not offer,
/// [`StartError::Engine`] for a directory that cannot be created or trusted.
pub(super) fn enter(mode: SandboxMode, data_dir: &Path) -> Result<Option<String>, StartError> {
    if mode == SandboxMode::Off {
        return Ok(None);
    }
    RealFs::open(data_dir, true)?;
    let entered = restrict(data_dir).map_err(|error| error.to_string());
    judge(mode, entered)
}

/// What a sandbox that could not be had comes to.
fn judge(mode: SandboxMode, entered: Result<(), String>) -> Result<Option<String>, StartError> {
    match entered {
        Ok(()) => Ok(None),
        Err(reason) if mode == SandboxMode::Required => Err(StartError::Sandbox { reason }),
        Err(reason) => Ok(Some(format!("running without a sandbox: {reason}"))),
    }
}

/// Takes the rights from this thread and from all that it starts.
fn restrict(data_dir: &Path) -> Result<(), RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(MOST))?
        .create()?
        .add_rules(path_beneath_rules([data_dir], data_rights()))?
        .add_rules(path_beneath_rules(READ_PATHS, AccessFs::ReadFile | AccessFs::ReadDir))?;
    ruleset.restrict_self()?;
    Ok(())
}

/// What the engine does in its directory: regular files and directories. It
/// never moves a file from one directory to another.
fn data_rights() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_landlock_best_effort_is_a_notice_and_required_an_error() {
        let missing = || Err("the kernel has none".to_owned());
        let notice = judge(SandboxMode::BestEffort, missing()).unwrap();
        assert_eq!(notice.as_deref(), Some("running without a sandbox: the kernel has none"));
        let error = judge(SandboxMode::Required, missing()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(
            error.to_string().contains("the kernel has none; set it to best_effort"),
            "{error}"
        );
        for mode in [SandboxMode::BestEffort, SandboxMode::Required] {
            assert_eq!(judge(mode, Ok(())).unwrap(), None);
        }
    }
}
