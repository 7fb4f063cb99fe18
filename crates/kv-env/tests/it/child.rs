//! This test program once more, in the part of another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kv_env::{Fs, RealFs};
use rustix::fs::Mode;

/// Names the part to play; absent in an ordinary run of the tests.
const PART: &str = "KV_ENV_TEST_PART";
const DIRECTORY: &str = "KV_ENV_TEST_DIRECTORY";

/// What the other process prints when it has done its part.
const READY: &str = "the part is played";

/// Another process that has played its part and now waits for its end.
pub(crate) struct Other(Child);

impl Other {
    /// Starts `part` on a database directory and waits until it is played.
    pub(crate) fn play(part: &str, directory: &Path) -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::the_part_of_the_other_process", "--nocapture"])
            .env(PART, part)
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.map_while(Result::ok).any(|line| line.contains(READY));
        let other = Other(child);
        assert!(is_ready, "the other process has failed");
        other
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Other {
    /// Ends it by a signal that it cannot handle.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_part_of_the_other_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    match part.as_str() {
        "holds the lock" => {
            let fs = RealFs::open(&directory, false).unwrap();
            wait_with(fs.lock("LOCK").unwrap());
        }
        "creates everything under a strange umask" => {
            // Of the whole process, so not in the one that runs the tests.
            rustix::process::umask(Mode::from_raw_mode(0o277));
            make_one_of_each(&directory.join("tight/inner"));
            rustix::process::umask(Mode::empty());
            make_one_of_each(&directory.join("loose/inner"));
            wait_with(());
        }
        other => panic!("there is no part {other:?}"),
    }
}

fn make_one_of_each(path: &Path) {
    let fs = RealFs::open(path, true).unwrap();
    fs.create("file").unwrap();
    fs.create("sealed").unwrap().seal().unwrap();
    fs.create_dir("directory").unwrap();
    fs.create("directory/file").unwrap();
    fs.reserve("reserve", 1).unwrap();
    fs.lock("LOCK").unwrap();
}

/// Says that all is done and keeps `held` until this process is ended, or its
/// parent has ended.
fn wait_with<T>(held: T) {
    println!("{READY}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}
