//! Rules for a crate: its face `lib.rs`, its README, its one test binary.

use super::Violation;
use super::functions::line_of;
use super::source_text::SourceText;
use crate::workspace::{Package, Workspace};

/// The one integration test binary of a crate: `tests/it/main.rs`.
const INTEGRATION_TEST: &str = "it";

/// What a face may not hold, and what to do instead.
const FORBIDDEN_IN_FACE: [(&str, &str); 3] = [
    ("pub mod ", "modules are private: list their items in one `pub use`"),
    ("::*;", "no glob imports or re-exports: name the items"),
    ("#[doc(hidden)]", "what is public is documented"),
];

/// Checks one crate.
pub(crate) fn check(workspace: &Workspace, package: &Package) -> Vec<Violation> {
    let manifest = workspace.relative(&package.manifest_path);
    let mut violations = Vec::new();
    if package.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
        violations.push(Violation::new("crate", &manifest, "no description"));
    }
    let directory = package.manifest_path.parent().expect("a manifest lies in a directory");
    if !directory.join(package.readme.as_deref().unwrap_or("README.md")).is_file() {
        violations.push(Violation::new("crate", &manifest, "the crate has no README.md"));
    }
    for target in &package.targets {
        let path = workspace.relative(&target.src_path);
        // A binary behind a feature tests another build of the crate.
        let is_test = target.kind.iter().any(|kind| kind == "test");
        if is_test && target.name != INTEGRATION_TEST && target.required_features.is_empty() {
            let message = "one integration test binary per crate: make it a module of tests/it";
            violations.push(Violation::new("test binary", &path, message));
        }
        if target.kind.iter().any(|kind| kind == "lib") {
            let text = workspace.read(&path).unwrap_or_default();
            violations.extend(face_violations(&path, &text, package.name.starts_with("kv-")));
        }
    }
    violations
}

/// `needs_example` is for libraries that others use; tools have none to show.
fn face_violations(path: &str, text: &str, needs_example: bool) -> Vec<Violation> {
    let source = SourceText::parse(text);
    let mut violations = Vec::new();
    for (mark, advice) in FORBIDDEN_IN_FACE {
        for (at, _) in source.code.match_indices(mark) {
            let message = format!("{}: {advice}", mark.trim());
            violations.push(Violation::new("face", path, message).at(line_of(text, at)));
        }
    }
    let crate_docs: Vec<&str> = text.lines().filter(|line| line.starts_with("//!")).collect();
    if crate_docs.is_empty() {
        violations.push(Violation::new("face", path, "no crate documentation (`//!`)"));
    } else if needs_example && !crate_docs.iter().any(|line| line.contains("```")) {
        violations.push(Violation::new("face", path, "the crate documentation has no example"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::face_violations;

    fn messages(text: &str, needs_example: bool) -> Vec<String> {
        let violations = face_violations("lib.rs", text, needs_example);
        violations.into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn a_face_is_documented_private_and_explicit() {
        let good = "//! What it is.\n//! ```\n//! ```\nmod a;\npub use a::{B, C};\n";
        assert_eq!(messages(good, true), [""; 0]);
        assert_eq!(messages("//! What it is.\nmod a;\n", false), [""; 0]);
        assert!(messages("mod a;\n", false)[0].starts_with("no crate documentation"));
        assert!(messages("//! What it is.\n", true)[0].ends_with("no example"));
        for bad in ["pub mod a;", "pub use a::*;", "#[doc(hidden)]\npub use a::B;"] {
            assert_eq!(messages(&format!("{good}{bad}\n"), true).len(), 1, "{bad}");
        }
    }
}
