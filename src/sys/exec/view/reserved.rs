//! Places of the machine over which nothing of the inputs is laid: what lies there decides what a program is, and not how it is
//! configured. IO: reads the list of accounts and follows links.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::root::KERNEL;
use super::{PROGRAMS, programs};

/// Directories among these with configurations or sources alone.
const NO_PROGRAMS: [&str; 3] = ["/usr/local/etc", "/usr/local/src", "/usr/src"];
/// Directories among these in which each application has a directory of its own.
const OF_APPLICATIONS: [&str; 2] = ["/usr/local", "/usr/share"];
/// Names in these directories that are of no application, or the beginnings of names of a language's own code.
const OF_LANGUAGES: [&str; 20] = [
    "bin", "gcc", "gems", "guile", "include", "java", "lib", "libexec", "lua", "node", "npm", "nvm", "perl", "php",
    "python", "ruby", "sbin", "share", "tcl", "vendor",
];
/// Directories in which whole machines keep their files, those of `/etc` as well.
const STORES: [&str; 2] = ["/gnu", "/nix"];
/// Names of the directories of an application that hold its configuration or its data.
const OF_CONFIGURATION: [&str; 12] = [
    "certs",
    "conf",
    "conf.d",
    "config",
    "config.d",
    "configs",
    "data",
    "etc",
    "html",
    "htdocs",
    "pipeline",
    "templates",
];
/// Extensions of configuration files in the directory of an application.
const CONFIGURATION: [&str; 9] = ["cfg", "cnf", "conf", "ini", "json", "properties", "toml", "yaml", "yml"];
/// Files and directories that programs read to load libraries, to know users and names, or to find code: ld.so(8), nsswitch.conf(5),
/// passwd(5), pam.d(5), config(5ssl), mech(5), pkcs11.conf(5), update-alternatives(1); and the directories of Perl, Python, Ruby and Java.
const SYSTEM_FILES: [&str; 38] = [
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/crypto-policies",
    "/etc/environment",
    "/etc/group",
    "/etc/gshadow",
    "/etc/gss",
    "/etc/init.d",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/login.defs",
    "/etc/nsswitch.conf",
    "/etc/opt",
    "/etc/pam.conf",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pkcs11",
    "/etc/pki/tls/openssl.cnf",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/security",
    "/etc/shadow",
    "/etc/static",
    "/etc/ssl/openssl.cnf",
    "/etc/subgid",
    "/etc/subuid",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/systemd",
    "/var/db",
    "/var/lib/dpkg",
    "/var/lib/flatpak",
    "/var/lib/gems",
    "/var/lib/rpm",
    "/var/lib/snapd",
];
/// Beginnings of names in `/etc` of the settings of languages.
const SETTINGS_OF_LANGUAGES: [&str; 6] = ["gconv", "java", "lua", "node", "python", "ruby"];
/// Directories that hold more than one application's files: nothing is laid over them as a whole.
const SHARED: [&str; 5] = ["/etc", "/run", "/var", "/var/lib", "/var/run"];

/// Places over which nothing of the inputs is laid.
#[derive(Clone, Debug, Default)]
pub struct ReservedPlaces {
    /// Directories of the search path, and the places of their programs.
    programs: Vec<PathBuf>,
    /// Home directories of all accounts, in which languages look for code (`~/.local`, `~/.gem`).
    homes: Vec<PathBuf>,
}

impl ReservedPlaces {
    /// Finds the places of this machine.
    #[must_use]
    pub fn find() -> Self {
        let is_known = |path: &PathBuf| PROGRAMS.iter().any(|known| path.starts_with(known));
        let programs: Vec<_> = programs::find().into_iter().filter(|path| !is_known(path)).collect();
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let homes = accounts.lines().filter_map(|line| line.split(':').nth(5)).map(PathBuf::from);
        let homes = homes.chain(["/", "/root"].map(PathBuf::from)).filter(|home| home.is_absolute());
        Self { programs: with_real(&programs), homes: with_real(&homes.collect::<Vec<_>>()) }
    }

