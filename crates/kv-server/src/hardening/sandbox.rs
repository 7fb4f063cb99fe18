//! The sandbox: what a process that has been taken over cannot do.
//!
//! 1. Landlock shuts it out of all files but its own ([`files`]).
//! 2. seccomp refuses the system calls that no store needs ([`system_calls`]).
//!
//! Each is asked for on its own: a kernel that has one of them gives that one.

use std::path::Path;

use kv_env::RealFs;

use super::files;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::system_calls;
use crate::config::SandboxMode;
use crate::runtime::StartError;

/// Enters both parts, as far as `mode` asks for them. `data_dir` is created if it
/// is not there. Returns what is to be told to the log.
///
/// # Errors
/// [`StartError::Sandbox`] if `mode` requires what the system does not offer,
/// [`StartError::Engine`] for a directory that cannot be created or trusted.
pub(super) fn enter(mode: SandboxMode, data_dir: &Path) -> Result<Vec<String>, StartError> {
    if mode == SandboxMode::Off {
        return Ok(Vec::new());
    }
    RealFs::open(data_dir, true)?;
    let files = files::shut_off(data_dir).map_err(|error| error.to_string());
    let files = judge(mode, "files (Landlock)", files)?;
    let calls = judge(mode, "system calls (seccomp)", refuse_system_calls())?;
    Ok(files.into_iter().chain(calls).collect())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn refuse_system_calls() -> Result<(), String> {
    system_calls::refuse()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn refuse_system_calls() -> Result<(), String> {
    Err(format!(
        "there is a filter for x86_64 and aarch64 only, not for {}",
        std::env::consts::ARCH
    ))
}

/// What a part of the sandbox that could not be had comes to.
fn judge(
    mode: SandboxMode,
    part: &'static str,
    entered: Result<(), String>,
) -> Result<Option<String>, StartError> {
    match entered {
        Ok(()) => Ok(None),
        Err(reason) if mode == SandboxMode::Required => Err(StartError::Sandbox { part, reason }),
        Err(reason) => Ok(Some(format!("running without a sandbox for {part}: {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_a_notice_or_if_required_an_error() {
        let missing = || Err("the kernel has none".to_owned());
        let notice = judge(SandboxMode::BestEffort, "files", missing()).unwrap();
        assert_eq!(
            notice.as_deref(),
            Some("running without a sandbox for files: the kernel has none")
        );
        let error = judge(SandboxMode::Required, "files", missing()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "sandbox is required, and there is none for files: the kernel has none; set it to \
             best_effort to start without"
        );
        for mode in [SandboxMode::BestEffort, SandboxMode::Required] {
            assert_eq!(judge(mode, "files", Ok(())).unwrap(), None);
        }
    }
}
