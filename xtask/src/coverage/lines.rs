//! The lines of each file, from the text format of lcov.

/// The lines of a file that no test reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileLines {
    pub(super) path: String,
    pub(super) unreached: Vec<usize>,
}

/// Reads `SF:path`, `DA:line,count` and `end_of_record`.
pub(super) fn parse(lcov: &str) -> Vec<FileLines> {
    let mut files = Vec::new();
    let mut current: Option<FileLines> = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some(FileLines { path: path.to_owned(), unreached: Vec::new() });
        } else if line == "end_of_record" {
            files.extend(current.take());
        } else if let (Some(fields), Some(file)) = (line.strip_prefix("DA:"), &mut current) {
            let mut fields = fields.split(',');
            let number = fields.next().and_then(|number| number.parse().ok());
            if let (Some(number), Some("0")) = (number, fields.next()) {
                file.unreached.push(number);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::{FileLines, parse};

    #[test]
    fn lines_that_were_never_run_are_found() {
        let lcov =
            "SF:/a.rs\nFN:1,f\nDA:1,3\nDA:2,0\nDA:10,0\nend_of_record\nSF:/b.rs\nend_of_record\n";
        let expected = [
            FileLines { path: "/a.rs".into(), unreached: vec![2, 10] },
            FileLines { path: "/b.rs".into(), unreached: vec![] },
        ];
        assert_eq!(parse(lcov), expected);
    }
}
