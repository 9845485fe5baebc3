//! The programs: their configuration, their start, and their checkers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::content::Quality;
use crate::process::{command, copy};

/// A real program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Nginx,
    Haproxy,
    Gunicorn,
}

/// The part of a configuration that belongs to the scenario.
#[derive(Debug)]
pub(crate) struct Place {
    /// For pid files, sockets and logs.
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
}

/// The answer of gunicorn.
const APPLICATION: &str = "import os\n\
    def app(environ, start_response):\n    \
        body = os.environ['BODY'].encode()\n    \
        start_response('200 OK', [('Content-Length', str(len(body)))])\n    \
        return [body]\n";

impl Program {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Gunicorn => "gunicorn",
        }
    }

    pub(crate) const fn main_file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Gunicorn => "gunicorn.conf.py",
        }
    }

    /// Returns true if a reload with a broken configuration ends it (`Arbiter.reload()` in gunicorn's arbiter.py).
    pub(crate) const fn dies_of_a_bad_reload(self) -> bool {
        matches!(self, Self::Gunicorn)
    }

    /// Returns true if its master replaces a worker that was killed. That of HAProxy ends with it (`mworker_catch_sigchld()`).
    pub(crate) const fn replaces_workers(self) -> bool {
        !matches!(self, Self::Haproxy)
    }

    /// The answer to a request. That of nginx comes from two files, so a mixture of two contents shows.
    pub(crate) fn answer(self, number: u64, body: &str) -> String {
        match self {
            Self::Nginx => format!("{body}/{number}"),
            Self::Haproxy | Self::Gunicorn => body.to_owned(),
        }
    }

    /// The files of a content; up to its `body`, the main file is incomplete and broken.
    pub(crate) fn files(self, place: &Place, number: u64, body: &str, quality: Quality) -> Vec<(&'static str, String)> {
        let broken = quality == Quality::Broken;
        let (word, port, directory) = (quality.word(), place.port, place.directory.display());
        match self {
            Self::Nginx => {
                let nonsense = if broken { "nonsense on;" } else { "" };
                let main = format!(
                    "# {word}\npid {directory}/pid;\nerror_log {directory}/error.log;\nworker_processes 1;\n\
                     worker_shutdown_timeout 20s;\nevents {{}}\nhttp {{\n    access_log off;\n    include answer.conf;\n    \
                     {nonsense}\n    server {{\n        listen 127.0.0.1:{port};\n        return 200 '{body}/$part';\n    \
                     }}\n}}\n"
                );
                let part = format!("map $host $part {{ default {number}; }}\n");
                vec![("answer.conf", part), (self.main_file(), main)]
            }
            Self::Haproxy => {
                let nonsense = if broken { "nonsense on" } else { "" };
                let main = format!(
                    "# {word}\nglobal\n    stats socket {directory}/stats level admin expose-fd listeners\n    {nonsense}\n\
                     defaults\n    mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\n\
                     frontend web\n    bind 127.0.0.1:{port}\n    http-request return status 200 content-type text/plain \
                     string {body}\n"
                );
                vec![(self.main_file(), main)]
            }
            Self::Gunicorn => {
                let workers = if broken { "undefined_name" } else { "1" };
                let main =
                    format!("# {word}\nbind = '127.0.0.1:{port}'\nworkers = {workers}\nraw_env = ['BODY={body}']\n");
                vec![(self.main_file(), main)]
            }
        }
    }

    /// Copies the program to `directory`, under `name`.
    pub(crate) fn install(self, directory: &Path, name: &str) -> PathBuf {
        if self == Self::Gunicorn {
            std::fs::write(directory.join("application.py"), APPLICATION).expect("there is room");
        }
        copy(self.name(), directory, name)
    }

    /// The command that starts it with this main file.
    pub(crate) fn start(self, binary: &Path, place: &Place, main: &Path) -> Command {
        let mut start = command(binary);
        match self {
            Self::Nginx => start.arg("-c").arg(main).arg("-p").arg(&place.directory).args(["-g", "daemon off;"]),
            Self::Haproxy => start.arg("-W").arg("-f").arg(main),
            Self::Gunicorn => start.arg("-c").arg(main).arg("application:app"),
        };
        // Python takes a compiled file for current if time (in seconds) and length are the same (`_validate_timestamp_pyc()`).
        start.env("PYTHONDONTWRITEBYTECODE", "1");
        start.current_dir(&place.directory).stdout(Stdio::null()).stderr(Stdio::null());
        start
    }

    /// The words that validate the file `$1` in a shell, as the application would read it.
    pub(crate) fn check(self, binary: &Path, place: &Place) -> String {
        let (binary, directory) = (binary.display(), place.directory.display());
        match self {
            Self::Nginx => format!("{binary} -t -q -c \"$1\" -p {directory}"),
            Self::Haproxy => format!("{binary} -c -q -f \"$1\""),
            Self::Gunicorn => format!(
                "cd {directory} && exec env PYTHONDONTWRITEBYTECODE=1 {binary} --check-config -c \"$1\" application:app"
            ),
        }
    }
}
