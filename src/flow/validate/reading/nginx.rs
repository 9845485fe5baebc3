//! The configuration that a running nginx reads, by its command line and its program. IO: reads /proc.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use memchr::memmem;
use reload_gate_contract::Finding;
use reload_gate_nginx::{Build, Version};

use super::super::command;
use super::super::place::ExecutionPlace;
use crate::flow::snapshot::Access;

/// Largest program that is read, the size of the pieces, and the longest string that is found.
const LARGEST: u64 = 64 << 20;
const PIECE: usize = 128 << 10;
const LONGEST: usize = 8 << 10;
/// Number of programs that are remembered.
const KEPT: usize = 8;
/// Default of the file in nginx's own build (`NGX_CONF_PATH` in `auto/options`), relative to the prefix.
const CONF_PATH: &str = "conf/nginx.conf";
const PREFIX: &str = "/usr/local/nginx";

/// A running nginx.
#[derive(Debug, Default)]
pub(in super::super) struct RunningNginx {
    /// The absolute path of its main file in its root; `None` if the gate may not read the program that has the default.
    pub(in super::super) main: Option<String>,
    /// Prefix of its command line.
    pub(in super::super) prefix: Option<String>,
    /// Directives of its command line.
    pub(in super::super) global: String,
    /// The version and the build, both strings of its program.
    pub(in super::super) version: Option<(Version, Build)>,
}

impl RunningNginx {
    /// Returns the nginx that runs; the default without a target. `None` if its program would have to be read where `access` forbids
    /// that.
    ///
    /// # Errors
    /// When the options of its command line are lost.
    pub(in super::super) fn of(place: &ExecutionPlace, access: Access) -> Option<Result<Self, Box<Finding>>> {
        let Some(target) = &place.target else { return Some(Ok(Self::default())) };
        let words = place.cmdline();
        if let Some(finding) = super::lost_options(place, &words) {
            return Some(Err(Box::new(finding)));
        }
        let option = |name: &str| command::option_value(&words, name);
        let program = Program::of(target.pid(), access)?;
        let absolute = |prefix: String| {
            let path = PathBuf::from(&prefix);
            if path.is_absolute() {
                Some(prefix)
            } else {
                let cwd = place.cwd();
                cwd.is_absolute().then(|| cwd.join(path).display().to_string())
            }
        };
        let prefix = option("-p").and_then(absolute);
        // A relative path begins in the prefix (`ngx_process_options()` in `src/core/nginx.c`).
        let given = option("-c").or_else(|| program.as_ref().map(|program| program.conf_path().to_owned()));
        let base = prefix.clone().or_else(|| program.as_ref().map(|program| program.prefix().to_owned()));
        let main = given.and_then(|main| match base {
            _ if main.starts_with('/') => Some(main),
            Some(base) => Some(format!("{}/{main}", base.trim_end_matches('/'))),
            None => None,
        });
        let version = program.and_then(|program| Some((program.version?, program.build)));
        Some(Ok(Self { main, prefix, global: option("-g").unwrap_or_default(), version }))
    }
}

/// The strings of a program of nginx (`NGINX_VER` and `NGX_CONFIGURE` in `src/core/nginx.c`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Program {
    prefix: Option<String>,
    conf_path: Option<String>,
    version: Option<Version>,
    build: Build,
}

/// Reads a text as a program of nginx.
#[cfg(any(test, fuzzing))]
pub(super) fn read_program(data: &[u8]) {
    let program = Program::read(data).ok().flatten().unwrap_or_default();
    let _ = (program.prefix(), program.conf_path());
}

/// Identity of a file and its content: file system, number, length, and the time of the last change.
type ProgramFile = (u64, u64, u64, i64, i64);

/// The programs that were read last. A program is of megabytes, and each validation asks for it.
static PROGRAMS: Mutex<VecDeque<(ProgramFile, Option<Program>)>> = Mutex::new(VecDeque::new());

