//! docs/FAULTS.md names a test for every fault: each must exist.

#![allow(clippy::disallowed_methods, reason = "the page and the tests are files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where the module of a test is, if it is there.
fn source(crate_name: &str, module: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_name);
    let path = module.replace("::", "/");
    let places = [
        root.join(format!("tests/it/{path}.rs")),
        root.join(format!("tests/it/{path}/mod.rs")),
        root.join(format!("src/{path}.rs")),
    ];
    places.iter().find_map(|place: &PathBuf| fs::read_to_string(Path::new(place)).ok())
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/FAULTS.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| {
            line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit())
        })
        .collect();
    assert_eq!(rows.len(), 37);
    let mut missing = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        assert!(row.starts_with(&format!("| {number} |")), "{row}");
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("there are cells");
        for name in cell.split('`').skip(1).step_by(2) {
            let (crate_name, test) = name.split_once(' ').expect("a crate and a test");
            let (module, function) = test.rsplit_once("::").expect("a module and a test");
            let is_there = source(crate_name, module)
                .is_some_and(|text| text.contains(&format!("fn {function}(")));
            if !is_there {
                missing.push(format!("row {number}: {name}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
