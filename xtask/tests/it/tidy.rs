//! The tree keeps the rules of the house.

#[test]
fn the_workspace_is_tidy() {
    let violations = xtask::check_workspace().expect("the tree can be read");
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}", lines.len(), lines.join("\n"));
}
