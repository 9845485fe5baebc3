//! The configuration that a running nginx reads, by its command line and its program. IO: reads /proc.

use std::io::Read as _;
use std::path::PathBuf;

use reload_gate_contract::Finding;
use reload_gate_nginx::{Build, Version};

use super::super::command;
use super::super::place::ExecutionPlace;

/// Largest program that is read.
const LARGEST: u64 = 64 << 20;
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
    /// Returns the nginx that runs; the default without a target.
    ///
    /// # Errors
    /// When the options of its command line are lost.
    pub(in super::super) fn of(place: &ExecutionPlace) -> Result<Self, Box<Finding>> {
        let Some(target) = &place.target else { return Ok(Self::default()) };
        let words = place.cmdline();
        if let Some(finding) = super::lost_options(place) {
            return Err(Box::new(finding));
        }
        let option = |name: &str| command::options(&words, &[name.to_owned()]).into_iter().nth(1);
        let program = Program::read(target.pid());
        let cwd = place.cwd();
        let absolute = |prefix: String| {
            let path = PathBuf::from(&prefix);
            if path.is_absolute() {
                Some(prefix)
            } else {
                cwd.is_absolute().then(|| cwd.join(path).display().to_string())
            }
        };
        let prefix = option("-p").and_then(absolute);
        // A relative path begins in the prefix (`ngx_process_options()` in `src/core/nginx.c`).
        let given = option("-c").or_else(|| program.as_ref().map(|program| program.conf_path.clone()));
        let base = prefix.clone().or_else(|| program.as_ref().map(|program| program.prefix.clone()));
        let main = given.and_then(|main| match base {
            _ if main.starts_with('/') => Some(main),
            Some(base) => Some(format!("{}/{main}", base.trim_end_matches('/'))),
            None => None,
        });
        let version = program.and_then(|program| program.version);
        Ok(Self { main, prefix, global: option("-g").unwrap_or_default(), version })
    }
}

/// The strings of a program of nginx (`NGINX_VER` and `NGX_CONFIGURE` in `src/core/nginx.c`).
struct Program {
    prefix: String,
    conf_path: String,
    version: Option<(Version, Build)>,
}

impl Program {
    fn read(pid: i32) -> Option<Self> {
        let mut program = Vec::new();
        let file = std::fs::File::open(format!("/proc/{pid}/exe")).ok()?;
        file.take(LARGEST).read_to_end(&mut program).ok()?;
        Self::parse(&program)
    }

    fn parse(program: &[u8]) -> Option<Self> {
        const MARK: &[u8] = b"nginx/1.";
        // Debian's packages have stream and mail as dynamic modules, those of nginx.org have them built in.
        const DYNAMIC: &[u8] = b"--with-stream=dynamic";
        let find = |text: &[u8]| program.windows(text.len()).position(|window| window == text);
        let version =
            program[find(MARK)? + MARK.len() - 2..].split(|byte| !byte.is_ascii_digit() && *byte != b'.').next()?;
        let build = if find(DYNAMIC).is_some() { Build::Debian } else { Build::NginxOrg };
        let version = std::str::from_utf8(version).ok().and_then(|version| version.parse().ok());
        // The arguments of `configure` are one string, in which values have no blanks unless they are quoted.
        let argument = |name: &[u8]| {
            let value = &program[find(name)? + name.len()..];
            let end = value.iter().position(|byte| matches!(byte, 0 | b' '))?;
            Some(String::from_utf8_lossy(&value[..end]).trim_matches('\'').to_owned())
        };
        Some(Self {
            prefix: argument(b" --prefix=").unwrap_or_else(|| PREFIX.to_owned()),
            conf_path: argument(b" --conf-path=").unwrap_or_else(|| CONF_PATH.to_owned()),
            version: version.map(|version| (version, build)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_tells_its_version_and_its_default_paths() {
        let text = b"\0nginx/1.22.1\0configure arguments: --with-x='-g -O2' --prefix=/usr/share/nginx \
                     --conf-path=/etc/nginx/nginx.conf --with-stream=dynamic\0";
        let program = Program::parse(text).expect("it is nginx");
        assert_eq!(program.prefix, "/usr/share/nginx");
        assert_eq!(program.conf_path, "/etc/nginx/nginx.conf");
        assert_eq!(program.version.map(|(_, build)| build), Some(Build::Debian));
        let plain = Program::parse(b"nginx/1.30.4\0 --with-debug\0").expect("it is nginx");
        assert_eq!((plain.prefix.as_str(), plain.conf_path.as_str()), ("/usr/local/nginx", "conf/nginx.conf"));
        assert!(Program::parse(b"haproxy").is_none());
    }
}
