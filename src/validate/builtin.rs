//! The validators that are built in: they need no program and no privilege. IO: reads what the application sees beside the tree.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Absent, Code, Files, Finding, Place, Verdict};
use reload_gate_nginx::{Build, Options, Version};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Case, Layout, RootChoice, Scope};
use crate::tree::Tree;

const NOT_READ: Code = Code::new("not-read");

/// Where nginx looks for its configuration if nobody says otherwise, in the packages and images of Debian and nginx.org.
const NGINX_CONF: &str = "/etc/nginx/nginx.conf";
/// A file beside the tree that is larger is not looked at.
const LARGEST: u64 = 16 << 20;

/// A bundled validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Judges as `nginx -t` of that version would; as that of the running one, or the newest stable, if none is said.
    Nginx(Option<Version>),
}

impl Builtin {
    /// The names of all bundled validators.
    pub const NAMES: [&str; 1] = ["nginx"];

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "the bundled nginx checker",
        }
    }

    /// What it judges at once.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Nginx(_) => Scope::Program("nginx"),
        }
    }

    pub(super) fn run(&self, case: &Case<'_>) -> Vec<Finding> {
        let Self::Nginx(version) = self;
        let own = case.place.cmdline();
        let said = |option: &str| super::command::options(&own, &[option.to_owned()]).into_iter().nth(1);
        let view = View { tree: case.tree, layout: case.layout, beyond: root(case), read: Cell::new(false) };
        // A relative one begins in the prefix (`ngx_process_options()` in `src/core/nginx.c`).
        let given = said("-c").and_then(|main| match said("-p") {
            _ if main.starts_with('/') => Some(main),
            Some(prefix) if prefix.starts_with('/') => Some(format!("{}/{main}", prefix.trim_end_matches('/'))),
            _ => None,
        });
        let is_named = |name: &PathBuf| name.file_name() == Path::new(NGINX_CONF).file_name();
        let main = match (given, case.main) {
            (Some(main), _) => main,
            (None, Ok(name)) if is_named(name) => case.layout.shown(name).to_string_lossy().into_owned(),
            // The sources may be a part of it, such as `conf.d`, which it includes.
            _ if view.read(NGINX_CONF).is_ok() => NGINX_CONF.to_owned(),
            (None, Ok(name)) => case.layout.shown(name).to_string_lossy().into_owned(),
            (None, Err(finding)) => return vec![Finding::clone(finding)],
        };
        view.read.set(false);
        let running = running(case);
        let options = Options {
            version: version.or(running.map(|(version, _)| version)).unwrap_or_default(),
            build: running.map(|(_, build)| build).unwrap_or_default(),
            prefix: said("-p"),
            global: said("-g").unwrap_or_default(),
            ..Options::default()
        };
        let mut findings = reload_gate_nginx::check(&main, &view, &options);
        if !view.read.get() && Verdict::of(&findings) == Verdict::Accepted {
            let message = format!("`{main}` includes nothing of the configuration, so it was not judged");
            let help = "say which file nginx begins with: `--main FILE`, or its path with `--mount`";
            findings.push(Finding::environment(NOT_READ, message).at(Place::file(main)).help(help));
        }
        findings
    }
}

/// The version of the nginx that runs, and who built it: both are strings of its program (`NGINX_VER` and `NGX_CONFIGURE` in
/// `src/core/nginx.c`).
fn running(case: &Case<'_>) -> Option<(Version, Build)> {
    const MARK: &[u8] = b"nginx/1.";
    // Debian's packages have stream and mail as modules that are to be loaded, those of nginx.org have them built in.
    const DYNAMIC: &[u8] = b"--with-stream=dynamic";
    let mut program = Vec::new();
    let file = std::fs::File::open(format!("/proc/{}/exe", case.place.target.as_ref()?.pid())).ok()?;
    file.take(LARGEST).read_to_end(&mut program).ok()?;
    let find = |text: &[u8]| program.windows(text.len()).position(|window| window == text);
    let version =
        program[find(MARK)? + MARK.len() - 2..].split(|byte| !byte.is_ascii_digit() && *byte != b'.').next()?;
    let build = if find(DYNAMIC).is_some() { Build::Debian } else { Build::NginxOrg };
    Some((std::str::from_utf8(version).ok()?.parse().ok()?, build))
}

