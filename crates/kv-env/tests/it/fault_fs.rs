//! The wrapper fails exactly the calls that it was told to fail.

use std::sync::{Arc, Mutex};

use kv_core::{Error, Result};
use kv_env::{CrashChoice, Failure, Fault, FaultFs, Fs, Operation, SimDisk};

use crate::support::panic_text;

/// Uses every call of the ports once, some twice.
fn tour(fs: &dyn Fs) -> Result<()> {
    let _lock = fs.lock("LOCK")?;
    fs.create_dir("quarantine")?;
    let mut file = fs.create("wal.tmp")?;
    file.zero_fill(4096)?;
    file.append(b"hello")?;
    file.sync()?;
    file.append(b"world")?;
    file.sync_handle().sync()?;
    fs.rename("wal.tmp", "wal.log")?;
    fs.sync_dir()?;
    fs.truncate("wal.log", 4096)?;
    file.seal()?;
    let reader = fs.open("wal.log")?;
    reader.read_at(0, &mut [0; 5])?;
    reader.map()?;
    reader.drop_cache()?;
    fs.list()?;
    fs.free_space()?;
    fs.reserve("reserve", 4096)?;
    fs.remove("wal.log")
}

#[test]
fn every_call_of_every_kind_can_fail_alone() {
    let counted = FaultFs::new(SimDisk::new(0).fs());
    tour(&counted).unwrap();
    let counts = counted.counts();
    assert_eq!(counts.len(), 18, "a kind of call that the tour leaves out: {counts:?}");
    assert_eq!(counted.count(Operation::Append), 2);
    assert_eq!(counted.count(Operation::Sync), 2);

    for (operation, count) in counts {
        for call in 0..count {
            let fs = FaultFs::new(SimDisk::new(0).fs());
            fs.inject(Fault::new(Failure::NoSpace).of(operation).after(call).times(1));
            let error = tour(&fs).unwrap_err();
            assert!(error.is_out_of_space(), "{operation:?} {call}: {error}");
            assert_eq!(fs.count(operation), call + 1);
        }
        let fs = FaultFs::new(SimDisk::new(0).fs());
        fs.inject(Fault::new(Failure::Device).of(operation).after(count));
        tour(&fs).unwrap();
    }
}

#[test]
fn a_hook_comes_before_each_call_and_may_refuse_it() {
    let disk = SimDisk::new(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, under) = (Arc::clone(&seen), disk.fs());
    let fs = FaultFs::hooked(disk.fs(), move |operation, name| {
        noted.lock().unwrap().push((operation, name.to_owned(), under.list()?.len()));
        match operation {
            Operation::Sync => Err(Error::Busy("not now".into())),
            _ => Ok(()),
        }
    });
    let mut file = fs.create("wal.log").unwrap();
    file.append(b"hello").unwrap();
    assert!(matches!(file.sync(), Err(Error::Busy(_))));
    assert!(matches!(file.sync_handle().sync(), Err(Error::Busy(_))));
    fs.inject(Fault::new(Failure::Device).of(Operation::Open));
    fs.open("wal.log").err().expect("a fault comes before the hook");
    let call = |operation, files| (operation, "wal.log".to_owned(), files);
    let expected = [
        call(Operation::Create, 0),
        call(Operation::Append, 1),
        call(Operation::Sync, 1),
        call(Operation::Sync, 1),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(disk.crash(CrashChoice::None).read_file("wal.log"), None, "never synced");
}

#[test]
fn a_failed_call_reaches_nothing_and_faults_can_be_taken_back() {
    let disk = SimDisk::new(0);
    let fs = FaultFs::new(disk.fs());
    let mut file = fs.create("a").unwrap();
    fs.inject(Fault::new(Failure::Device).on("a"));
    assert!(file.append(b"x").is_err());
    assert_eq!(file.position(), 0);
    assert_eq!(disk.read_file("a").unwrap(), b"");
    fs.create("b").unwrap();
    fs.clear_faults();
    file.append(b"x").unwrap();
    assert_eq!(disk.read_file("a").unwrap(), b"x");
}

#[test]
fn it_wraps_any_backend() {
    let directory = tempfile::tempdir().unwrap();
    let real = kv_env::RealFs::open(directory.path(), false).unwrap();
    let fs = FaultFs::new(Arc::new(real));
    tour(&fs).unwrap();
    assert_eq!(fs.describe(), directory.path().display().to_string());
}

#[test]
fn a_panic_leaves_no_lock_held() {
    let disk = SimDisk::new(0);
    let fs = FaultFs::new(disk.fs());
    let mut file = fs.create("a").unwrap();
    fs.inject(Fault::new(Failure::Panic).of(Operation::Append).times(1));
    let text = panic_text(|| drop(file.append(b"x")));
    assert_eq!(text, "injected fault: append to a panics");
    file.append(b"y").unwrap();
    assert_eq!(fs.count(Operation::Append), 2);
    assert_eq!(disk.read_file("a").unwrap(), b"y");
}
