//! Integration tests of the ports: each backend alone, both side by side.
#![allow(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod agreement;
mod child;
mod crash_choices;
mod crash_data;
mod crash_directory;
mod fault_fs;
mod full_disk;
mod real_files;
mod real_lock;
mod real_safety;
mod sim_device;
mod sim_faults;
mod support;
mod system;
