//! The changes of a configuration as a unified diff. Pure, except for a clock that ends a long comparison.

use std::path::Path;
use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::excerpt::shortened;
use super::log::visible;

/// The limits of a diff, in lines and in bytes.
const LINES: usize = 120;
const BYTES: usize = 16 << 10;
/// The length of a line in characters.
const WIDTH: usize = 200;
/// The size of a file that is compared.
const COMPARED: usize = 1 << 20;
/// The time after which a coarser comparison is enough.
const PATIENCE: Duration = Duration::from_millis(50);

/// One file that differs.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Its name.
    pub name: &'a Path,
    /// The old content; `None` if the file is new.
    pub before: Option<&'a [u8]>,
    /// The new content; `None` if the file is removed.
    pub after: Option<&'a [u8]>,
    /// True if only its name may be shown.
    pub hidden: bool,
}

/// The differences between the running and the rejected revision. The text is bounded, and marks omitted parts.
#[must_use]
pub fn unified(changes: &[Change<'_>]) -> String {
    let mut diff = Bounded::default();
    for (index, change) in changes.iter().enumerate() {
        if diff.left_out > 0 {
            diff.text += &format!(
                "... {} further lines and {} further files are left out\n",
                diff.left_out,
                changes.len() - index
            );
            return diff.text;
        }
        change.write(&mut diff);
    }
    if diff.left_out > 0 {
        diff.text += &format!("... {} further lines are left out\n", diff.left_out);
    }
    diff.text
}

#[derive(Default)]
struct Bounded {
    text: String,
    lines: usize,
    left_out: usize,
}

impl Bounded {
    fn push(&mut self, line: &str) {
        let line = shortened(line, WIDTH);
        if self.left_out > 0 || self.lines >= LINES || self.text.len() + line.len() >= BYTES {
            self.left_out += 1;
        } else {
            self.lines += 1;
            self.text.extend([&line, "\n"]);
        }
    }
}

impl Change<'_> {
    fn write(&self, diff: &mut Bounded) {
        let name = self.name.strip_prefix("/").unwrap_or(self.name).to_string_lossy();
        let side = |side, there| if there { format!("{side}/{}", visible(&name)) } else { "/dev/null".to_owned() };
        diff.push(&format!("--- {}", side("running", self.before.is_some())));
        diff.push(&format!("+++ {}", side("rejected", self.after.is_some())));
        let sides = [self.before, self.after].map(Option::unwrap_or_default);
        if self.hidden {
            return diff.push("(not shown: it may come from a Secret)");
        }
        if sides.iter().any(|side| side.len() > COMPARED) {
            return diff.push(&format!("(too large to be compared: {} and {} bytes)", sides[0].len(), sides[1].len()));
        }
        if sides.iter().any(|side| side.contains(&0)) {
            return diff.push("(no text)");
        }
        let [before, after] = sides.map(String::from_utf8_lossy);
        let compared = TextDiff::configure().timeout(PATIENCE).diff_lines(&*before, &*after);
        for hunk in compared.unified_diff().iter_hunks() {
            diff.push(&hunk.header().to_string());
            for change in hunk.iter_changes() {
                let sign = match change.tag() {
                    ChangeTag::Equal => ' ',
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                };
                diff.push(&format!("{sign}{}", change.value().trim_end_matches('\n')));
                if change.missing_newline() {
                    diff.push("\\ No newline at end of file");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change<'a>(name: &'a str, before: Option<&'a str>, after: Option<&'a str>) -> Change<'a> {
        let [before, after] = [before, after].map(|side| side.map(str::as_bytes));
        Change { name: Path::new(name), before, after, hidden: false }
    }

    #[test]
    fn it_reads_as_everybody_knows_it() {
        let before = (1..=20).map(|number| format!("line {number}\n")).collect::<String>();
        let after = before.replace("line 10\n", "lime 10\nnew\n");
        let shown = unified(&[
            change("/etc/nginx/nginx.conf", Some(&before), Some(&after)),
            change("added", None, Some("a")),
            change("removed", Some("b\n"), None),
        ]);
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn it_is_bounded_and_says_what_it_leaves_out() {
        let after = (0..5_000).map(|number| format!("{number}\n")).collect::<String>();
        let changes = [change("a", None, Some(&after)), change("b", None, Some("b")), change("c", None, Some("c"))];
        let shown = unified(&changes);
        assert!(shown.len() <= BYTES + 100 && shown.lines().count() == LINES + 1, "{}", shown.lines().count());
        // Three of the lines are a header.
        let expected = format!("... {} further lines and 2 further files are left out\n", 5_000 - (LINES - 3));
        assert!(shown.ends_with(&expected), "{shown}");
        let wide = "x".repeat(100_000);
        assert!(unified(&[change("a", None, Some(&wide))]).len() < 1_000);
        let wide = format!("{}\n", "x".repeat(190)).repeat(200);
        assert!(unified(&[change("a", None, Some(&wide))]).len() <= BYTES + 100);
    }

    #[test]
    fn hidden_large_and_binary_files_are_only_named() {
        let large = "a\n".repeat(COMPARED);
        let hidden = Change { hidden: true, ..change("tls.key", Some("old password"), Some("new password")) };
        let shown =
            unified(&[hidden, change("large", Some("a"), Some(&large)), change("binary", Some("a"), Some("\0"))]);
        assert!(!shown.contains("password"), "{shown}");
        for said in
            ["+++ rejected/tls.key\n(not shown", "+++ rejected/large\n(too large", "+++ rejected/binary\n(no text"]
        {
            assert!(shown.contains(said), "{said}: {shown}");
        }
    }

    #[test]
    fn no_name_makes_lines_of_its_own() {
        assert!(unified(&[change("a\n+evil", None, Some(""))]).contains("+++ rejected/a\\n+evil\n"));
    }
}
