//! What a test program prints about itself.

/// True if some test was run: a filter that finds none ends well too.
pub(crate) fn has_run_tests(report: &str) -> bool {
    let mut counts = report.lines().filter_map(count_of_run).peekable();
    counts.peek().is_some() && counts.all(|count| count > 0)
}

/// The number in `running 3 tests`.
fn count_of_run(line: &str) -> Option<u64> {
    let (count, word) = line.strip_prefix("running ")?.split_once(' ')?;
    word.starts_with("test").then(|| count.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::has_run_tests;

    #[test]
    fn a_report_without_a_test_is_told_from_one_with_tests() {
        assert!(has_run_tests("\nrunning 1 test\n.\ntest result: ok\n"));
        assert!(has_run_tests("running 12 tests\n............\nrunning 2 tests\n..\n"));
        assert!(!has_run_tests("\nrunning 0 tests\n\ntest result: ok\n"));
        assert!(!has_run_tests("running 12 tests\nrunning 0 tests\n"), "a program of two had none");
        assert!(!has_run_tests("error: no such command\n"));
    }
}
