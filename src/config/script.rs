//! Placeholders in the script of a command: a file name in the place of one would be executed as a part of that script. Pure.

/// Placeholders whose value the author of the sources chooses, by the names of files.
const OF_AUTHOR: [&str; 2] = ["{config}", "{dir}"];

/// A program that executes text of its command line.
struct Interpreter {
    names: &'static [&'static str],
    /// Letters of the options whose value is the script.
    letters: &'static [char],
    /// The same as long options.
    long: &'static [&'static str],
    is_shell: bool,
    /// Options may stand behind other words.
    takes_words: bool,
}

const INTERPRETERS: [Interpreter; 6] = [
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"],
        letters: &['c'],
        long: &[],
        is_shell: true,
        takes_words: false,
    },
    // They hand it to the shell of a user.
    Interpreter {
        names: &["su", "runuser"],
        letters: &['c'],
        long: &["--command"],
        is_shell: false,
        takes_words: true,
    },
    Interpreter { names: &["python", "pypy"], letters: &['c'], long: &[], is_shell: false, takes_words: false },
    Interpreter {
        names: &["perl", "ruby", "lua"],
        letters: &['e', 'E'],
        long: &[],
        is_shell: false,
        takes_words: false,
    },
    Interpreter {
        names: &["node"],
        letters: &['e', 'p'],
        long: &["--eval", "--print"],
        is_shell: false,
        takes_words: false,
    },
    Interpreter { names: &["php"], letters: &['r'], long: &["--run"], is_shell: false, takes_words: false },
];

/// Options of these programs that take a value.
const WITH_VALUE: [&str; 9] = ["-o", "+o", "-O", "--rcfile", "--init-file", "-W", "-X", "-d", "-r"];

/// A placeholder in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScriptPlaceholder {
    /// The position of the script among the words.
    pub(super) at: usize,
    placeholder: &'static str,
    is_shell: bool,
}

impl ScriptPlaceholder {
    /// Returns the first in the words of a command.
    pub(super) fn find(words: &[String]) -> Option<Self> {
        let scripts = words.iter().enumerate().filter_map(|(at, word)| {
            let interpreter = INTERPRETERS.iter().find(|interpreter| interpreter.is_called(word))?;
            Some((interpreter.script(words, at)?, interpreter.is_shell))
        });
        let mut found = scripts.filter_map(|(at, is_shell)| {
            let placeholder = OF_AUTHOR.into_iter().find(|placeholder| words[at].contains(placeholder))?;
            Some(Self { at, placeholder, is_shell })
        });
        found.next()
    }

    /// Returns the message and the help.
    pub(super) fn explained(self) -> (String, String) {
        let Self { placeholder, is_shell, .. } = self;
        let message = format!("`{placeholder}` is in a script, which would execute the name of a file as a part of it");
        let help = if is_shell {
            format!(
                "pass it as an argument: write `\"$0\"` in the script, and `{placeholder}` behind it as a word of its own"
            )
        } else {
            format!("pass it as an argument: write `{placeholder}` behind the script as a word of its own")
        };
        (message, help)
    }
}

impl Interpreter {
    /// Returns true if a word is the program, by any path and of any version, as `/usr/bin/python3.12`.
    fn is_called(&self, word: &str) -> bool {
        let name = word.rsplit('/').next().unwrap_or(word);
        self.names.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-'))
    }

    /// Returns the position of the script of the program at `program`, if its options give one.
    fn script(&self, words: &[String], program: usize) -> Option<usize> {
        let mut before = "";
        for (at, word) in words.iter().enumerate().skip(program + 1) {
            let is_option = word.len() > 1 && word.starts_with(['-', '+']);
            if !is_option && !self.takes_words && !WITH_VALUE.contains(&before) {
                // A file with the script, and its arguments.
                return None;
            }
            before = word;
            if self.long.iter().any(|long| word == long) {
                return Some(at + 1).filter(|at| *at < words.len());
            }
            if self.long.iter().any(|long| word.strip_prefix(long).is_some_and(|rest| rest.starts_with('='))) {
                return Some(at);
            }
            let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
            let Some(place) = letters.and_then(|letters| letters.find(self.letters)) else { continue };
            // A shell takes further options before its script, which is a word of its own (sh(1)).
            let is_attached = !self.is_shell && letters.is_some_and(|letters| place + 1 < letters.len());
            let is_script = |at: &usize| !self.is_shell || !words[*at].starts_with(['-', '+']);
            return if is_attached { Some(at) } else { (at + 1..words.len()).find(is_script) };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<(usize, &'static str)> {
        let words = shell_words::split(line).expect("it is a line");
        ScriptPlaceholder::find(&words).map(|found| (found.at, found.placeholder))
    }

    #[test]
    fn a_placeholder_in_a_script_is_found() {
        for (line, expected) in [
            ("sh -c 'cat {config}'", (2, "{config}")),
            ("sh -c {config}", (2, "{config}")),
            ("/bin/bash -eu -o pipefail -c 'ls {dir} | wc'", (5, "{dir}")),
            ("bash -ec -u 'cat {config}'", (3, "{config}")),
            ("busybox ash -c 'cat {config}'", (3, "{config}")),
            ("timeout 5 zsh -c 'cat {config}' x", (4, "{config}")),
            ("env -i sh -c 'cat {config}'", (4, "{config}")),
            ("su app -c 'nginx -t -c {config}'", (3, "{config}")),
            ("runuser -u app --command='x {dir}'", (3, "{dir}")),
            ("python3.12 -I -c \"open('{config}')\"", (3, "{config}")),
            ("perl -ne'print if m{config}' x", (1, "{config}")),
            ("node --eval 'x(\"{config}\")'", (2, "{config}")),
        ] {
            assert_eq!(found(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_placeholder_that_is_an_argument_is_none() {
        for line in [
            "sh -c 'cat \"$0\"' {config}",
            "sh -c 'cat \"$0\" \"$1\"' {config} {dir}/x",
            "sh check.sh -c {config}",
            "sh ./check {config}",
            "nginx -t -c {config}",
            "app --config={config}",
            "python3 check.py -c {config}",
            "python3 -c 'import sys; open(sys.argv[1])' {config}",
            "grep -q '{config}' {config}",
            "sh -c",
            "sh -c 'kill {pid}'",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
