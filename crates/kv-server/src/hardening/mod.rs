//! What a program gives up before it starts a server: bits of new files, the
//! powers of root, and files and system calls that are none of its business.
//!
//! All of it holds for the whole process and cannot be undone, so it is the
//! program's to do and not the library's: a server inside another program, or in
//! a test, leaves that process as it is.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod argument_rules;
mod files;
mod sandbox;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod system_calls;
mod user;

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

use crate::config::Config;
use crate::runtime::StartError;
use user::RootVerdict;

/// Takes from this process what a server does not need:
///
/// 1. Group and others get nothing of new files, whatever the umask was.
/// 2. Root is refused, told or let be, by where the server is going to listen.
/// 3. Files outside the database directory are shut off, and system calls that no
///    store needs are refused, if the configuration asks for it. The directory is
///    created before, since nothing can be created beside it afterwards.
///
/// To be called before there are threads: those that run already would keep the
/// files that this one gives up. Returns what is to be told to the log.
///
/// # Errors
/// [`StartError`] for root on an address that others can reach, for a required
/// sandbox that is not to be had, and for a directory that cannot be created.
pub fn harden_process(config: &Config) -> Result<Vec<String>, StartError> {
    umask(Mode::RWXG | Mode::RWXO);
    let mut notices = Vec::new();
    match user::judge(geteuid().is_root(), config.listen.ip(), config.allow_root) {
        RootVerdict::Fine => {}
        RootVerdict::Told => notices.push(user::NOTICE.to_owned()),
        RootVerdict::Refused => return Err(StartError::Root { address: config.listen }),
    }
    notices.extend(sandbox::enter(config.sandbox, &config.data_dir)?);
    Ok(notices)
}
