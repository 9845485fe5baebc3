//! Programs and their workers: each fact that is of one program alone, by the process that really runs. Pure.
//!
//! A preset gives no such facts: they also hold where none is configured, and a preset may start another program than its own.

/// The behaviour of one program.
struct Program {
    /// Beginnings of the name of its executable. That of a script is the interpreter.
    executables: &'static [&'static str],
    /// Its workers are forks of the master. Its other children are no workers: the command of a section `program` of HAProxy, a piped log of
    /// Apache, a daemon that uWSGI attaches.
    forks: bool,
    /// Its workers load an application after their start, by which they may end.
    loads: bool,
    /// Its master runs on with all its workers if it refuses a reload, and otherwise replaces every one of them.
    replaces: Option<Titles>,
    /// The end of the title of a worker that takes no new requests.
    ending: Option<&'static str>,
    /// Its workers change by a reload or a crash alone. Other programs may renew theirs at all times (`max_requests` in gunicorn,
    /// `MaxConnectionsPerChild` in httpd).
    steady: Option<Steady>,
}

/// The titles of a master and of its workers.
struct Titles {
    /// Beginnings of the title of the master.
    masters: &'static [&'static str],
    /// A word in the title of each worker.
    worker: &'static str,
}

/// The workers that change by a reload or a crash alone.
enum Steady {
    /// All children of a master with this command name.
    Children(&'static str),
    /// The children whose title begins so.
    Title(&'static str),
}

/// A program of which nothing is known.
const UNKNOWN: Program =
    Program { executables: &[], forks: false, loads: false, replaces: None, ending: None, steady: None };

const PROGRAMS: [Program; 8] = [
    // `make_child()` in httpd's `server/mpm/event/event.c` and `server/mpm/prefork/prefork.c`.
    Program { executables: &["apache2", "httpd"], forks: true, ..UNKNOWN },
    // `main()` in HAProxy's `src/haproxy.c`.
    Program { executables: &["haproxy"], forks: true, steady: Some(Steady::Children("haproxy")), ..UNKNOWN },
    // `ngx_master_process_cycle()` and `ngx_worker_process_cycle()` in nginx's `src/os/unix/ngx_process_cycle.c`.
    Program {
        executables: &["nginx"],
        forks: true,
        replaces: Some(Titles { masters: &["nginx: master"], worker: "worker" }),
        ending: Some("is shutting down"),
        steady: Some(Steady::Title("nginx: worker process")),
        ..UNKNOWN
    },
    // `fpm_children_make()` in PHP's `sapi/fpm/fpm/fpm_children.c`.
    Program { executables: &["php-fpm"], forks: true, ..UNKNOWN },
    // `uwsgi_respawn_worker()` in uWSGI's `core/master_utils.c`; `lazy-apps` in its documentation.
    Program { executables: &["uwsgi"], forks: true, loads: true, ..UNKNOWN },
    // gunicorn: `Worker.load_wsgi()` in `gunicorn/workers/base.py`.
    Program { executables: &["python", "pypy"], loads: true, ..UNKNOWN },
    // puma: `Puma::Cluster::Worker#run` in `lib/puma/cluster/worker.rb`. unicorn: `init_worker_process` in `lib/unicorn/http_server.rb`.
    Program { executables: &["ruby"], loads: true, ..UNKNOWN },
    // unicorn: `Unicorn::HttpServer#load_config!` in `lib/unicorn/http_server.rb`. Its executable is Ruby's.
    Program {
        replaces: Some(Titles { masters: &["unicorn master", "unicorn_rails master"], worker: "worker" }),
        ..UNKNOWN
    },
];

impl Program {
    fn executes(&self, executable: &str) -> bool {
        self.executables.iter().any(|known| executable.starts_with(known))
    }
}

/// Returns `true` if the workers of the program with this executable are forks of their master, as far as it is known.
#[must_use]
pub fn forks_workers(executable: &str) -> bool {
    PROGRAMS.iter().any(|program| program.forks && program.executes(executable))
}

/// Returns `true` if a worker with this executable loads an application after its start.
#[must_use]
pub fn loads_application(executable: &str) -> bool {
    PROGRAMS.iter().any(|program| program.loads && program.executes(executable))
}

/// The word in the titles of the workers of a master with this title, if the master replaces all of them at each reload that it accepts.
#[must_use]
pub fn replaced_workers(master: &str) -> Option<&'static str> {
    let titles = PROGRAMS.iter().filter_map(|program| program.replaces.as_ref());
    let is_of = |titles: &&Titles| titles.masters.iter().any(|known| master.starts_with(known));
    titles.into_iter().find(is_of).map(|titles| titles.worker)
}

/// Returns `true` if a worker with this title takes no new requests.
#[must_use]
pub fn is_ending(worker: &str) -> bool {
    PROGRAMS.iter().filter_map(|program| program.ending).any(|ending| worker.ends_with(ending))
}

/// Returns `true` if all children of a master with this command name change by a reload or a crash alone.
#[must_use]
pub fn has_steady_children(command_name: &[u8]) -> bool {
    let is_of = |steady: &Steady| matches!(steady, Steady::Children(name) if name.as_bytes() == command_name);
    PROGRAMS.iter().filter_map(|program| program.steady.as_ref()).any(is_of)
}

/// Returns `true` if a worker with this title changes by a reload or a crash alone.
#[must_use]
pub fn is_steady_worker(title: &str) -> bool {
    let is_of = |steady: &Steady| matches!(steady, Steady::Title(beginning) if title.starts_with(beginning));
    PROGRAMS.iter().filter_map(|program| program.steady.as_ref()).any(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_tells_of_workers_whatever_its_version() {
        for (executable, forks, loads) in [
            ("apache2", true, false),
            ("httpd", true, false),
            ("haproxy", true, false),
            ("nginx", true, false),
            ("php-fpm8.2", true, false),
            ("uwsgi-core", true, true),
            ("python3.11", false, true),
            ("pypy3", false, true),
            ("ruby3.1", false, true),
            ("node", false, false),
            ("", false, false),
        ] {
            assert_eq!(forks_workers(executable), forks, "{executable}");
            assert_eq!(loads_application(executable), loads, "{executable}");
        }
    }

    #[test]
    fn a_title_tells_of_workers_that_are_replaced_end_or_stay() {
        for (master, worker) in [
            ("nginx: master process nginx -g daemon off;", Some("worker")),
            ("unicorn master -c /etc/unicorn.rb", Some("worker")),
            ("unicorn_rails master -E production", Some("worker")),
            ("gunicorn: master [web:app]", None),
            ("nginx: worker process", None),
        ] {
            assert_eq!(replaced_workers(master), worker, "{master}");
        }
        for (worker, ending, steady) in [
            ("nginx: worker process", false, true),
            ("nginx: worker process is shutting down", true, true),
            ("nginx: cache manager process", false, false),
            ("gunicorn: worker [web:app]", false, false),
        ] {
            assert_eq!(is_ending(worker), ending, "{worker}");
            assert_eq!(is_steady_worker(worker), steady, "{worker}");
        }
        assert!(has_steady_children(b"haproxy"));
        assert!(!has_steady_children(b"haproxy-systemd"));
    }
}
