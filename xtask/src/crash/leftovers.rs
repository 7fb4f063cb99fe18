//! What an aborted run has left: processes, loop devices, mounts and its directory.
//! The next one clears it away.
#![allow(clippy::disallowed_methods, reason = "a tool manages its own scratch directories")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::scratch::{LoopDevice, PREFIX, mounts_below, thaw, unmount};
use super::{oracle_log, shell};
use crate::pause::pause;

/// What an aborted run left is called this and what it was called.
const ABORTED_PREFIX: &str = "kv-evidence-aborted-";
/// The programs that experiments start and leave alone for a while. Others that name
/// a directory of ours, such as a pager, are somebody else's.
const PROGRAMS: [&str; 4] = ["kv-server", shell::QEMU.name, shell::STRACE.name, "xtask"];
/// How often it is looked whether killed processes are gone, and how many times:
/// until then they keep file systems busy.
const END_POLL: Duration = Duration::from_millis(20);
const END_POLLS: u32 = 250;

/// Clears the scratch directories of processes that are no more.
pub(crate) fn clear_leftovers() {
    let temporary = std::env::temp_dir();
    for entry in fs::read_dir(&temporary).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !Path::new("/proc").join(owner).exists() {
            clear(&entry.path());
        }
    }
}

/// Ends what still runs on a leftover directory and unmounts it. Where the
/// oracle's log is, it is kept with the data: whoever killed that run may want
/// to know what was promised. Whatever fails here only leaves a directory
/// behind.
fn clear(directory: &Path) {
    for point in mounts_below(directory) {
        // What is not frozen, which is nearly always so, is no trouble.
        let _ = thaw(&point);
    }
    end_processes_of(directory);
    // Before their mounts go, by which they are known. A device that is in use is
    // detached when it no longer is: with its mount, and before that of its file.
    for device in loop_devices_below(directory) {
        drop(LoopDevice::left_behind(device));
    }
    for point in mounts_below(directory).into_iter().rev() {
        if unmount(&point, &[]).is_err() {
            let _ = unmount(&point, &["--lazy"]);
        }
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let kept = directory.with_file_name(name.replacen(PREFIX, ABORTED_PREFIX, 1));
    if directory.join(oracle_log::FILE_NAME).exists() && fs::rename(directory, &kept).is_ok() {
        println!("NOTICE: an earlier run was killed; what it did is in {}", kept.display());
        return;
    }
    let _ = fs::remove_dir_all(directory);
}

/// Loop devices on files in a directory.
fn loop_devices_below(directory: &Path) -> Vec<PathBuf> {
    let list = shell::run("losetup", &["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
    let list = list.unwrap_or_default();
    let devices = list.lines().filter_map(|line| line.split_once(' '));
    let ours = devices.filter(|(_, file)| Path::new(file.trim()).starts_with(directory));
    ours.map(|(device, _)| device.into()).collect()
}

/// Kills the programs of ours whose command lines name the directory, and waits until
/// they are gone: an aborted run could not. Its name is random, so they are those of
/// no other run.
fn end_processes_of(directory: &Path) {
    let processes = processes_of(directory);
    for id in &processes {
        // It may have ended by itself meanwhile.
        let _ = kill_process(*id, Signal::KILL);
    }
    for _ in 0..END_POLLS {
        // One that has ended has no program, also before its parent asks for it.
        if processes.iter().all(|id| program_of(*id).is_none()) {
            return;
        }
        pause(END_POLL);
    }
}

/// The processes of programs of ours whose command lines name the directory.
fn processes_of(directory: &Path) -> Vec<Pid> {
    let name = directory.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let processes = ids.filter_map(Pid::from_raw).filter(|id| {
        let command_line = fs::read(in_proc(*id, "cmdline")).unwrap_or_default();
        command_line.windows(name.len()).any(|window| window == name)
            && program_of(*id).is_some_and(|program| PROGRAMS.contains(&program.as_str()))
    });
    processes.collect()
}

/// The name of the program that a process runs, if it still runs.
fn program_of(id: Pid) -> Option<String> {
    let program = fs::read_link(in_proc(id, "exe")).ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    // What Linux adds where the file was replaced since, by a build.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

fn in_proc(id: Pid, file: &str) -> PathBuf {
    Path::new("/proc").join(id.as_raw_nonzero().to_string()).join(file)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::{end_processes_of, processes_of};

    /// A process of a program called `name` that waits, and names `directory`.
    fn waiting(name: &str, directory: &tempfile::TempDir) -> Child {
        let program = directory.path().join(name);
        std::fs::copy("/bin/sh", &program).unwrap();
        // It reads what is never sent.
        let mut command = Command::new(program);
        command.args(["-c", "read line"]).arg(directory.path());
        command.stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn of_the_processes_that_name_a_directory_only_those_of_our_programs_are_ended() {
        let directory = tempfile::tempdir().unwrap();
        let mut server = waiting("kv-server", &directory);
        let mut pager = waiting("pager", &directory);
        let found: Vec<i32> = processes_of(directory.path())
            .into_iter()
            .map(|id| id.as_raw_nonzero().get())
            .collect();
        assert_eq!(found, [server.id() as i32]);
        end_processes_of(directory.path());
        let ended = server.try_wait().unwrap();
        assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
        assert_eq!(pager.try_wait().unwrap(), None);
        pager.kill().unwrap();
        pager.wait().unwrap();
    }
}
