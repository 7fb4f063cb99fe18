//! Tests of the engine as its users see it: on real directories, and on a
//! simulated disk that can lose power at any operation.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod bad_directory;
mod basics;
mod callbacks;
mod clock_jumps;
mod concurrency;
mod conditional;
mod damage;
mod deep_crashes;
mod descriptors;
mod failing_disk;
mod faults_page;
mod first_open;
mod flips;
mod forged_files;
mod forged_manifest;
mod forged_values;
mod format;
mod full_disk;
mod golden;
mod interposed;
mod interrupted_close;
mod limits;
mod log_end;
mod long_manifest;
mod manifest_replaced;
mod manifest_rotation;
mod many_segments;
mod many_tables;
mod model;
mod no_descriptors;
mod panics;
mod read_modes;
mod recovery_rules;
mod repair;
mod repair_gaps;
mod repair_report;
mod repair_target;
mod sample_run;
mod scrub;
mod scrub_logs;
mod scrub_meanwhile;
mod scrub_resumes;
mod segment_names;
mod stale_manifest;
mod strays;
mod support;
mod typed_errors;
mod unfinished;
mod verify;
mod written_once;
