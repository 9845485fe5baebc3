//! The checker of a scenario: a shell script that hangs, forks or writes as the content demands.

use std::path::{Path, PathBuf};

use crate::process::install;

/// Writes the script to `directory`. `check` validates the file `$1`; `main` is the watched main file; `sleep` is the argument of
/// `sleep` by which its processes are found.
pub(crate) fn write(directory: &Path, check: &str, main: &Path, sleep: &str) -> PathBuf {
    let (main, scratch) = (main.display(), main.with_file_name("scratch"));
    let scratch = scratch.display();
    let script = format!(
        "#!/bin/sh\nread -r _ word < \"$1\"\ncase $word in\nforbidden) echo 'forbidden by the policy' >&2; exit 1 ;;\n\
         hanging) exec sleep {sleep} ;;\nforking) setsid sleep {sleep} & sleep {sleep} & ;;\ntouching) touch -c {main}; : > \
         {scratch}; rm {scratch} ;;\nesac\n{check}\n"
    );
    let (text, path) = (directory.join("checker.sh"), directory.join("checker"));
    std::fs::write(&text, script).expect("there is room");
    install(&text, &path);
    path
}
