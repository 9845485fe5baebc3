//! Real programs, each under a name of its own, so that tests which run side by side do not see each other's.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::{Background, Kubelet, Volume, command, copy, eventually, free_port, install, unique};

/// The answer of an HTTP server on this port; `None` without one.
pub(crate) fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// Whether this is what is served.
pub(crate) fn served(port: u16, body: &str) -> bool {
    get(port).is_some_and(|answer| answer.trim() == body)
}

/// A Python program as a target: what it does comes from the test.
pub(crate) fn python(directory: &Path, name: &str, program: &str) -> Background {
    // Executed itself, so that the command name is the script's.
    Background::start(command(script(directory, name, program)).current_dir(directory))
}

/// The same program without a process.
pub(crate) fn script(directory: &Path, name: &str, program: &str) -> PathBuf {
    let (text, script) = (directory.join(format!("{name}.py")), directory.join(name));
    fs::write(&text, format!("#!/usr/bin/python3\n{program}")).expect("it can be written");
    install(&text, &script);
    script
}

/// A real nginx that serves one text, with its configuration in a volume.
pub(crate) struct Nginx {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) volume: Volume,
    pub(crate) process: Background,
    directory: tempfile::TempDir,
}

impl Nginx {
    pub(crate) fn start() -> Self {
        Self::called(&unique("ngx"))
    }

    pub(crate) fn called(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let port = free_port();
        let config = Self::text(directory.path(), port, "one", "");
        let volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("nginx.conf", &config)]);
        let binary = copy("nginx", directory.path(), name);
        let mut nginx = command(binary);
        nginx.arg("-c").arg(volume.file("nginx.conf")).arg("-p").arg(directory.path()).args(["-g", "daemon off;"]);
        let process = Background::start(nginx.stderr(Stdio::null()));
        eventually("nginx serves", || served(port, "one"));
        Self { name: name.to_owned(), port, volume, process, directory }
    }

    /// The directives for temporary files. The compiled-in paths belong to root, and are created by the first nginx that root starts.
    pub(crate) fn temporary(directory: &Path) -> String {
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        kinds.map(|kind| format!(" {kind}_temp_path {}/{kind};", directory.display())).concat()
    }

    pub(crate) fn text(directory: &Path, port: u16, body: &str, more: &str) -> String {
        let (temporary, directory) = (Self::temporary(directory), directory.display());
        format!(
            "pid {directory}/pid;\nerror_log {directory}/error.log notice;\nevents {{}}\nhttp {{\n    access_log off;{temporary}\n    \
             {more}\n    server {{\n        listen 127.0.0.1:{port};\n        return 200 '{body}';\n    }}\n}}\n"
        )
    }

    /// A configuration that serves `body`, with `more` on line 6.
    pub(crate) fn config(&self, body: &str, more: &str) -> String {
        Self::text(self.directory.path(), self.port, body, more)
    }

    /// Changes the ConfigMap.
    pub(crate) fn write(&mut self, body: &str, more: &str) {
        let config = self.config(body, more);
        self.volume.write(&[("nginx.conf", &config)]);
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }

    /// How many HUPs the master has received.
    pub(crate) fn signals(&self) -> usize {
        self.log().matches("signal 1 (SIGHUP) received").count()
    }

    pub(crate) fn serves(&self, body: &str) -> bool {
        served(self.port, body)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A real HAProxy in master-worker mode.
pub(crate) struct Haproxy {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) volume: Volume,
    pub(crate) process: Background,
    _directory: tempfile::TempDir,
}

impl Haproxy {
    pub(crate) fn start() -> Self {
        Self::told(|volume| ["-f".into(), volume.file("haproxy.cfg").into_os_string()])
    }

    /// One whose configuration is named by these words, in the directory of the volume.
    pub(crate) fn told(words: impl FnOnce(&Volume) -> [OsString; 2]) -> Self {
        let port = free_port();
        Self::run("-W", port, &[("haproxy.cfg", &Self::text(port, "one", ""))], words)
    }

    /// One in this mode, whose configuration is these files, and serves `one` on this port.
    pub(crate) fn run(
        mode: &str,
        port: u16,
        files: &[(&str, &str)],
        words: impl FnOnce(&Volume) -> [OsString; 2],
    ) -> Self {
        let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("hap"));
        let volume = Volume::new(directory.path().join("config"), Kubelet::New, files);
        let mut haproxy = command(copy("haproxy", directory.path(), &name));
        haproxy.arg(mode).args(words(&volume)).current_dir(volume.path());
        let process = Background::start(haproxy.stdout(Stdio::null()).stderr(Stdio::null()));
        eventually("haproxy serves", || served(port, "one"));
        Self { name, port, volume, process, _directory: directory }
    }

    pub(crate) fn text(port: u16, body: &str, more: &str) -> String {
        format!(
            "global\n    {more}\ndefaults\n    mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server \
             5s\nfrontend web\n    bind 127.0.0.1:{port}\n    http-request return status 200 content-type text/plain string \
             {body}\n"
        )
    }

    /// Changes the ConfigMap; `more` is on line 2.
    pub(crate) fn write(&mut self, body: &str, more: &str) {
        self.volume.write(&[("haproxy.cfg", &Self::text(self.port, body, more))]);
    }

    pub(crate) fn serves(&self, body: &str) -> bool {
        served(self.port, body)
    }
}