impl Program {
    /// Returns the program of a process, if the gate may read it and it is one of nginx; `None` if it would have to be read where
    /// `access` forbids that.
    fn of(pid: i32, access: Access) -> Option<Option<Self>> {
        let opened = std::fs::File::open(format!("/proc/{pid}/exe")).and_then(|file| Ok((file.metadata()?, file)));
        let Ok((stat, file)) = opened else { return Some(None) };
        let identity = (stat.dev(), stat.ino(), stat.len(), stat.ctime(), stat.ctime_nsec());
        let programs = || PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = programs().iter().find(|(known, _)| *known == identity) {
            return Some(program.clone());
        }
        if access == Access::AtOnce {
            return None;
        }
        let Ok(program) = Self::read(file.take(LARGEST)) else { return Some(None) };
        let mut programs = programs();
        programs.truncate(KEPT - 1);
        programs.push_front((identity, program.clone()));
        Some(program)
    }

    /// Reads a program piece by piece; `None` if it is none of nginx.
    fn read(mut file: impl Read) -> std::io::Result<Option<Self>> {
        let mut program = Self::default();
        let (mut piece, mut kept) = (vec![0; PIECE], 0);
        loop {
            let read = file.read(&mut piece[kept..])?;
            let is_end = read == 0;
            let text = &piece[..kept + read];
            // What begins in the last bytes is whole in the next piece.
            let begins = if is_end { text.len() } else { text.len().saturating_sub(LONGEST) };
            program.take(text, begins);
            if is_end {
                return Ok(program.version.is_some().then_some(program));
            }
            let rest = begins..text.len();
            kept = rest.len();
            piece.copy_within(rest, 0);
        }
    }

    /// Takes the strings that begin before `begins`, each the first of its kind.
    fn take(&mut self, text: &[u8], begins: usize) {
        const MARK: &[u8] = b"nginx/1.";
        // Debian's packages have stream and mail as dynamic modules, those of nginx.org have them built in.
        const DYNAMIC: &[u8] = b"--with-stream=dynamic";
        let find = |name: &[u8]| memmem::find(text, name).filter(|at| *at < begins);
        let version = |at: usize| {
            let version = text[at + MARK.len() - 2..].split(|byte| !byte.is_ascii_digit() && *byte != b'.').next()?;
            std::str::from_utf8(version).ok()?.parse().ok()
        };
        // The arguments of `configure` are one string, in which values have no blanks unless they are quoted.
        let argument = |name: &[u8]| {
            let value = &text[find(name)? + name.len()..];
            let end = value.iter().position(|byte| matches!(byte, 0 | b' '))?;
            Some(String::from_utf8_lossy(&value[..end]).trim_matches('\'').to_owned())
        };
        self.version = self.version.or_else(|| find(MARK).and_then(version));
        self.prefix = self.prefix.take().or_else(|| argument(b" --prefix="));
        self.conf_path = self.conf_path.take().or_else(|| argument(b" --conf-path="));
        if find(DYNAMIC).is_some() {
            self.build = Build::Debian;
        }
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(PREFIX)
    }

    fn conf_path(&self) -> &str {
        self.conf_path.as_deref().unwrap_or(CONF_PATH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_tells_its_version_and_its_default_paths() {
        let text = b"\0nginx/1.22.1\0configure arguments: --with-x='-g -O2' --prefix=/usr/share/nginx \
                     --conf-path=/etc/nginx/nginx.conf --with-stream=dynamic\0";
        let read = |text: &[u8]| Program::read(text).expect("it is in memory");
        let program = read(text).expect("it is nginx");
        assert_eq!(program.prefix(), "/usr/share/nginx");
        assert_eq!(program.conf_path(), "/etc/nginx/nginx.conf");
        assert_eq!(program.version, "1.22.1".parse().ok());
        assert_eq!(program.build, Build::Debian);
        // It is found wherever it lies between two pieces.
        for before in [PIECE - text.len(), PIECE - LONGEST - 4, PIECE - 10, PIECE - 1, PIECE * 2 - LONGEST - 60] {
            let long = [&vec![1; before], &text[..], &vec![1; PIECE]].concat();
            assert_eq!(read(&long).as_ref(), Some(&program), "{before}");
        }
        let plain = read(b"nginx/1.30.4\0 --with-debug\0").expect("it is nginx");
        assert_eq!((plain.prefix(), plain.conf_path(), plain.build), (PREFIX, CONF_PATH, Build::NginxOrg));
        assert_eq!(read(b"haproxy"), None);
    }
}
