//! Directories that nobody can write to: a failing device is often mounted so.

use kv_engine::verify_directory;
use kv_env::{Env, RealOptions};

use crate::damage::flip;
use crate::tool::Tool;

#[test]
fn what_cannot_be_locked_is_checked_all_the_same() {
    let tool = Tool::with_fruit();
    let options = RealOptions { read_only: true, ..RealOptions::default() };
    let problems = || {
        let env = Env::real_with(tool.path(), options).unwrap();
        let before = tool.files("", "");
        let report = verify_directory(&env, true).unwrap();
        assert_eq!(tool.files("", ""), before, "nothing is made in it");
        report.problems.len()
    };
    std::fs::remove_file(tool.path().join("LOCK")).unwrap();
    assert_eq!(problems(), 0);
    flip(&tool.files("sst_", ".db")[0], 100);
    assert_eq!(problems(), 1);
}
