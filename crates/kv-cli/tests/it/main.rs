//! Tests of `kv` as its users meet it: the program, its output and its exit
//! codes.

#![allow(clippy::disallowed_methods, reason = "the files are damaged from outside")]
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod damage;
mod data;
mod dumps;
mod nobody_reads;
mod read_only;
mod repair;
mod text;
mod tool;