/// The root in which files beside the tree are looked for; `None` if nobody can say.
fn root(case: &Case<'_>) -> Option<OwnedFd> {
    let path = match (&case.place.target, case.root) {
        (Some(target), _) => format!("/proc/{}/root", target.pid()),
        (None, RootChoice::Local) => "/".into(),
        (None, _) => return None,
    };
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The files as the application will see them: the candidate in its place, and around it what is there already.
struct View<'a> {
    tree: &'a Tree,
    layout: &'a Layout,
    beyond: Option<OwnedFd>,
    /// Whether anything of the tree was read.
    read: Cell<bool>,
}

impl View<'_> {
    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Absent> {
        let root = self.beyond.as_ref().ok_or(Absent::Unknown)?;
        // Links lead where they lead for the application (openat2(2)); a FIFO does not hold anybody up.
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => Ok(file),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Absent::Missing),
            Err(_) => Err(Absent::Unknown),
        }
    }
}

impl Files for View<'_> {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        if let Some(name) = self.layout.name_of(Path::new(path)) {
            self.read.set(true);
            if let Some(content) = self.tree.get(&name) {
                return Ok(Cow::Borrowed(content.as_slice()));
            }
            if self.tree.range(name.clone()..).next().is_some_and(|(other, _)| other.starts_with(&name)) {
                return Err(Absent::Directory);
            }
            if self.layout.is_whole(Path::new(path)) {
                return Err(Absent::Missing);
            }
        }
        let file = self.open(path, OFlags::RDONLY)?;
        let stat = rustix::fs::fstat(&file).map_err(|_| Absent::Unknown)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(Absent::Directory),
            FileType::RegularFile => {
                let mut content = Vec::new();
                let read = std::fs::File::from(file).take(LARGEST).read_to_end(&mut content);
                read.map(|_| Cow::Owned(content)).map_err(|_| Absent::Unknown)
            }
            _ => Err(Absent::Unknown),
        }
    }

    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        if let Some(name) = self.layout.name_of(Path::new(directory)) {
            let files = self.tree.keys().filter(|file| file.parent() == Some(&name));
            let paths = files.map(|file| Cow::Owned(self.layout.shown(file).to_string_lossy().into_owned()));
            let paths: Vec<_> = paths.collect();
            if !paths.is_empty() || self.layout.is_whole(Path::new(directory)) {
                return Ok(paths);
            }
        }
        let unknown = |_| Absent::Unknown;
        let opened = self.open(directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let entries = rustix::fs::Dir::read_from(opened).map_err(unknown)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>, _>>().map_err(unknown)?;
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names.into_iter().map(|name| Cow::Owned(format!("{}/{name}", directory.trim_end_matches('/')))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Part;
    use super::*;

    #[test]
    fn the_candidate_hides_what_is_live_and_the_rest_is_there() {
        let root = tempfile::tempdir().expect("there is room");
        for directory in ["etc/nginx/conf.d", "usr/share"] {
            fs::create_dir_all(root.path().join(directory)).expect("there is room");
        }
        fs::write(root.path().join("etc/nginx/nginx.conf"), "live").expect("there is room");
        fs::write(root.path().join("usr/share/mime.types"), "types").expect("there is room");
        std::os::unix::fs::symlink("/usr/share/mime.types", root.path().join("usr/share/link")).expect("there is room");
        let tree: Tree = [("nginx.conf".into(), b"candidate".to_vec()), ("conf.d/a.conf".into(), b"a".to_vec())].into();
        let there = PathBuf::from("/etc/nginx");
        let layout =
            Layout(vec![Part { prefix: PathBuf::new(), here: "/watched".into(), there, live: None, whole: true }]);
        let beyond = fs::File::open(root.path()).expect("it is there").into();
        let view = View { tree: &tree, layout: &layout, beyond: Some(beyond), read: Cell::new(false) };
        assert_eq!(view.read("/etc/nginx/nginx.conf").as_deref(), Ok(b"candidate".as_slice()));
        assert_eq!(view.read("/etc/nginx/conf.d"), Err(Absent::Directory));
        assert_eq!(view.read("/etc/nginx/gone"), Err(Absent::Missing));
        assert_eq!(view.list("/etc/nginx/conf.d").as_deref(), Ok(["/etc/nginx/conf.d/a.conf".into()].as_slice()));
        assert_eq!(view.read("/usr/share/link").as_deref(), Ok(b"types".as_slice()), "a link of that root");
        assert_eq!(view.list("/usr/share").map(|names| names.len()), Ok(2));
        assert_eq!(view.read("/usr/gone"), Err(Absent::Missing));
        let blind = View { beyond: None, ..view };
        assert_eq!(blind.read("/usr/share/link"), Err(Absent::Unknown));
    }
}
