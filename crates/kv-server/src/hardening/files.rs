//! The wall around files: a process that has been taken over reaches no file but
//! its own.
//!
//! Landlock takes rights from this thread, from those it starts later, and for
//! good. What stays: everything that the engine does in the database directory,
//! and reading `/proc` (memory and time of this process for `INFO`) and
//! `/sys/fs/cgroup` (how many cores it may use). What was opened before stays
//! open. Nothing can be executed.
//!
//! Landlock came with Linux 5.13. Cutting files short is covered since 6.2, calls
//! to devices since 6.10; older kernels leave these open, and that is still a
//! wall.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, path_beneath_rules,
};

/// What is read beside the database.
const READ_PATHS: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

/// The least that the kernel must be able to take away.
const LEAST: ABI = ABI::V1;

/// The most that is asked of a kernel.
const MOST: ABI = ABI::V5;

/// Shuts this thread, and all that it starts, out of all files but those beneath
/// `data_dir`.
///
/// # Errors
/// If the kernel has no Landlock.
pub(super) fn shut_off(data_dir: &Path) -> Result<(), RulesetError> {
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
