//! Rot on top of histories: never a silent wrong answer.

use kv_sim::{RotFigures, rot, workloads};

#[test]
fn damage_is_answered_rightly_or_with_an_error() {
    let mut sum = RotFigures::default();
    for (number, script) in workloads().iter().enumerate().step_by(7) {
        match rot(script, number as u64, 60) {
            Ok(figures) => sum.add(&figures),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{sum:?}");
    assert!(sum.unharmed > 100 && sum.refused > 100, "{sum:?}");
    assert!(sum.read_errors > 20 && sum.cut > 0 && sum.ended > 0, "{sum:?}");
}
