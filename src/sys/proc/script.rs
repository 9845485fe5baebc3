//! Scripts, by the command lines of their interpreters. Pure.

/// Interpreters by name; a version may follow it, as in `python3.11`.
const INTERPRETERS: [&str; 8] = ["python", "pypy", "ruby", "bundle", "perl", "node", "nodejs", "php"];
/// Options of interpreters whose value is the next word: python(1), ruby(1), perlrun(1), node(1).
const WITH_VALUE: [&str; 8] = ["-W", "-X", "-I", "-r", "-C", "-E", "--require", "--import"];
/// Options that give the program itself in place of a script.
const PROGRAM: [&str; 2] = ["-c", "-e"];

/// A script that an interpreter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'w> {
    /// The name of its file, or of its module.
    pub name: &'w str,
    /// The words behind it.
    pub arguments: &'w [String],
}

/// Returns true for the name of an interpreter.
#[must_use]
pub fn is_interpreter(name: &str) -> bool {
    let is_version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    INTERPRETERS.iter().any(|interpreter| name.strip_prefix(interpreter).is_some_and(is_version))
}

/// Returns the script that a command line runs, if its first word is an interpreter.
#[must_use]
pub fn script(words: &[String]) -> Option<Script<'_>> {
    let (interpreter, mut rest) = words.split_first()?;
    if !is_interpreter(last(interpreter)) {
        return None;
    }
    while let Some((word, behind)) = rest.split_first() {
        rest = match word.as_str() {
            // `python -m NAME` runs a module, whose name may have dots (python(1)).
            "-m" => {
                let (module, arguments) = behind.split_first()?;
                return Some(Script { name: module.rsplit('.').next()?, arguments });
            }
            option if PROGRAM.contains(&option) => return None,
            option if WITH_VALUE.contains(&option) => behind.get(1..)?,
            // `bundle exec NAME` (bundle-exec(1)).
            "exec" if last(interpreter).starts_with("bundle") => behind,
            option if option.starts_with('-') => behind,
            path => return Some(Script { name: name_of(path), arguments: behind }),
        };
    }
    None
}

/// The name of a script's file. The file of a module that is run is `NAME/__main__.py`.
fn name_of(path: &str) -> &str {
    let module = path.strip_suffix("/__main__.py").unwrap_or(path);
    last(module)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_the_command_line_of_its_interpreter() {
        for (line, expected) in [
            ("/usr/bin/python3 /usr/bin/gunicorn -c a.py", Some(("gunicorn", 2))),
            ("python3.11 -m gunicorn -c a.py", Some(("gunicorn", 2))),
            ("python3 -X dev -u -m tools.server", Some(("server", 0))),
            ("python3 /usr/lib/python3/dist-packages/gunicorn/__main__.py web:app", Some(("gunicorn", 1))),
            ("ruby -I lib /usr/bin/unicorn -D", Some(("unicorn", 1))),
            ("bundle exec puma", Some(("puma", 0))),
            ("python3 -c import(gunicorn)", None),
            ("perl -e 1", None),
            ("python3", None),
            ("pythonista gunicorn", None),
            ("nginx -c a", None),
            ("", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = script(&words).map(|script| (script.name, script.arguments.len()));
            assert_eq!(found, expected, "{line}");
        }
    }
}
