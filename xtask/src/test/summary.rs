//! Counting tests from what the test programs print.
//!
//! `test result: ok. 3 passed; 1 failed; 0 ignored; …` is the one line of the standard test runner
//! that is stable; its JSON output is not.

/// Tests counted so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// How many result lines were read.
    pub(crate) results: usize,
    /// The tests that failed, by the names under which the test programs list them in the end.
    pub(crate) names: Vec<String>,
    /// Those of them that passed when they ran once more, alone.
    pub(crate) unsteady: Vec<String>,
    /// Whether the lines that come are such a list.
    pub(super) listing: bool,
}

impl Tally {
    /// Adds the counts of `line` when it is a result line, or the name when it is one of those that
    /// failed.
    pub(crate) fn read(&mut self, line: &str) {
        if line == "failures:" {
            self.listing = true;
        } else if let (true, Some(name)) = (self.listing, line.strip_prefix("    ")) {
            self.names.push(name.to_owned());
        } else {
            self.listing = false;
        }
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        self.results += 1;
        // "ok. 3 passed; 1 failed; 0 ignored; 0 measured; …": number, word.
        let words: Vec<&str> = counts.split([' ', ';', '.']).filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2) {
            let [number, word] = pair else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match *word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Takes for passed what failed here and passed in `second`, a run of nothing but what failed.
    /// Where that run does not account for each test, all stays as it was.
    pub(crate) fn repeat(&mut self, second: Self) {
        if second.passed + second.failed != self.names.len() {
            return;
        }
        let passed: Vec<String> =
            self.names.iter().filter(|name| !second.names.contains(name)).cloned().collect();
        self.passed += passed.len();
        self.failed = self.failed.saturating_sub(passed.len());
        self.unsteady = passed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up_and_others_do_not_count() {
        let mut tally = Tally::default();
        for line in [
            "running 5 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; \
             finished in 0.01s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 12.50s",
            "100 passed",
        ] {
            tally.read(line);
        }
        assert_eq!(
            tally,
            Tally { passed: 5, failed: 4, ignored: 1, results: 2, ..Tally::default() }
        );
    }

    fn read(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn a_test_that_passes_alone_is_unsteady_and_one_that_does_not_has_failed() {
        let lines = [
            "failures:",
            "",
            "---- many::slow stdout ----",
            "    0: a frame",
            "failures:",
            "    many::slow",
            "    one::broken",
            "",
            "test result: FAILED. 8 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        let broken = ["failures:", "    one::broken", "test result: FAILED. 1 passed; 1 failed"];
        let mut tally = read(&lines);
        tally.repeat(read(&broken));
        assert_eq!((tally.passed, tally.failed), (9, 1));
        assert_eq!(tally.unsteady, ["many::slow"]);
        // One that did not run the second time has not passed.
        let mut tally = read(&lines);
        tally.repeat(read(&["test result: ok. 1 passed; 0 failed"]));
        assert_eq!((tally.passed, tally.failed, tally.unsteady.len()), (8, 2, 0));
    }
}
