//! The tools against the real tree.

mod tidy;