/// A real gunicorn, whose configuration says what it serves.
pub(crate) struct Gunicorn {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) volume: Volume,
    pub(crate) process: Background,
    directory: tempfile::TempDir,
}

impl Gunicorn {
    pub(crate) const APP: &'static str = "import os\ndef app(environ, start_response):\n    body = os.environ['BODY'].encode()\n    \
                               start_response('200 OK', [('Content-Length', str(len(body)))])\n    return [body]\n";

    pub(crate) fn start() -> Self {
        let port = free_port();
        let config = Self::text(port, "one");
        Self::called(unique("gun"), Self::APP, &[], port, &[("gunicorn.conf.py", &config)])
    }

    /// One of this application with further arguments and these files beside its configuration; it serves `one` on this port. Its
    /// name, of more than 15 bytes, begins as that of the program.
    pub(crate) fn run(application: &str, arguments: &[&str], port: u16, files: &[(&str, &str)]) -> Self {
        Self::called(unique("gunicorn-test"), application, arguments, port, files)
    }

    fn called(name: String, application: &str, arguments: &[&str], port: u16, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        fs::write(directory.path().join("application.py"), application).expect("it can be written");
        let volume = Volume::new(directory.path().join("config"), Kubelet::New, files);
        let binary = copy("gunicorn", directory.path(), &name);
        let process = Self::launch(&binary, arguments, &volume, directory.path());
        eventually("gunicorn serves", || served(port, "one"));
        Self { name, port, volume, process, directory }
    }

    fn launch(binary: &Path, arguments: &[&str], volume: &Volume, directory: &Path) -> Background {
        let mut gunicorn = command(binary);
        gunicorn.arg("-c").arg(volume.file("gunicorn.conf.py")).args(arguments).arg("application:app");
        let log = fs::File::create(directory.join("log")).expect("it can be written");
        Background::start(gunicorn.current_dir(directory).stderr(log).stdout(Stdio::null()))
    }

    /// Ends it, and starts it again with these arguments.
    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        // The port is free only when the old one has ended.
        self.process = Background::start(command("sleep").arg("1000"));
        let binary = self.directory.path().join(&self.name);
        self.process = Self::launch(&binary, arguments, &self.volume, self.directory.path());
    }

    fn text(port: u16, body: &str) -> String {
        format!("bind = '127.0.0.1:{port}'\nraw_env = ['BODY={body}']\nworkers = 1\n")
    }

    /// Changes the ConfigMap.
    pub(crate) fn write(&mut self, body: &str) {
        let config = Self::text(self.port, body);
        self.write_text(&config);
    }

    pub(crate) fn write_text(&mut self, config: &str) {
        self.volume.write(&[("gunicorn.conf.py", config)]);
    }

    pub(crate) fn config(&self, body: &str) -> String {
        Self::text(self.port, body)
    }

    pub(crate) fn serves(&self, body: &str) -> bool {
        served(self.port, body)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A real nginx in a root of its own, as in another container.
pub(crate) struct Cage {
    pub(crate) name: String,
    port: u16,
    pub(crate) volume: Volume,
    pub(crate) process: Background,
    _directory: tempfile::TempDir,
}

impl Cage {
    pub(crate) fn with_nginx() -> Self {
        Self::reading("/config/nginx.conf")
    }

    /// One with this path on its command line. `/link` leads to `/config` in its root.
    pub(crate) fn reading(path: &str) -> Self {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("cag"), free_port());
        let root = directory.path();
        for inside in ["config", "run", "tmp", "dev", "etc", "var/log/nginx", "var/lib/nginx"] {
            fs::create_dir_all(root.join(inside)).expect("there is room");
        }
        std::os::unix::fs::symlink("/config", root.join("link")).expect("there is room");
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n")
            .expect("room");
        fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").expect("there is room");
        fs::write(root.join("dev/null"), "").expect("there is room");
        let binary = copy("nginx", root, &name);
        for library in libraries(&binary) {
            let inside = root.join(library.strip_prefix("/").expect("it is absolute"));
            fs::create_dir_all(inside.parent().expect("it has one")).expect("there is room");
            fs::copy(&library, inside).expect("there is room");
        }
        let config = Self::text(port, "one", "");
        let volume = Volume::new(root.join("config"), Kubelet::New, &[("nginx.conf", &config)]);
        let mut nginx = command("chroot");
        nginx.arg(root).arg(format!("/{name}")).args(["-c", path, "-g", "daemon off;"]);
        let process = Background::start(nginx.stderr(Stdio::null()));
        eventually("the caged nginx serves", || served(port, "one"));
        Self { name, port, volume, process, _directory: directory }
    }

    fn text(port: u16, body: &str, more: &str) -> String {
        "user nobody nogroup;\n".to_owned() + &Nginx::text(Path::new("/tmp"), port, body, more).replacen('\n', " ", 1)
    }

    /// Changes the ConfigMap; `more` is on line 6.
    pub(crate) fn write(&mut self, body: &str, more: &str) {
        self.volume.write(&[("nginx.conf", &Self::text(self.port, body, more))]);
    }
}

/// The shared libraries that a binary needs, the loader among them.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let output = command("ldd").arg(binary).output().expect("it is installed").stdout;
    let lines = String::from_utf8(output).expect("it is UTF-8");
    lines.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