    /// Returns true if nothing is laid at `at`: it is a place of the system, is above one, or brings one of these `files`, which lie
    /// there or below.
    #[must_use]
    pub fn refuses<'p>(&self, at: &Path, files: impl IntoIterator<Item = &'p Path>) -> bool {
        let real = real(at);
        // Nix keeps the files of `/etc` beside its programs.
        let is_of_store = at.starts_with("/etc") && STORES.iter().any(|store| real.starts_with(store));
        let real = if is_of_store { at.to_owned() } else { real };
        if self.is_above(at) || self.is_above(&real) || self.holds(at) || self.holds(&real) {
            return true;
        }
        let below = files.into_iter().filter_map(|file| file.strip_prefix(at).ok());
        below.into_iter().any(|file| {
            // A path joined with nothing ends in a slash.
            !file.as_os_str().is_empty() && (self.holds(&at.join(file)) || self.holds(&real.join(file)))
        })
    }

    /// Returns true if something laid over the whole of `at` hides a place of the system.
    fn is_above(&self, at: &Path) -> bool {
        let system = PROGRAMS.iter().chain(&KERNEL).chain(&SHARED).map(Path::new);
        let is_above = |place: &Path| place.starts_with(at) && !is_of_configuration(at);
        system.chain(self.programs.iter().map(PathBuf::as_path)).any(is_above)
    }

    /// Returns true if `path` is a place of the system, or lies below one.
    fn holds(&self, path: &Path) -> bool {
        let is_below = |place: &str| path.starts_with(place);
        let in_home = |home: &PathBuf| {
            let first = path.strip_prefix(home).ok().and_then(|rest| rest.components().next());
            first.is_some_and(|name| {
                name.as_os_str() != ".config" && name.as_os_str().as_encoded_bytes().starts_with(b".")
            })
        };
        let of_language = path.strip_prefix("/etc").ok().and_then(|rest| rest.components().next());
        let of_language = of_language.is_some_and(|name| begins(name.as_os_str(), &SETTINGS_OF_LANGUAGES));
        let is_odd = !path.is_absolute() || path.components().any(|part| part == Component::ParentDir);
        is_odd
            || of_language
            || KERNEL.into_iter().chain(SYSTEM_FILES).any(is_below)
            || (PROGRAMS.into_iter().any(is_below) && !is_of_configuration(path))
            || self.programs.iter().any(|place| path.starts_with(place) && !is_of_configuration(path))
            || self.homes.iter().any(in_home)
    }
}

/// Returns true for a path among the directories of programs that holds configurations.
fn is_of_configuration(path: &Path) -> bool {
    NO_PROGRAMS.iter().any(|place| path.starts_with(place))
        || OF_APPLICATIONS.iter().filter_map(|place| path.strip_prefix(place).ok()).any(is_configuration_of_application)
}

fn is_configuration_of_application(path: &Path) -> bool {
    let names: Vec<&OsStr> = path.iter().collect();
    let Some((application, inside)) = names.split_first() else { return false };
    let is_named = |name: &&OsStr| OF_CONFIGURATION.iter().any(|known| *name == *known);
    let is_file =
        |name: &OsStr| Path::new(name).extension().is_some_and(|end| CONFIGURATION.iter().any(|known| end == *known));
    let ends_as_file = inside.last().is_some_and(|name| is_file(name));
    !begins(application, &OF_LANGUAGES) && (ends_as_file || inside.iter().any(is_named))
}

fn begins(name: &OsStr, with: &[&str]) -> bool {
    with.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()))
}

/// Returns a path with the links in the part that exists followed.
pub(super) fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = found else { return path.to_owned() };
    // A path joined with nothing ends in a slash.
    path.strip_prefix(above).map_or_else(|_| path.to_owned(), |rest| real.join(rest).components().collect())
}

