//! Directories and files of the machine that a program which validates inputs does not see: all but those of the system and of programs.
//! IO: lists directories, reads the list of accounts and the environment.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::PROGRAMS;
use super::root::{KERNEL, TEMPORARY};

/// Directories of users.
const HOMES: [&str; 2] = ["/root", "/home"];
/// Directories of settings, of running programs and of programs' own data: what lies there is shown, except what the environment names.
const DATA: [&str; 8] = ["/etc", "/run", "/var/cache", "/var/lib", "/var/lock", "/var/log", "/var/run", "/var/spool"];
/// Directories above some of those.
const ABOVE: [&str; 2] = ["/", "/var"];
/// Directories of sources, in which images are often built.
const SOURCES: [&str; 2] = ["/usr/src", "/usr/local/src"];
/// Variables that name files which programs need, and no credentials.
const OF_PROGRAMS: [&str; 12] = [
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "INFOPATH",
    "LD_LIBRARY_PATH",
    "MANPATH",
    "NODE_EXTRA_CA_CERTS",
    "OPENSSL_CONF",
    "PATH",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Returns the directories that are shown empty, except for programs, and the files that are not shown. A job's credentials lie in home
/// directories, in the checkout (`.git/config`), beside it (`/builds/group/project.tmp`, `/__w/_temp`), and where variables say.
#[must_use]
pub fn homes() -> Vec<PathBuf> {
    let here = std::env::current_dir().ok();
    let checkout = here.as_deref().and_then(|here| here.ancestors().find(|above| above.join(".git").exists()));
    let checkout = checkout.map(Path::to_owned).or_else(|| here.clone());
    let own = [own_home(), std::env::var_os("HOME").map(PathBuf::from), checkout.clone()];
    let beside = checkout.as_deref().and_then(Path::parent).map(Path::to_owned);
    let of_user = own.into_iter().flatten().chain(beside).filter(|path| is_of_user(path));
    // Where the checkout is a directory of the system, its history is none.
    let history = checkout.map(|checkout| checkout.join(".git")).filter(|history| history.exists());
    let fixed = HOMES.iter().chain(&TEMPORARY).chain(&SOURCES).map(PathBuf::from);
    let all = fixed.chain(unknown()).chain(of_user).chain(history).chain(named());
    let all: BTreeSet<PathBuf> = all.map(|path| path.canonicalize().unwrap_or(path)).collect();
    all.into_iter().filter(|path| !is_needed(path)).collect()
}

/// Returns the home directory of the user who runs this.
fn own_home() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // Name, password, user id, group id, comment, home, shell (passwd(5)).
    let mut fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = fields.find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    own.get(5).map(PathBuf::from)
}

/// Returns what lies in the root directory and in `/var` and is not of the system.
fn unknown() -> impl Iterator<Item = PathBuf> {
    let entries = ABOVE.iter().flat_map(|above| fs::read_dir(above).into_iter().flatten().flatten());
    // What a link leads to is shown where it lies, or not.
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    entries.map(|entry| entry.path()).filter(|path| !is_of_system(path))
}

/// Returns the files and directories that the environment names.
fn named() -> impl Iterator<Item = PathBuf> {
    let variables = std::env::vars_os().filter(|(name, _)| !OF_PROGRAMS.iter().any(|known| name == OsStr::new(known)));
    let paths = variables.flat_map(|(_, value)| std::env::split_paths(&value).collect::<Vec<_>>());
    let paths = paths.filter(|path| path.is_absolute()).filter_map(|path| path.canonicalize().ok());
    // A directory of settings that a variable names is one of a program.
    paths.filter(|path| is_of_user(path) || (is_in_data(path) && (path.is_file() || !path.starts_with("/etc"))))
}

/// Returns true for a directory of the system, and for what lies there.
fn is_of_system(path: &Path) -> bool {
    let mut system = PROGRAMS.iter().chain(&KERNEL).chain(&DATA).chain(&TEMPORARY);
    system.any(|system| path.starts_with(system)) || path == Path::new("/var")
}

fn is_in_data(path: &Path) -> bool {
    DATA.iter().any(|data| path.starts_with(data)) && !DATA.iter().any(|data| path == Path::new(data))
}

/// Returns true for a directory outside of those of the system. The directories of the system are the homes of some of its accounts.
fn is_of_user(path: &Path) -> bool {
    let is_in_var = path.starts_with("/var") && path.components().count() > 3;
    path.is_absolute() && (!is_of_system(path) || is_in_var)
}

/// Returns true for a directory that is above one of the system.
fn is_needed(path: &Path) -> bool {
    let mut system = PROGRAMS.iter().chain(&KERNEL).chain(&DATA);
    system.any(|system| Path::new(system).starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_of_the_system_are_shown() {
        let hidden = homes();
        for shown in ["/", "/etc", "/usr", "/usr/lib", "/bin", "/proc", "/dev", "/var", "/var/lib", "/run"] {
            assert!(!hidden.contains(&PathBuf::from(shown)), "{shown}");
        }
        for home in ["/root", "/home", "/tmp"] {
            assert!(hidden.contains(&PathBuf::from(home).canonicalize().unwrap_or(home.into())), "{home}");
        }
    }

    #[test]
    fn a_checkout_is_of_the_user_wherever_it_lies() {
        for path in ["/srv/builds/g", "/__w/repo", "/opt/app", "/var/lib/ci/workspace", "/data"] {
            assert!(is_of_user(Path::new(path)), "{path}");
        }
        for path in ["/var/lib", "/usr", "/etc/nginx", "/run/app", "/var"] {
            assert!(!is_of_user(Path::new(path)), "{path}");
        }
        assert!(is_needed(Path::new("/")) && is_needed(Path::new("/var")) && !is_needed(Path::new("/opt")));
    }
}
