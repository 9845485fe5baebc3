//! Programs that write where the gate watches: their output is no new configuration.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Background, Gate, Nginx, command, copy, eventually, free_port, get, needs, served, unique};

/// Writes a file as a whole.
fn put(file: &Path, text: &str) {
    let next = file.with_extension("next-of-test~");
    std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, file)).expect("there is room");
}

/// Repeats `disturb` twenty times a second while `work` lasts.
fn meanwhile<T>(disturb: impl Fn(u32) + Sync, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for time in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                disturb(time);
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A real nginx with its configuration in a plain directory, in which `more` of `http` may name further places.
struct PlainNginx {
    name: String,
    port: u16,
    directory: tempfile::TempDir,
    _process: Background,
    more: String,
}

impl PlainNginx {
    fn start(more: impl Fn(&Path) -> String) -> Self {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("mov"), free_port());
        let here = directory.path().to_owned();
        std::fs::create_dir_all(here.join("config/logs")).expect("there is room");
        let more = more(&here.join("config"));
        put(&here.join("config/nginx.conf"), &Self::text(&here, port, "one", &more));
        let mut nginx = command(copy("nginx", &here, &name));
        nginx.arg("-c").arg(here.join("config/nginx.conf")).arg("-p").arg(&here).args(["-g", "daemon off;"]);
        let process = Background::start(nginx.stderr(Stdio::null()));
        eventually("nginx serves", || served(port, "one"));
        Self { name, port, directory, _process: process, more }
    }

    fn text(here: &Path, port: u16, body: &str, more: &str) -> String {
        let (temporary, here) = (Nginx::temporary(here), here.display());
        format!(
            "pid {here}/config/nginx.pid;\nerror_log {here}/config/logs/error.log notice;\nevents {{}}\nhttp {{\n    {more}{temporary}\n    \
             server {{\n        listen 127.0.0.1:{port};\n        location = / {{ return 200 '{body}'; }}\n        location = /origin {{ \
             alias {here}/config/nginx.conf; }}\n        location /page {{ proxy_pass http://127.0.0.1:{port}/origin; }}\n    }}\n}}\n"
        )
    }

    fn write(&self, body: &str) {
        let here = self.directory.path();
        put(&here.join("config/nginx.conf"), &Self::text(here, self.port, body, &self.more));
    }

    fn config(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("config").join(name)
    }

    fn gate(&self) -> Gate {
        let watch = self.directory.path().join("config").display().to_string();
        let mut gate = Gate::run(&["--app", "nginx", "--process", &self.name, "--watch", &watch]);
        gate.wait_for("verified");
        gate
    }
}

/// Asks for a page that is not in the cache.
fn ask_for_page(port: u16, number: u32) {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return };
    let request = format!("GET /page?{number} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut Vec::new()));
}

#[test]
fn a_cache_below_the_watched_directory_causes_no_reload() {
    needs!("nginx");
    let nginx = PlainNginx::start(|config| {
        let config = config.display();
        format!(
            "access_log {config}/logs/$host.log; proxy_cache_path {config}/pages levels=1:2 keys_zone=z:1m inactive=1s; proxy_cache z; \
             proxy_cache_valid any 1s;"
        )
    });
    let mut gate = nginx.gate();
    let before = gate.count("reloaded");
    meanwhile(
        |time| ask_for_page(nginx.port, time),
        || {
            eventually("the cache is in use", || {
                std::fs::read_dir(nginx.config("pages")).is_ok_and(|mut pages| pages.next().is_some())
            });
            nginx.write("two");
            gate.wait_for("verified");
            gate.listen(Duration::from_secs(4));
        },
    );
    assert!(served(nginx.port, "two"));
    assert_eq!((gate.count("reloaded") - before, gate.count("deferred")), (1, 0), "{}", gate.story());
    assert_eq!(get(nginx.port).as_deref(), Some("two"));
}

#[test]
fn files_that_come_and_go_by_themselves_end_in_one_report() {
    needs!("nginx");
    let nginx = PlainNginx::start(|_| "access_log off;".to_owned());
    let spool = nginx.config("spool");
    std::fs::create_dir(&spool).expect("there is room");
    let mut gate = nginx.gate();
    let before = gate.count("reloaded");
    let churn = |time: u32| {
        std::fs::write(spool.join(time.to_string()), time.to_string()).expect("there is room");
        let _ = std::fs::remove_file(spool.join(time.saturating_sub(8).to_string()));
    };
    meanwhile(churn, || {
        let deferred = gate.wait_for("deferred");
        assert!(deferred["message"].as_str().is_some_and(|said| said.starts_with("`spool/*`")), "{deferred}");
        assert!(gate.count("reloaded") - before <= 3, "{}", gate.story());
        nginx.write("two");
        gate.wait_for("verified");
        eventually("a change of the configuration is taken all the same", || served(nginx.port, "two"));
        gate.listen(Duration::from_secs(4));
    });
    assert!(gate.count("reloaded") - before <= 4, "{}", gate.story());
    assert_eq!(gate.count("deferred"), 1, "{}", gate.story());
    // They rest.
    gate.wait_for("recovered");
}

/// Starts a program with its state beside its configuration, and changes that once: there is one reload.
fn is_reloaded_once(app: &str, file: &str, words: &[&str], state: &str, text: impl Fn(&Path, u16, &str) -> String) {
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("sta"), free_port());
    let config = directory.path().join("config");
    std::fs::create_dir(&config).expect("there is room");
    put(&config.join(file), &text(&config, port, "10"));
    let mut program = command(copy(app, directory.path(), &name));
    program.args(words).arg(config.join(file)).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Background::start(&mut program);
    eventually("it writes its state", || config.join(state).exists());
    let watch = config.display().to_string();
    let mut gate = Gate::run(&["--app", app, "--process", &name, "--watch", &watch]);
    gate.wait_for_any(&["verified", "unverified"]);
    let before = gate.count("reloaded");
    put(&config.join(file), &text(&config, port, "20"));
    gate.wait_for("reloaded");
    gate.listen(Duration::from_secs(6));
    assert_eq!((gate.count("reloaded") - before, gate.count("deferred")), (1, 0), "{}", gate.story());
}

#[test]
fn the_database_of_mosquitto_causes_no_reload() {
    needs!("mosquitto");
    is_reloaded_once("mosquitto", "mosquitto.conf", &["-c"], "m.log", |config, port, number| {
        let config = config.display();
        format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {config}/\nautosave_interval 1\nuser root\n\
             allow_anonymous true\nlog_dest file {config}/m.log\nlog_type all\npid_file {config}/m.pid\nmax_queued_messages {number}\n"
        )
    });
}

#[test]
fn the_managed_keys_of_named_cause_no_reload() {
    needs!("named", "named-checkconf");
    is_reloaded_once("named", "named.conf", &["-f", "-c"], "managed-keys.bind.jnl", |config, port, number| {
        let config = config.display();
        format!(
            "options {{ directory \"{config}\"; pid-file \"{config}/named.pid\"; session-keyfile \"{config}/session.key\"; listen-on port \
             {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation auto; version \"{number}\"; }};\ncontrols {{ }};\n"
        )
    });
}
