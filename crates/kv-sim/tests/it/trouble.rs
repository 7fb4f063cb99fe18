//! What a device does wrong in the middle of a history, and panics: each comes
//! to what it should, and is counted.

use kv_sim::{Effort, Figures, Script, Tally, cut_everywhere, run};

const WRITE: &str =
    r#"{"write":{"durability":"sync","changes":[{"put":[1,3000]},{"put":[2,40]}]}}"#;

fn script(settings: &str, steps: &[&str]) -> Script {
    let text = [&[settings], steps].concat().join("\n");
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn tally(settings: &str, steps: &[&str]) -> Tally {
    run(&script(settings, steps)).unwrap_or_else(|failure| panic!("{failure}")).tally
}

fn cut(settings: &str, steps: &[&str]) -> Figures {
    let figures = cut_everywhere(&script(settings, steps), &Effort::ORDINARY);
    figures.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_map_that_cannot_be_read_ends_the_process_and_nothing_else() {
    let unreadable = r#"{"device":{"effect":"unreadable","on":"*.db","sector":2,"sectors":1}}"#;
    let steps = [WRITE, unreadable, r#""flush""#, WRITE, r#""reopen""#, r#"{"get":1}"#];
    assert_eq!(tally("{}", &steps).deaths, 1);
    let by_reads = tally(r#"{"mapped":false}"#, &steps);
    assert!(by_reads.deaths == 0 && by_reads.errors > 0, "{by_reads:?}");
}

#[test]
fn what_a_table_lost_is_reported_and_the_rest_is_right() {
    let lost = r#"{"device":{"effect":"lost_write","on":"*.db","sector":2,"sectors":1}}"#;
    let cut = r#"{"cut":{"keeps":"all"}}"#;
    let tally = tally(r#"{"block_bytes":512}"#, &[lost, WRITE, r#""flush""#, cut, WRITE]);
    assert!(tally.damage_reports > 0 && tally.ended_by_damage == 1, "{tally:?}");
}

/// What a rule might do excuses nothing: a loss counts although it names the log.
#[test]
fn a_device_rule_that_hits_nothing_excuses_no_loss() {
    let nowhere = r#"{"device":{"effect":"lost_write","on":"*","sector":90000,"sectors":1}}"#;
    let steps = [nowhere, WRITE, WRITE, r#"{"cut":{"keeps":"none"}}"#];
    let lying = script(r#"{"lying_sync":true}"#, &steps);
    let failure = run(&lying).expect_err("the loss goes unnoticed");
    assert!(failure.what.contains("was promised"), "{failure}");
    assert_eq!(tally("{}", &steps).errors, 0);
}

/// What was promised behind the sync that went astray proves that it was one, once
/// it fills more than a frame: it must not go with it.
#[test]
fn a_log_that_lost_a_write_under_many_promises_is_refused() {
    let lost =
        r#"{"device":{"effect":"lost_write","on":"wal.log","sector":8,"sectors":100,"times":1}}"#;
    let settings = r#"{"memtable":{"entries":100}}"#;
    let cut = r#"{"cut":{"keeps":"all"}}"#;
    let steps = [&[WRITE, lost][..], &[WRITE; 8], &[cut]].concat();
    let refused = tally(settings, &steps);
    assert_eq!((refused.damage_reports, refused.ended_by_damage), (2, 1), "{refused:?}");
    let last = tally(settings, &[WRITE, lost, WRITE, cut, WRITE]);
    assert_eq!(
        (last.ended_by_damage, last.opens),
        (0, 2),
        "what is lost last is not known: {last:?}"
    );
}

/// Images behind the sync that went astray may say what is damaged, no others.
#[test]
fn histories_with_a_device_that_loses_writes_are_cut_at_every_op() {
    for on in ["*.db", "MANIFEST*", "wal*"] {
        let lost = format!(
            r#"{{"device":{{"effect":"lost_write","on":"{on}","sector":0,"sectors":100}}}}"#
        );
        let steps = [WRITE, r#""flush""#, WRITE, &lost, WRITE, r#""flush""#, WRITE];
        let figures = cut(r#"{"block_bytes":512}"#, &steps);
        assert!(figures.images > figures.ops, "{on}: {figures:?}");
        let whole = cut(r#"{"block_bytes":512}"#, &[WRITE, r#""flush""#, WRITE]);
        assert_eq!(whole.tally.damage_reports, 0, "{whole:?}");
        println!("{on}: {figures:?}");
        assert!(figures.tally.damage_reports > 0, "{on}: {figures:?}");
    }
}

/// What a killed process left is read from the device: the sync that went astray has
/// taken it from there, however early it was acknowledged.
#[test]
fn a_kill_may_lose_what_no_sync_had_reached_before_the_one_that_went_astray() {
    let lost = r#"{"device":{"effect":"lost_write","on":"wal*","sector":7,"sectors":100}}"#;
    let unsynced = WRITE.replace("sync", "os");
    let figures = cut(r#"{"memtable":{"entries":100}}"#, &[WRITE, &unsynced, lost, r#""reopen""#]);
    assert!(figures.images > figures.ops, "{figures:?}");
}

#[test]
fn bits_that_flip_on_the_way_are_reported_and_come_right_again() {
    let flipped = r#"{"device":{"effect":{"flipped_bits":4},"on":"*.db","sector":1,"sectors":1}}"#;
    let steps = [WRITE, r#""flush""#, flipped, r#""reopen""#, r#"{"get":1}"#];
    let end = [r#""clear_faults""#, r#""reopen""#, r#"{"get":1}"#];
    let tally = tally("{}", &[&steps[..], &end].concat());
    assert!(tally.damage_reports > 0 && tally.ended_by_damage == 0, "{tally:?}");
}

/// Behind the last settling no error is in order any more.
#[test]
fn what_fails_may_fail_until_it_is_taken_back_and_all_work_is_done() {
    let fault = r#"{"fault":{"failure":"no_space","of":"append","on":"*.db"}}"#;
    let (settle, flush) = (r#""settle""#, r#""flush""#);
    let in_trouble = [WRITE, fault, flush, WRITE, settle, WRITE, flush];
    let healed = [r#""clear_faults""#, settle, WRITE, flush, settle, WRITE, flush];
    let tally = tally("{}", &[&in_trouble[..], &healed].concat());
    assert!(tally.errors > 0 && tally.opens == 1, "{tally:?}");
}

#[test]
fn a_panic_ends_writing_and_the_next_open_goes_on() {
    let fault = r#"{"fault":{"failure":"panic","of":"sync","times":1}}"#;
    let refused = r#"{"write":{"durability":"os","changes":[{"put":[3,10]}]}}"#;
    let steps = [WRITE, fault, WRITE, refused, r#""clear_faults""#, r#""reopen""#, WRITE];
    let tally = tally("{}", &steps);
    assert!(tally.panics > 0 && tally.opens == 2, "{tally:?}");
}
