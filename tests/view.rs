//! A command that is shown a configuration at the paths where it is used, on a machine where they hold something else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Background, command, copy, eventually, install, needs, skip};

/// Users of a view: the one that runs the tests, and one without any privilege.
const USERS: [&[&str]; 2] = [&[], &["--reuid=1000", "--regid=1000", "--clear-groups"]];

/// Ends a test here unless both can be tried.
macro_rules! needs_users {
    () => {
        if !rustix::process::geteuid().is_root() {
            return skip("only root can be several users");
        }
        needs!("setpriv");
    };
}

/// Files to lay out, readable for every user, and the gate beside them.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().expect("there is room"));
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(place.0.path(), readable).expect("it is ours");
        for (name, text) in files {
            let path = place.path(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
            std::fs::write(path, text).expect("there is room");
        }
        install(Path::new(env!("CARGO_BIN_EXE_reload-gate")), &place.path("reload-gate"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command in a view, with things of this place laid at paths.
    fn view(&self, user: &[&str], mounts: &[(&str, &str)]) -> Command {
        let mut view = command("setpriv");
        view.args(user).arg(self.path("reload-gate")).arg("view");
        for (at, name) in mounts {
            view.arg("--mount").arg(at).arg(self.path(name));
        }
        view.arg("--");
        view.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SECRET", "hunter2");
        view
    }

    /// Output and exit code of a shell there.
    fn shell(&self, user: &[&str], mounts: &[(&str, &str)], script: &str) -> (String, i32) {
        said(&self.view(user, mounts).args(["sh", "-c", script]).output().expect("it starts"))
    }
}

fn said(output: &Output) -> (String, i32) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (String::from_utf8(text).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
}

#[test]
fn a_tree_is_seen_at_its_path_whatever_is_there() {
    needs_users!();
    let place =
        Place::new(&[("one/app.conf", "one"), ("one/conf.d/a.conf", "a"), ("two/b.conf", "two"), ("file", "sub")]);
    std::os::unix::fs::symlink("app.conf", place.path("one/link")).expect("there is room");
    let mounts = [
        // What is there is hidden; and what is laid later lies over what was laid before.
        ("/etc/ssl", "one"),
        ("/etc/ssl/conf.d", "two"),
        ("/etc/ssl/sub/path", "file"),
        // Nothing of that is on this machine.
        ("/opt/does/not/exist", "two"),
        ("/srv/new/file", "file"),
        // This is a link to another directory on most machines.
        ("/var/run/app", "two"),
    ];
    let script = "cd /etc/ssl && find . | sort && cat link conf.d/b.conf sub/path /opt/does/not/exist/* /srv/new/file /run/app/*";
    for user in USERS {
        let (said, code) = place.shell(user, &mounts, script);
        let names = ".\n./app.conf\n./conf.d\n./conf.d/b.conf\n./link\n./sub\n./sub/path\n";
        assert_eq!((said, code), (format!("{names}onetwosubtwosubtwo"), 0), "{user:?}");
        // The machine is there besides.
        let (said, code) =
            place.shell(user, &mounts, "test -s /etc/passwd && test -e /dev/null && ls /proc/self && pwd");
        assert!(code == 0 && said.ends_with("\n/\n"), "{user:?} {said}");
    }
    assert!(!Path::new("/opt/does").exists() && !Path::new("/srv/new").exists());
}

#[test]
fn nothing_that_is_laid_out_is_executed_or_loaded() {
    needs_users!();
    let place = Place::new(&[("directory/other", "")]);
    copy("sh", place.0.path(), "program");
    copy("sh", &place.path("directory"), "program");
    let mounts = [("/etc/app/program", "program"), ("/etc/app.d", "directory")];
    for user in USERS {
        for laid in ["/etc/app/program", "/etc/app.d/program"] {
            let (said, code) = place.shell(user, &mounts, &format!("{laid} -c 'echo executed'"));
            assert!(code == 126 && !said.contains("executed\n"), "{user:?} {said}");
            let (said, _) = place.shell(user, &mounts, &format!("LD_PRELOAD={laid} env echo end"));
            assert!(said.contains("cannot be preloaded") && said.starts_with("end\n"), "{user:?} {said}");
            let (said, code) = place.shell(user, &mounts, &format!("head -c 4 {laid} | grep -q ELF"));
            assert_eq!(code, 0, "it is read: {user:?} {said}");
        }
    }
}

#[test]
fn a_command_in_a_view_mounts_nothing_and_makes_no_user_namespace() {
    needs_users!();
    needs!("unshare", "mount");
    let place = Place::new(&[]);
    for user in USERS {
        for script in ["unshare --user true", "unshare --user --map-root-user --mount mount -t tmpfs none /tmp"] {
            let (said, code) = place.shell(user, &[], script);
            assert!(code == 1 && said.contains("unshare failed: Operation not permitted"), "{user:?} {said}");
        }
        let (said, code) = place.shell(user, &[], "mount -t tmpfs none /tmp");
        assert!(code != 0, "{user:?} {said}");
        // Processes and threads are made as before.
        assert_eq!(place.shell(user, &[], "(sleep 0; echo child) | cat; ulimit -l"), ("child\n0\n".into(), 0));
    }
}

#[test]
fn no_token_is_shown_where_var_run_is_a_directory() {
    needs!("unshare", "mount");
    let place = Place::new(&[("app/app.conf", "one")]);
    let (gate, app) = (place.path("reload-gate"), place.path("app"));
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let made = "/var/run/secrets/kubernetes.io/serviceaccount /var/run/app /var/lib /var/tmp /var/log";
    // Each of these shows the directory in another way.
    for arguments in ["", "--home /root", &format!("--home /root --mount /var/run/app {}", app.display())] {
        let script = format!(
            "mount -t tmpfs none /var && mkdir -p {made} && echo hunter2 > {token} && echo seen > /var/run/app.pid &&
             chmod 644 {token} && exec {} view {arguments} -- sh -c 'cat /var/run/app.pid; cat {token}; cat /run/secrets/*/*/*'",
            gate.display()
        );
        let output = command("unshare").args(["-U", "-r", "-m", "sh", "-c", &script]).output().expect("it starts");
        let (said, _) = said(&output);
        if said.contains("unshare failed") || said.contains("mount:") {
            return skip("no user namespace can be made");
        }
        assert!(said.contains("seen") && said.contains("No such file"), "{arguments}: {said}");
        assert!(!said.contains("hunter2"), "{arguments}: {said}");
    }
}

#[test]
fn nothing_is_laid_over_the_programs_and_accounts_of_the_machine() {
    needs_users!();
    let place = Place::new(&[("one/app.conf", "one"), ("file", "x")]);
    std::os::unix::fs::symlink("/usr/lib", place.path("link")).expect("there is room");
    let behind_link = place.path("link/new").display().to_string();
    for at in [
        "/etc/ld.so.preload",
        "/usr/sbin/haproxy",
        "/usr/lib/new/a.so",
        "/lib/new.so",
        "/bin/sh",
        "/etc/passwd",
        "/etc/ssl/openssl.cnf",
        "/etc",
        "/var/lib",
        behind_link.as_str(),
    ] {
        let (said, code) = place.shell(USERS[0], &[(at, "file")], "true");
        let expected = format!("reload-gate view: cannot lay out `{at}`: nothing can be laid there\n");
        assert_eq!((said, code), (expected, 125));
    }
    for at in ["/usr/local/etc/haproxy", "/usr/share/app/conf", "/var/lib/app/data", "/etc/ssl"] {
        assert_eq!(place.shell(USERS[0], &[(at, "one")], &format!("cat {at}/app.conf")), ("one".into(), 0), "{at}");
    }
}

#[test]
fn nothing_that_is_written_leaves_the_view() {
    needs_users!();
    let place = Place::new(&[("one/app.conf", "one")]);
    let script = "for dir in /tmp /var/tmp /run /var/log /var/lib /var/cache /dev/shm /etc; do \
                  echo inside > $dir/reload-gate-view && cat $dir/reload-gate-view || exit 1; done; \
                  if echo two > /etc/app/app.conf; then exit 2; fi; if rm /etc/app/app.conf; then exit 3; fi; cat /etc/app/app.conf";
    for user in USERS {
        let (said, code) = place.shell(user, &[("/etc/app", "one")], script);
        assert_eq!(code, 0, "{user:?} {said}");
        assert_eq!(said.matches("inside").count(), 8, "{user:?} {said}");
        assert!(said.contains("Read-only file system"), "{user:?} {said}");
        for directory in ["/tmp", "/var/tmp", "/run", "/var/log", "/var/lib", "/var/cache", "/dev/shm", "/etc"] {
            assert!(!Path::new(directory).join("reload-gate-view").exists(), "{user:?} {directory}");
        }
    }
    assert_eq!(std::fs::read_to_string(place.path("one/app.conf")).expect("it is there"), "one");
    // Neither does root change the kernel by it, nor see what programs that run are given in secret.
    let (said, code) = place.shell(&[], &[], "if echo 1 > /proc/sys/vm/drop_caches; then exit 1; fi; ls /run/secrets");
    assert!(code != 1 && said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_command_in_a_view_has_nothing_to_gain_and_nothing_of_the_gates() {
    needs_users!();
    let place = Place::new(&[]);
    for (user, id, capabilities) in [(USERS[0], "0", "00000000000004fb"), (USERS[1], "1000", "0000000000000400")] {
        let (said, code) = place.shell(user, &[], "id -u; id -g; env; cat /proc/self/status");
        assert!(code == 0 && said.starts_with(&format!("{id}\n{id}\n")), "{user:?} {said}");
        assert!(!said.contains("SECRET") && said.contains("NoNewPrivs:\t1\n"), "{user:?} {said}");
        assert!(said.contains(&format!("CapPrm:\t{capabilities}\nCapEff:\t{capabilities}\n")), "{user:?} {said}");
    }
    let (said, code) = place.shell(&[], &[], "mount -t tmpfs none /mnt || mknod /tmp/sda b 8 0");
    assert_ne!(code, 0, "{said}");
}

#[test]
fn a_view_has_a_network_of_its_own() {
    needs_users!();
    needs!("python3");
    let place = Place::new(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it has one").port();
    // A port which is taken outside, one for which root is needed, and the other family.
    let binds = format!(
        "import socket\nfor family, host, port in (2, '127.0.0.1', {port}), (2, '0.0.0.0', 80), (10, '::1', 443):\n    \
         s = socket.socket(family)\n    s.bind((host, port))\n    s.listen()\n"
    );
    let connects = format!("import socket\nsocket.create_connection(('127.0.0.1', {port})).close()\n");
    for user in USERS {
        let python = |program: &str| {
            let mut view = command("setpriv");
            view.args(user).arg(place.path("reload-gate")).arg("view");
            said(&view.args(["--", "python3", "-c", program]).output().expect("it starts"))
        };
        assert_eq!(python(&binds), (String::new(), 0), "{user:?}");
        let (said, code) = python(&connects);
        assert!(code == 1 && said.contains("Connection refused"), "{user:?} {said}");
    }
}

#[test]
fn nginx_judges_a_tree_at_its_own_paths() {
    needs_users!();
    needs!("nginx");
    let main = "user www-data;\npid /run/view-nginx.pid;\nerror_log /var/log/nginx/error.log;\nevents {}\nhttp {\n    \
                access_log /var/log/nginx/access.log;\n    include /etc/nginx/conf.d/*.conf;\n}\n";
    let good = "server {\n    listen 80;\n    root /srv;\n}\n";
    let place =
        Place::new(&[("etc/nginx.conf", main), ("good/x.conf", good), ("bad/x.conf", &good.replace("root", "rot"))]);
    for user in USERS {
        let judge = |conf: &str| {
            let mut view = place.view(user, &[("/etc/nginx", "etc"), ("/etc/nginx/conf.d", conf)]);
            said(&view.args(["nginx", "-t"]).output().expect("it starts"))
        };
        let (said, code) = judge("good");
        assert!(code == 0 && said.contains("test is successful"), "{user:?} {said}");
        let (said, code) = judge("bad");
        assert!(
            code == 1 && said.contains("unknown directive \"rot\" in /etc/nginx/conf.d/x.conf:3"),
            "{user:?} {said}"
        );
    }
    assert!(!Path::new("/run/view-nginx.pid").exists());
}

#[test]
fn haproxy_and_gunicorn_judge_at_their_own_paths() {
    needs_users!();
    needs!("haproxy", "gunicorn");
    let haproxy = "global\n    chroot /var/lib/haproxy\n    user haproxy\n    stats socket /run/haproxy/admin.sock\ndefaults\n    \
                   mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\nfrontend web\n    bind :80\n";
    let gunicorn = "bind = '127.0.0.1:80'\nopen('/srv/site/here')\n";
    let place = Place::new(&[
        ("good/haproxy.cfg", haproxy),
        ("bad/haproxy.cfg", &haproxy.replace("bind", "bnd")),
        ("good/gunicorn.conf.py", gunicorn),
        ("bad/gunicorn.conf.py", &gunicorn.replace("here", "nowhere")),
        ("site/application.py", "def app(environ, start_response):\n    return []\n"),
        ("site/here", ""),
    ]);
    let haproxy = ["haproxy", "-c", "-f", "/usr/local/etc/haproxy/haproxy.cfg"];
    let gunicorn = [
        "gunicorn",
        "--check-config",
        "-c",
        "/etc/gunicorn/gunicorn.conf.py",
        "--chdir",
        "/srv/site",
        "application:app",
    ];
    for user in USERS {
        let judge = |which: &str, words: &[&str]| {
            let mounts = [("/usr/local/etc/haproxy", which), ("/etc/gunicorn", which), ("/srv/site", "site")];
            said(&place.view(user, &mounts).args(words).output().expect("it starts"))
        };
        for words in [&haproxy[..], &gunicorn] {
            let (said, code) = judge("good", words);
            assert_eq!(code, 0, "{user:?} {said}");
            let (said, code) = judge("bad", words);
            assert!(code == 1 && !said.contains("reload-gate"), "{user:?} {said}");
        }
    }
}

#[test]
fn the_door_to_a_view_tells_its_own_failures_by_their_codes() {
    needs_users!();
    needs!("unshare");
    let place = Place::new(&[("text", "no program")]);
    let tell = |mounts: &[(&str, &str)], words: &[&str]| {
        said(&place.view(USERS[0], mounts).args(words).output().expect("it starts"))
    };
    assert_eq!(tell(&[], &["sh", "-c", "exit 7"]).1, 7);
    let missing = "reload-gate view: no-such-program: No such file or directory (os error 2)\n";
    assert_eq!(tell(&[], &["no-such-program"]), (missing.into(), 127));
    let text = place.path("text");
    let denied = format!("reload-gate view: {}: Permission denied (os error 13)\n", text.display());
    assert_eq!(tell(&[], &[text.to_str().expect("it is UTF-8")]), (denied, 126));
    let gone = "reload-gate view: cannot lay out `/etc/app`: No such file or directory (os error 2)\n";
    assert_eq!(tell(&[("/etc/app", "none")], &["true"]), (gone.into(), 125));
    for at in ["relative", "/", "/proc/self", "/dev/new", "/etc/no/../such"] {
        let (said, code) = tell(&[(at, "text")], &["true"]);
        let expected = format!("reload-gate view: cannot lay out `{at}`: nothing can be laid there\n");
        assert_eq!((said, code), (expected, 125));
    }
    // Where the kernel allows no user namespaces (any more).
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$0\" view -- true";
    let mut forbidden = command("unshare");
    forbidden.args(["--user", "--map-root-user", "sh", "-c", script]).arg(place.path("reload-gate"));
    let (said, code) = said(&forbidden.output().expect("it starts"));
    let expected = "reload-gate view: cannot have namespaces of its own: No space left on device (os error 28)\n";
    assert_eq!((said.as_str(), code), (expected, 125));
}

#[test]
fn a_view_can_be_had_where_no_overlay_can() {
    needs_users!();
    needs!("unshare", "mount", "pivot_root");
    // An overlay may lie over another one, and not over one that does. In a container the root is one already.
    let place = Place::new(&[("one/app.conf", "one")]);
    let root = "mount -t tmpfs none /mnt && cd /mnt && mkdir u v w x one two && chmod 755 . &&
        mount -t overlay -o lowerdir=/,upperdir=u,workdir=w none one && cd /mnt &&
        { mount -t overlay -o lowerdir=one,upperdir=v,workdir=x none two 2>/dev/null || mount --bind one two; } &&
        mkdir -p two$0 && mount --rbind $0 two$0 && for kernel in proc dev sys; do mount --rbind /$kernel two/$kernel; done &&
        cd two && mkdir -p mnt/old && pivot_root . mnt/old && umount -l /mnt/old && cd / &&
        exec setpriv --reuid=1000 --regid=1000 --clear-groups $0/reload-gate view --mount /etc/new/app $0/one -- sh -c \"$1\"";
    let script = "cat /etc/new/app/* && test -s /etc/passwd && test -e /usr/bin/env && \
                  for dir in /tmp /run /var/log /var/lib; do echo inside > $dir/new && cat $dir/new || exit 1; done";
    let mut view = command("unshare");
    view.args(["--mount", "sh", "-c", root]).arg(place.0.path()).arg(script);
    assert_eq!(said(&view.output().expect("it starts")), ("oneinside\ninside\ninside\ninside\n".into(), 0));
}

#[test]
fn a_view_that_is_killed_leaves_nothing() {
    needs_users!();
    let place = Place::new(&[("one/app.conf", "one")]);
    for user in USERS {
        let mut view = place.view(user, &[("/etc/app", "one")]);
        view.args(["sh", "-c", "sleep 1000 & echo > /tmp/ready; wait"]);
        let view = Background::start(&mut view);
        let (pid, root) = (view.pid(), format!("/proc/{}/root", view.pid()));
        eventually("it has begun", || Path::new(&root).join("tmp/ready").exists());
        let own = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).expect("it is ours");
        drop(view);
        eventually("nobody is in it any more", || {
            let pids = std::fs::read_dir("/proc").expect("it is there").flatten();
            !pids.into_iter().any(|pid| std::fs::read_link(pid.path().join("ns/mnt")).is_ok_and(|other| other == own))
        });
        assert!(!Path::new("/tmp/ready").exists(), "{user:?}");
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("it is there");
    assert!(!mounts.lines().any(|line| line.contains(" overlay overlay ") && line.contains("/written/")), "{mounts}");
}

#[test]
fn nothing_of_a_view_outlives_it_however_it_forks() {
    needs_users!();
    needs!("python3");
    let place = Place::new(&[]);
    // A chain of processes, each of which leaves its parents and its session, and a signal to everything.
    let racer = "import os, sys, time\nif os.fork() == 0:\n    while True:\n        os.setsid()\n        if os.fork(): os._exit(0)\n\
                 time.sleep(0.2)\nos.kill(-1, 0)\nos.abort()\n";
    for user in USERS {
        let mut view = place.view(user, &[]);
        let output = view.args(["python3", "-c", racer]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(128 + 6), "{user:?} {output:?}");
        let left = std::fs::read_dir("/proc").expect("it is there").flatten().find(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| line.ends_with(&[racer.as_bytes(), b"\0"].concat()))
        });
        assert!(left.is_none(), "{user:?} {left:?}");
        let (said, code) = place.shell(user, &[], "kill -9 $$");
        assert_eq!(code, 128 + 9, "{user:?} {said}");
        let (said, code) = place.shell(user, &[], "test $$ = 2 && ls -d /proc/[0-9]* | wc -l");
        assert!(code == 0 && said.trim().parse::<usize>().is_ok_and(|processes| processes < 6), "{user:?} {said}");
    }
}

#[test]
fn a_file_more_than_five_mounts_deep_is_seen() {
    needs_users!();
    needs!("unshare", "mount");
    let place = Place::new(&[("file", "deep")]);
    let script = "mount -t tmpfs none /srv && d=/srv; for name in a b c d e f g; do d=$d/$name; mkdir $d && mount -t tmpfs none $d || exit 1; \
                  done; cp \"$0\" $d/file && chmod -R a+rX /srv && exec setpriv \"$@\" view -- cat $d/file";
    for user in USERS {
        let mut unshare = command("unshare");
        unshare.args(["--mount", "sh", "-c", script]).arg(place.path("file")).args(user);
        let output = unshare.arg(place.path("reload-gate")).output().expect("it starts");
        assert_eq!(said(&output), ("deep".to_owned(), 0), "{user:?}");
    }
}
