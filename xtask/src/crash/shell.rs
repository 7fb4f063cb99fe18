//! Programs of the operating system that the rigs need.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::failure::{Context, Failure, Outcome};

/// A program and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const MKFS_EXT4: Program = Program { name: "mkfs.ext4", package: "e2fsprogs" };
pub(crate) const MKFS_XFS: Program = Program { name: "mkfs.xfs", package: "xfsprogs" };
pub(crate) const STRACE: Program = Program { name: "strace", package: "strace" };
pub(crate) const FAKETIME: Program = Program { name: "faketime", package: "faketime" };
pub(crate) const FUSERMOUNT: Program = Program { name: "fusermount3", package: "fuse3" };
pub(crate) const DEBUGFS: Program = Program { name: "debugfs", package: "e2fsprogs" };
pub(crate) const QEMU: Program = Program { name: "qemu-storage-daemon", package: "qemu-utils" };

/// Runs a program to its end; its output only shows if it fails.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Outcome<String> {
    let output = output_of(program, arguments)?;
    if !output.status.success() {
        let shown: Vec<_> = arguments.iter().map(|part| part.as_ref().to_string_lossy()).collect();
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::check(format!("{program} {}: {complaint}", shown.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn output_of<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Outcome<Output> {
    command(program)
        .args(arguments)
        .stdin(Stdio::null())
        // Its own group: Ctrl-C reaches us alone, and what it has begun is done.
        .process_group(0)
        .output()
        .context(format_args!("cannot start {program}"))
}

/// True for root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Installs what is missing, quietly; the name of the first program that is
/// still missing then.
pub(crate) fn missing(programs: &[Program]) -> Option<&'static str> {
    for program in programs {
        let is_there = || is_installed(program.name);
        if !(is_there() || install(program.package) && is_there()) {
            return Some(program.name);
        }
    }
    None
}

/// True if a program is there.
pub(crate) fn is_installed(program: &str) -> bool {
    find(program, &std::env::var_os("PATH").unwrap_or_default()).is_some()
}

/// A program to be started, wherever it is.
pub(crate) fn command(program: &str) -> Command {
    let found = find(program, &std::env::var_os("PATH").unwrap_or_default());
    Command::new(found.unwrap_or_else(|| program.into()))
}

/// Where a program is: on `path` or among the tools of the administrator,
/// which are not on everybody's path.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(path).chain(extra);
    places.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Asks Debian's package manager, as root or through a sudo that does not ask.
fn install(package: &str) -> bool {
    let apt_get = |arguments: &[&str]| {
        let mut words = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get"];
        words.extend(arguments);
        let (program, words) = match is_root() {
            true => ("env", words),
            false => ("sudo", [vec!["-n", "env"], words].concat()),
        };
        output_of(program, &words).is_ok_and(|output| output.status.success())
    };
    let install = ["install", "-y", "-qq", "--no-install-recommends", package];
    apt_get(&install) || (apt_get(&["update", "-qq"]) && apt_get(&install))
}

/// True if the kernel has a loop device to spare.
pub(crate) fn has_loop_devices() -> bool {
    run("losetup", &["--find"]).is_ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{find, run};

    #[test]
    fn who_interrupts_us_does_not_reach_the_programs() {
        let status = run("cat", &["/proc/self/stat"]).unwrap();
        let fields: Vec<&str> = status.split(' ').collect();
        assert_eq!(fields[4], fields[0], "its group is that of somebody else: {status}");
    }

    #[test]
    fn programs_are_found_off_the_path_too() {
        let found = |name, path: &str| find(name, OsStr::new(path)).is_some();
        assert!(found("sh", "/no/such/place:/bin"));
        assert!(!found("sh", "/no/such/place"));
        // Every Linux has this tool of the administrator, in one of the two.
        assert!(found("ldconfig", "/no/such/place"));
    }
}
