//! Rules for a single Rust source file: length, forbidden marks, `unsafe`.

use super::Violation;
use super::functions::{functions, line_of, word_positions};
use super::source_text::SourceText;
use crate::workspace::TextFile;

/// Longest source file, in lines: what one sitting can hold in mind.
const MAX_FILE_LINES: usize = 500;
/// Longest function, in lines: one screen.
const MAX_FUNCTION_LINES: usize = 70;

/// What may not stand in code, and what to do instead.
const FORBIDDEN_IN_CODE: [(&str, &str); 6] = [
    ("#[ignore", "a test that does not run proves nothing: make it run or remove it"),
    ("#[should_panic", "assert on the error or on catch_unwind's message instead"),
    ("thread::sleep", "wait for an event: a channel, a condition variable, a child's output"),
    ("todo!", "finish it, or return an error that says what is missing"),
    ("unimplemented!", "finish it, or return an error that says what is missing"),
    ("allow(dead_code)", "remove what nobody uses, or give the reason to keep it"),
];

/// What may not stand in comments.
const FORBIDDEN_IN_COMMENTS: [(&str, &str); 4] = [
    ("TODO", "open points belong into the docs"),
    ("FIXME", "open points belong into the docs"),
    ("XXX", "open points belong into the docs"),
    ("```ignore", "an example that is not compiled goes stale: use no_run or text"),
];

/// Checks one file.
pub(crate) fn check(file: &TextFile) -> Vec<Violation> {
    let source = SourceText::parse(&file.text);
    let mut violations = length_violations(file, &source);
    for (mark, advice) in FORBIDDEN_IN_CODE {
        violations.extend(mark_violations(file, &source.code, mark, advice));
    }
    for (mark, advice) in FORBIDDEN_IN_COMMENTS {
        violations.extend(mark_violations(file, &source.comments, mark, advice));
    }
    violations.extend(unsafe_violation(file, &source));
    violations
}

fn length_violations(file: &TextFile, source: &SourceText) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_FILE_LINES {
        let message = format!("{lines} lines, {MAX_FILE_LINES} at most: split it by concept");
        violations.push(Violation::new("file length", &file.path, message));
    }
    for function in functions(&source.code) {
        if function.line_count > MAX_FUNCTION_LINES {
            let message = format!(
                "fn {} has {} lines, {MAX_FUNCTION_LINES} at most: name its steps",
                function.name, function.line_count
            );
            let violation = Violation::new("function length", &file.path, message);
            violations.push(violation.at(function.first_line));
        }
    }
    violations
}

fn mark_violations(file: &TextFile, text: &str, mark: &str, advice: &str) -> Vec<Violation> {
    text.match_indices(mark)
        .map(|(at, _)| {
            Violation::new("forbidden mark", &file.path, format!("{mark}: {advice}"))
                .at(line_of(text, at))
        })
        .collect()
}

/// `unsafe` code needs a first line that announces it.
fn unsafe_violation(file: &TextFile, source: &SourceText) -> Option<Violation> {
    let at = word_positions(&source.code, "unsafe").next()?;
    let announced = source.comments.lines().next().is_some_and(|line| line.contains("unsafe"));
    (!announced).then(|| {
        let message = "unsafe code in a file whose first line does not announce it: \
                       begin with `// unsafe: why it is needed`";
        Violation::new("unsafe", &file.path, message).at(line_of(&source.code, at))
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE_LINES, MAX_FUNCTION_LINES, check};
    use crate::workspace::TextFile;

    fn rules_broken_by(text: &str) -> Vec<&'static str> {
        let file = TextFile { path: "a.rs".into(), text: text.into() };
        check(&file).into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn each_mark_is_found_in_code_and_not_in_literals() {
        let cases = [
            ("#[ignore]\nfn f() {}", 1),
            ("#[ignore = \"slow\"]\nfn f() {}", 1),
            ("#[should_panic(expected = \"x\")]\nfn f() {}", 1),
            ("fn f() { std::thread::sleep(d) }", 1),
            ("fn f() { todo!() }", 1),
            ("fn f() { unimplemented!() }", 1),
            ("#[allow(dead_code)]\nfn f() {}", 1),
            ("#[allow(dead_code, reason = \"a model runs part of it\")]\nfn f() {}", 0),
            ("// TODO: later\nfn f() {}", 1),
            ("fn f() { /* FIXME */ }", 1),
            ("/// ```ignore\n/// f()\n/// ```\nfn f() {}", 1),
            ("fn f() { g(\"TODO #[ignore] todo!()\") }", 0),
            ("fn f() {} // waits for thread::sleep of others", 0),
        ];
        for (text, count) in cases {
            let expected = vec!["forbidden mark"; count];
            assert_eq!(rules_broken_by(text), expected, "{text}");
        }
    }

    #[test]
    fn lengths_are_allowed_up_to_the_limit() {
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "x();\n".repeat(lines - 2));
        assert_eq!(rules_broken_by(&function(MAX_FUNCTION_LINES)), [""; 0]);
        assert_eq!(rules_broken_by(&function(MAX_FUNCTION_LINES + 1)), ["function length"]);
        assert_eq!(rules_broken_by(&"\n".repeat(MAX_FILE_LINES)), [""; 0]);
        assert_eq!(rules_broken_by(&"\n".repeat(MAX_FILE_LINES + 1)), ["file length"]);
    }

    #[test]
    fn unsafe_code_is_announced_in_the_first_line() {
        assert_eq!(rules_broken_by("fn f() { unsafe { g() } }"), ["unsafe"]);
        assert_eq!(rules_broken_by("//! unsafe: maps.\nfn f() { unsafe { g() } }"), [""; 0]);
        assert_eq!(rules_broken_by("#![forbid(unsafe_code)]\n// no unsafe here"), [""; 0]);
    }
}
