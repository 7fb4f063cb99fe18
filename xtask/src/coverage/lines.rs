//! The lines and branches of each file, from the text format of lcov.

/// What no test reached of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileLines {
    pub(super) path: String,
    /// Lines that were never run.
    pub(super) unreached: Vec<usize>,
    /// Lines with a condition that always came out the same.
    pub(super) one_sided: Vec<usize>,
}

/// Reads `SF:path`, `DA:line,count`, `BRDA:line,block,branch,count` and
/// `end_of_record`. The branches of a line that was never run are left out.
pub(super) fn parse(lcov: &str) -> Vec<FileLines> {
    let mut files = Vec::new();
    let mut current: Option<FileLines> = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some(FileLines { path: path.to_owned(), ..FileLines::default() });
        } else if line == "end_of_record" {
            files.extend(current.take().map(finish));
        } else if let (Some(fields), Some(file)) = (line.strip_prefix("DA:"), &mut current) {
            file.unreached.extend(never(fields));
        } else if let (Some(fields), Some(file)) = (line.strip_prefix("BRDA:"), &mut current) {
            file.one_sided.extend(never(fields));
        }
    }
    files
}

/// The number of a line, the first field, whose count, the last, is none.
fn never(fields: &str) -> Option<usize> {
    let (number, rest) = fields.split_once(',')?;
    let count = rest.rsplit(',').next()?;
    matches!(count, "0" | "-").then(|| number.parse().ok())?
}

fn finish(mut file: FileLines) -> FileLines {
    let FileLines { unreached, one_sided, .. } = &mut file;
    one_sided.sort_unstable();
    one_sided.dedup();
    one_sided.retain(|number| !unreached.contains(number));
    file
}

#[cfg(test)]
mod tests {
    use super::{FileLines, parse};

    #[test]
    fn lines_that_were_never_run_and_branches_never_taken_are_found() {
        let lcov = "SF:/a.rs\nFN:1,f\nBRDA:3,0,0,-\nBRDA:1,0,0,3\nBRDA:1,0,1,0\nBRDA:1,1,0,0\n\
                    BRDA:2,0,0,-\nDA:1,3\nDA:2,0\nDA:3,7\nDA:10,0\nend_of_record\n\
                    SF:/b.rs\nBRDA:4,0,0,9\nend_of_record\n";
        let expected = [
            FileLines { path: "/a.rs".into(), unreached: vec![2, 10], one_sided: vec![1, 3] },
            FileLines { path: "/b.rs".into(), ..FileLines::default() },
        ];
        assert_eq!(parse(lcov), expected);
    }
}