/// Returns these paths, and behind them those to which links lead.
fn with_real(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = paths.iter().map(|path| real(path)).chain(paths.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> ReservedPlaces {
        ReservedPlaces {
            programs: vec!["/opt/tool/bin".into(), "/opt/tool/lib".into()],
            homes: vec!["/".into(), "/root".into(), "/var/lib/app".into()],
        }
    }

    #[test]
    fn nothing_is_laid_over_programs_libraries_accounts_and_code() {
        for at in [
            "/",
            "/etc",
            "/usr",
            "/usr/local",
            "/usr/share",
            "/var",
            "/var/lib",
            "/proc/self",
            "/dev/shm",
            "/sys",
            "/bin/sh",
            "/lib/x86_64-linux-gnu/libz.so.1",
            "/lib64",
            "/usr/sbin/haproxy",
            "/usr/lib/ruby/3.1.0",
            "/usr/share/perl5/Config.pm",
            "/usr/share/python3/config",
            "/usr/share/app",
            "/usr/share/app/lib/a.rb",
            "/usr/local/bin/start.sh",
            "/usr/local/lib/python3/config",
            "/usr/local/app/lib",
            "/etc/ld.so.preload",
            "/etc/ld.so.conf.d/a.conf",
            "/etc/ssl/openssl.cnf",
            "/etc/passwd",
            "/etc/nsswitch.conf",
            "/etc/pam.d/sshd",
            "/etc/python3.11/sitecustomize.py",
            "/etc/alternatives/ruby",
            "/var/lib/gems/3.1.0/specifications",
            "/opt",
            "/opt/tool",
            "/opt/tool/bin",
            "/opt/tool/lib/a.so",
            "/root/.local/lib/python3.11/site-packages",
            "/.gem",
            "/var/lib/app/.gem",
            "/etc/app/../ld.so.preload",
            "relative",
        ] {
            assert!(places().refuses(Path::new(at), []), "{at}");
        }
        let (directory, file) = (Path::new("/etc/ssl"), Path::new("/etc/ssl/openssl.cnf"));
        assert!(places().refuses(directory, [file]), "a directory brings a file of the system");
        assert!(places().refuses(Path::new("/root"), [Path::new("/root/.gem/a.rb")]), "a home brings code");
    }

    #[test]
    fn the_places_of_configurations_are_open() {
        for at in [
            "/usr/local/etc",
            "/usr/local/etc/haproxy",
            "/usr/local/etc/php/conf.d/a.ini",
            "/usr/local/openresty/nginx/conf/nginx.conf",
            "/usr/local/apache2/conf",
            "/usr/share/logstash/pipeline",
            "/usr/share/nginx/html",
            "/usr/share/filebeat/filebeat.yml",
            "/usr/share/nginx/modules-available/mod.conf",
            "/usr/src/app",
            "/etc/nginx",
            "/etc/ssl",
            "/etc/ssl/certs",
            "/etc/hosts",
            "/var/lib/postgresql/data",
            "/var/run/app",
            "/opt/bitnami/nginx/conf/server_blocks",
            "/opt/tool/conf",
            "/root/.config/app",
            "/config",
            "/srv/site",
            "/tmp",
            "/home/app",
        ] {
            assert!(!places().refuses(Path::new(at), []), "{at}");
        }
        let (directory, file) = (Path::new("/etc/ssl"), Path::new("/etc/ssl/certs/a.pem"));
        assert!(!places().refuses(directory, [file]));
        assert!(!places().refuses(Path::new("/etc/nginx"), [Path::new("/etc/nginx/.htpasswd")]));
    }

    #[test]
    fn a_link_leads_to_no_place_of_the_system() {
        let place = tempfile::tempdir().expect("there is room");
        std::os::unix::fs::symlink("/usr/lib", place.path().join("lib")).expect("there is room");
        assert!(places().refuses(&place.path().join("lib/new"), []));
        assert!(!places().refuses(&place.path().join("other/new"), []));
    }
}
