//! llvm-profdata and llvm-cov.
#![allow(clippy::disallowed_methods, reason = "a tool at the edge handles files of its own")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::{Context, Failure, Outcome};

/// The two programs, of a version that reads what the compiler writes.
pub(super) struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Those of the compiler's own component, or those of the PATH if their
    /// version is the compiler's; else the component is asked for.
    pub(super) fn find() -> Outcome<Option<Tools>> {
        if let Some(tools) = Tools::installed()? {
            return Ok(Some(tools));
        }
        let mut command = Command::new("rustup");
        let added = command.args(["component", "add", "llvm-tools"]).status();
        if added.is_ok_and(|status| status.success()) { Tools::installed() } else { Ok(None) }
    }

    fn installed() -> Outcome<Option<Tools>> {
        let sysroot = text(Command::new("rustc").args(["--print", "sysroot"]))?;
        let version = text(Command::new("rustc").arg("-vV"))?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
        let (Some(host), Some(llvm)) = (field("host: "), field("LLVM version: ")) else {
            return Ok(None);
        };
        let component = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
        let component =
            Tools { profdata: component.join("llvm-profdata"), cov: component.join("llvm-cov") };
        let path = Tools { profdata: "llvm-profdata".into(), cov: "llvm-cov".into() };
        let major = llvm.split('.').next().unwrap_or(llvm);
        Ok([component, path].into_iter().find(|tools| tools.are_of(major)))
    }

    fn are_of(&self, major: &str) -> bool {
        [&self.profdata, &self.cov].into_iter().all(|program| {
            let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
            output.is_ok_and(|output| {
                let words = String::from_utf8_lossy(&output.stdout);
                words.contains(&format!("LLVM version {major}."))
            })
        })
    }

    /// One profile of all in `profiles`.
    pub(super) fn merge(&self, profiles: &Path) -> Outcome<PathBuf> {
        let merged = profiles.with_file_name("merged.profdata");
        let mut command = Command::new(&self.profdata);
        command.args(["merge", "-sparse", "-o"]).arg(&merged);
        for entry in fs::read_dir(profiles).context(profiles.display())? {
            command.arg(entry.context(profiles.display())?.path());
        }
        checked(&mut command)?;
        Ok(merged)
    }

    /// What `programs` did by `profile`, in one of llvm-cov's formats.
    pub(super) fn export(
        &self,
        profile: &Path,
        programs: &[PathBuf],
        format: &str,
        more: &[&str],
    ) -> Outcome<String> {
        let mut command = Command::new(&self.cov);
        command.arg("export").arg(format!("-format={format}")).args(more);
        command.arg("-instr-profile").arg(profile);
        for program in programs {
            command.arg("-object").arg(program);
        }
        text(&mut command)
    }
}

/// Makes `directory`, without what was in it.
pub(super) fn make_empty(directory: &Path) -> Outcome {
    if directory.exists() {
        fs::remove_dir_all(directory).context(directory.display())?;
    }
    fs::create_dir_all(directory).context(directory.display())
}

fn checked(command: &mut Command) -> Outcome<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().context(&program)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::check(format!("{program} failed: {complaint}")));
    }
    Ok(output)
}

fn text(command: &mut Command) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&checked(command)?.stdout).into_owned())
}
