//! Directories as packages and deployment tools lay them out: links that lead out of them, backups, files that are written slowly.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Gate, command, gate_command, needs, skip, unique};

/// A tree: files by name, and links by name, which lead to a path.
fn tree(files: &[(&str, &str)], links: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    let path = |name: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        path
    };
    files.iter().for_each(|(name, content)| fs::write(path(name), content).expect("there is room"));
    links.iter().for_each(|(name, target)| symlink(target, path(name)).expect("there is room"));
    directory
}

/// Exit code and events of `run --once` over a directory.
fn once(watched: &Path, more: &[&str]) -> (i32, String) {
    let mut gate = gate_command();
    gate.args(["run", "--once", "--watch"]).arg(watched).args(more);
    let output = gate.output().expect("it starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn is_accepted(watched: &Path, more: &[&str]) {
    let (code, events) = once(watched, more);
    assert_eq!(code, 0, "{}: {events}", watched.display());
    assert!(events.contains("\"accepted\""), "{events}");
}

/// The main file of nginx.org's packages and image (pkg-oss, `debian/nginx.conf`).
const NGINX_ORG: &str = r"
user  nginx;
worker_processes  auto;

error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;

events {
    worker_connections  1024;
}

http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local]';
    access_log  /var/log/nginx/access.log  main;
    sendfile        on;
    include /etc/nginx/conf.d/*.conf;
}
";
const SERVER: &str = "server {\n    listen 80;\n    server_name localhost;\n}\n";
const TYPES: &str = "types { text/html html; }\n";

#[test]
fn the_tree_of_nginx_org_is_accepted_as_it_is() {
    let files =
        [("nginx.conf", NGINX_ORG), ("mime.types", TYPES), ("conf.d/default.conf", SERVER), ("fastcgi_params", "")];
    let nginx = tree(&files, &[("modules", "/usr/lib/nginx/modules")]);
    let none = unique("none");
    let arguments = ["--app", "nginx", "--builtin", "nginx", "--mount", "/etc/nginx", "--process", &none];
    is_accepted(nginx.path(), &arguments);
    let (code, events) = once(nginx.path(), &[&arguments[..], &["--links", "refuse"]].concat());
    // Where the directory of modules exists the link leads out; otherwise it leads nowhere.
    assert_eq!(code == 1, Path::new("/usr/lib/nginx/modules").exists(), "{events}");
}

#[test]
fn a_published_tree_keeps_the_links_that_are_names() {
    let files = [("nginx.conf", NGINX_ORG), ("mime.types", TYPES), ("conf.d/default.conf", SERVER)];
    let (nginx, volume) = (tree(&files, &[("modules", "/usr/lib/nginx/modules")]), tree(&[], &[]));
    let publish = volume.path().to_str().expect("it is UTF-8");
    let arguments = ["--builtin", "nginx", "--main", "nginx.conf", "--mount", "/etc/nginx", "--publish", publish];
    let (code, events) = once(nginx.path(), &[&arguments[..], &["--signal", "none"]].concat());
    assert_eq!(code, 0, "{events}");
    let modules = volume.path().join("..data/modules").read_link().expect("it is a link");
    assert_eq!(modules, PathBuf::from("/usr/lib/nginx/modules"));
    assert_eq!(fs::read_to_string(volume.path().join("conf.d/default.conf")).expect("it is published"), SERVER);
}

#[test]
fn trees_of_packages_with_links_are_accepted_as_they_are() {
    let share = tree(
        &[("mod.conf", "# load_module x;\n"), ("opcache.ini", "opcache.enable=1\n"), ("log/access_log", "GET /\n")],
        &[],
    );
    let shared = |name: &str| share.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let (module, ini, log) = (shared("mod.conf"), shared("opcache.ini"), shared("log"));
    let cases = [
        // Debian's nginx.
        tree(
            &[("nginx.conf", "events {}\n"), ("sites-available/default", SERVER)],
            &[("modules-enabled/50-mod.conf", &module), ("sites-enabled/default", "../sites-available/default")],
        ),
        // Red Hat's httpd.
        tree(
            &[("conf/httpd.conf", "ServerName localhost\n")],
            &[("logs", &log), ("run", "/run/httpd"), ("modules", "../../usr/lib64/httpd/modules"), ("state", "/run")],
        ),
        // Debian's php-fpm.
        tree(&[("php-fpm.conf", "[global]\n")], &[("conf.d/10-opcache.ini", &ini)]),
        // A name that is masked.
        tree(&[("app.conf", "x\n")], &[("conf.d/default.conf", "/dev/null")]),
    ];
    for case in cases {
        is_accepted(case.path(), &["--validate", "true", "--signal", "none"]);
    }
    // certbot: `live` has links into `archive`, which is beside it.
    let encrypt = tree(
        &[("archive/x/privkey1.pem", "key"), ("archive/x/fullchain1.pem", "chain")],
        &[
            ("live/x/privkey.pem", "../../archive/x/privkey1.pem"),
            ("live/x/fullchain.pem", "../../archive/x/fullchain1.pem"),
        ],
    );
    is_accepted(&encrypt.path().join("live/x"), &["--validate", "true", "--signal", "none"]);
    is_accepted(encrypt.path(), &["--validate", "true", "--signal", "none"]);
}

#[test]
fn debians_own_nginx_tree_is_accepted_as_it_is() {
    needs!("nginx");
    is_accepted(Path::new("/etc/nginx"), &["--app", "nginx", "--builtin", "nginx", "--process", &unique("none")]);
}

fn gate(watched: &[&Path], more: &[&str]) -> Gate {
    let watched = watched.iter().flat_map(|path| ["--watch", path.to_str().expect("it is UTF-8")]);
    Gate::run(&watched.chain(["--signal", "none", "--poll", "1h"]).chain(more.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn a_renewed_certificate_behind_links_is_noticed() {
    let encrypt = tree(
        &[("archive/x/cert1.pem", "1"), ("archive/x/cert2.pem", "2")],
        &[("live/x/cert.pem", "../../archive/x/cert1.pem")],
    );
    let live = encrypt.path().join("live/x");
    let mut gate = gate(&[&live], &[]);
    gate.wait_for("accepted");
    let link = live.join("cert.pem");
    fs::remove_file(&link).and_then(|()| symlink("../../archive/x/cert2.pem", &link)).expect("ours");
    assert_eq!(gate.wait_for("accepted")["changed"], serde_json::json!(["cert.pem"]));
    fs::write(encrypt.path().join("archive/x/cert2.pem"), "2, anew").expect("ours");
    gate.wait_for("accepted");
    // The directory of the target may be led elsewhere as well.
    fs::rename(encrypt.path().join("archive"), encrypt.path().join("old")).expect("ours");
    fs::create_dir_all(encrypt.path().join("archive/x")).expect("there is room");
    fs::write(encrypt.path().join("archive/x/cert2.pem"), "3").expect("there is room");
    gate.wait_for("accepted");
}

#[test]
fn what_nginx_includes_behind_a_link_to_a_directory_is_validated() {
    let farm = tree(&[("sites/a.conf", "server { listen 18080; }\n"), ("sites/notes.txt", "n")], &[]);
    let sites = farm.path().join("sites");
    let nginx = tree(
        &[("nginx.conf", "events {}\nhttp {\n    include conf.d/*.conf;\n}\n")],
        &[("conf.d", sites.to_str().expect("it is UTF-8"))],
    );
    let mut gate = gate(&[nginx.path()], &["--builtin", "nginx"]);
    gate.wait_for("accepted");
    fs::write(sites.join("a.conf"), "server { lisen 18080; }\n").expect("ours");
    let rejected = gate.wait_for("rejected");
    let file = nginx.path().join("conf.d/a.conf");
    assert_eq!(rejected["findings"][0]["file"], file.to_str().expect("it is UTF-8"), "{rejected}");
    fs::write(sites.join("a.conf"), "server { listen 18081; }\n").expect("ours");
    assert_eq!(gate.wait_for("accepted")["changed"], serde_json::json!(["conf.d/a.conf"]));
    fs::write(sites.join("new.conf"), "server { listen 18082; }\n").expect("ours");
    assert_eq!(gate.wait_for("accepted")["changed"], serde_json::json!(["conf.d/new.conf"]));
}

#[test]
fn a_backup_that_nginx_includes_is_validated() {
    let main = "events {}\nhttp {\n    include sites-enabled/*;\n}\n";
    let nginx = tree(&[("nginx.conf", main), ("sites-enabled/site", SERVER)], &[]);
    let mut gate = gate(&[nginx.path()], &["--builtin", "nginx", "--main", "nginx.conf"]);
    gate.wait_for("accepted");
    fs::write(nginx.path().join("site~"), "broken").expect("there is room");
    assert_eq!(gate.wait_for_any(&["unchanged", "rejected"])["event"], "unchanged", "no pattern reads it");
    fs::write(nginx.path().join("sites-enabled/site~"), "broken {").expect("there is room");
    let rejected = gate.wait_for("rejected");
    let file = rejected["findings"][0]["file"].as_str().expect("there is one");
    assert!(file.ends_with("sites-enabled/site~"), "{rejected}");
}

#[test]
fn files_that_are_left_out_change_nothing() {
    let app = tree(&[("app.conf", "1"), ("state/cache.db", "1")], &[]);
    let mut gate = gate(&[app.path()], &["--exclude", "state", "--exclude", "*.log"]);
    gate.wait_for("accepted");
    for name in ["app.log", ".app.conf.swp", "app.conf~", ".git/index", "state/cache.db"] {
        let path = app.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one"))
            .and_then(|()| fs::write(path, name))
            .expect("there is room");
    }
    // FIFOs are refused, except where they are left out.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        app.path().join("x.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("there is room");
    gate.listen(Duration::from_millis(500));
    assert_eq!((gate.count("accepted"), gate.count("rejected")), (1, 0), "{}", gate.story());
    fs::write(app.path().join("app.conf"), "2").expect("there is room");
    assert_eq!(gate.wait_for("accepted")["changed"], serde_json::json!(["app.conf"]));
}

#[test]
fn a_file_that_is_written_slowly_is_validated_when_it_is_whole() {
    let app = tree(&[("app.conf", "the first"), ("other.conf", "1")], &[]);
    let mut gate = gate(&[app.path()], &["--settle", "20ms", "--validate", "grep -q first {dir}/app.conf"]);
    gate.wait_for("accepted");
    // `generate > app.conf` empties the file, and takes its time; another file changes meanwhile.
    let mut slow = fs::File::create(app.path().join("app.conf")).expect("ours");
    fs::write(app.path().join("other.conf"), "2").expect("ours");
    gate.listen(Duration::from_secs(3));
    slow.write_all(b"the ").expect("there is room");
    gate.listen(Duration::from_millis(500));
    slow.write_all(b"first again").expect("there is room");
    drop(slow);
    let accepted = gate.wait_for_any(&["accepted", "rejected"]);
    assert_eq!(accepted["event"], "accepted", "{}", gate.story());
    assert_eq!(gate.count("rejected"), 0, "{}", gate.story());
    // A file that is emptied for good is validated all the same, and the report says what was seen.
    fs::write(app.path().join("app.conf"), "").expect("ours");
    let rejected = gate.wait_for("rejected");
    let codes: Vec<_> =
        rejected["findings"].as_array().expect("there are some").iter().map(|found| &found["code"]).collect();
    assert!(codes.contains(&&serde_json::json!("half-written")), "{rejected}");
}

#[test]
fn a_certificate_waits_for_its_key() {
    needs!("openssl");
    let tls = tree(&[], &[]);
    let make = |name: &str| {
        let mut openssl = command("openssl");
        openssl
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=x".split(' '));
        openssl
            .arg("-keyout")
            .arg(tls.path().join(format!("{name}.pem")))
            .arg("-out")
            .arg(tls.path().join(format!("{name}.der")));
        assert!(openssl.output().expect("it is installed").status.success(), "{name}");
        let read = |end: &str| fs::read(tls.path().join(format!("{name}.{end}"))).expect("it was made");
        (read("der"), read("pem"))
    };
    let (old, new) = (make("old"), make("new"));
    let pair = tree(&[], &[]);
    let (certificate, key) = (pair.path().join("tls.crt"), pair.path().join("tls.key"));
    let write = |path: &Path, content: &[u8]| {
        let next = path.with_extension("next");
        fs::write(&next, content).and_then(|()| fs::rename(&next, path)).expect("there is room");
    };
    write(&certificate, &old.0);
    write(&key, &old.1);
    let mut gate = gate(&[pair.path()], &["--settle", "20ms", "--builtin", "tls"]);
    gate.wait_for("accepted");
    write(&certificate, &new.0);
    assert_eq!(gate.listen(Duration::from_secs(2)), [""; 0], "half a pair is no news");
    write(&key, &new.1);
    assert_eq!(gate.wait_for_any(&["accepted", "rejected"])["event"], "accepted", "{}", gate.story());
    assert_eq!(gate.count("rejected"), 0, "{}", gate.story());
}

#[test]
fn a_rename_above_the_source_is_noticed_by_an_event() {
    let above = tree(&[("site/release/config/app.conf", "1"), ("next/release/config/app.conf", "2")], &[]);
    let source = above.path().join("site/release/config");
    let mut gate = gate(&[&source], &["--settle", "20ms"]);
    gate.wait_for("accepted");
    fs::rename(above.path().join("site"), above.path().join("old")).expect("ours");
    gate.wait_for("inconclusive");
    fs::rename(above.path().join("next"), above.path().join("site")).expect("ours");
    gate.wait_for("accepted");
}

#[test]
fn a_stream_of_writes_beside_the_source_or_in_it_keeps_no_change_waiting() {
    let app = tree(&[("config/app.conf", "1"), ("log", ""), ("config/app.log", "")], &[]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for log in ["log", "config/app.log"] {
            let path = app.path().join(log);
            let done = &done;
            scope.spawn(move || {
                let mut log = fs::OpenOptions::new().append(true).open(path).expect("ours");
                for written in 0.. {
                    log.write_all(b"x").expect("there is room");
                    if written % 4096 == 0 {
                        log.set_len(0).expect("ours");
                    }
                    if done.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let mut gate = gate(&[&app.path().join("config")], &["--settle", "20ms", "--exclude", "*.log"]);
        gate.wait_for("accepted");
        fs::write(app.path().join("config/app.conf"), "2").expect("ours");
        gate.wait_for("accepted");
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_mount_over_the_source_is_noticed_by_an_event() {
    needs!("unshare", "mount");
    let may = command("unshare").args(["-U", "-r", "-m", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        return skip("user and mount namespaces are not allowed here");
    }
    let here = tree(&[("source/app.conf", "1"), ("other/app.conf", "2")], &[]);
    let mut mounted = command("unshare");
    // The mount is made when the gate has begun, in the namespace that both share.
    let script = "cd \"$0\"; (for try in $(seq 400); do [ -e go ] && exec mount --bind other source; sleep 0.05; done) & exec \"$@\"";
    mounted.args(["-U", "-r", "-m", "sh", "-c", script]).arg(here.path());
    mounted.arg(gate_command().get_program()).args(["run", "--watch"]).arg(here.path().join("source"));
    mounted.args(["--signal", "none", "--poll", "1h", "--validate", "true"]);
    let mut gate = Gate::start(mounted);
    gate.wait_for("accepted");
    fs::write(here.path().join("go"), "").expect("there is room");
    assert_eq!(gate.wait_for("accepted")["changed"], serde_json::json!(["app.conf"]));
}
