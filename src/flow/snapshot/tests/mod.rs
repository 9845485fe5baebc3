use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode};
use rustix::thread::CapabilitySet;
use tempfile::TempDir;

use super::*;
use crate::flow::tree::{Digest, EntryWithoutContent, Limits};
use crate::sys::skipped::skip;

mod growth;
mod special;
mod volume;

/// A change: its description, and the function that makes it.
type Case<'a> = (&'a str, &'a dyn Fn(&Path));

/// A plain directory with these files; a name may have directories in it.
fn plain(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in files {
        write(directory.path(), name, content);
    }
    directory
}

fn write(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
    fs::write(path, content).expect("there is room");
}

fn set_modified(path: &Path, time: SystemTime) {
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("it is ours");
}

fn source(path: &Path) -> Source {
    Source { path: path.into(), mount: path.into(), whole_volume: false }
}

fn at(path: &Path) -> Scan {
    scan(&[source(path)], &ReadOptions::default())
}

#[track_caller]
fn snapshot(scan: Scan) -> Snapshot {
    scan.result.unwrap_or_else(|error| panic!("{:?}", error.findings))
}

/// The names and contents, as text.
#[track_caller]
fn read(scan: Scan) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    snapshot(scan).tree.iter().map(|(name, content)| (name.display().to_string(), text(content))).collect()
}

#[track_caller]
fn digest(path: &Path) -> Digest {
    snapshot(at(path)).revision.digest()
}

/// The one finding, as a person would read it: code, place, message and help.
#[track_caller]
fn refused(scan: Scan) -> String {
    let findings = scan.result.expect_err("it is refused").findings;
    let [finding] = findings.as_slice() else { panic!("more than one: {findings:?}") };
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    format!("{}: {place}{}; {}", finding.code, finding.message, finding.help.clone().unwrap_or_default())
}

/// Takes from this thread alone the capabilities by which root reads what it may not.
fn obey_permissions() {
    let mut own = rustix::thread::capabilities(None).expect("they can be read");
    own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    rustix::thread::set_capabilities(None, own).expect("less is always allowed");
}

#[test]
fn a_tree_is_every_file_by_its_path_inside_the_source() {
    let here = plain(&[("nginx.conf", "a"), ("conf.d/b.conf", "b"), ("conf.d/deep/c.conf", "")]);
    let expected = [("conf.d/b.conf", "b"), ("conf.d/deep/c.conf", ""), ("nginx.conf", "a")];
    assert_eq!(read(at(here.path())), expected.map(|(name, content)| (name.to_owned(), content.to_owned())));
}

#[test]
fn a_change_of_no_content_keeps_the_digest() {
    let here = plain(&[("a", "1"), ("d/b", "2")]);
    let before = digest(here.path());
    let disturb: [Case<'_>; 7] = [
        ("touch", &|here| set_modified(&here.join("a"), SystemTime::now())),
        ("chmod", &|here| fs::set_permissions(here.join("a"), Permissions::from_mode(0o400)).expect("ours")),
        ("the same bytes in a new file", &|here| {
            write(here, "new", "1");
            fs::rename(here.join("new"), here.join("a")).expect("ours");
        }),
        ("a new empty directory", &|here| fs::create_dir(here.join("empty")).expect("there is room")),
        ("a link that leads nowhere", &|here| symlink("nowhere", here.join("link")).expect("there is room")),
        ("what editors leave", &|here| {
            for litter in [".a.swp", ".a.swo", ".a.swx", "a~", ".#a", "__pycache__/a.pyc"] {
                write(&here.join("d"), litter, "litter");
            }
        }),
        ("a file that came and went", &|here| {
            write(here, "passing", "3");
            fs::remove_file(here.join("passing")).expect("ours");
        }),
    ];
    for (what, disturb) in disturb {
        disturb(here.path());
        assert_eq!(digest(here.path()), before, "{what}");
    }
}

#[test]
fn a_change_of_content_changes_the_digest() {
    let change: [Case<'_>; 6] = [
        ("a byte", &|here| write(here, "a", "2")),
        ("a length", &|here| write(here, "a", "11")),
        ("a new file", &|here| write(here, "c", "")),
        ("a removed file", &|here| fs::remove_file(here.join("a")).expect("ours")),
        ("another name", &|here| fs::rename(here.join("a"), here.join("c")).expect("ours")),
        ("another directory", &|here| fs::rename(here.join("a"), here.join("d/a")).expect("ours")),
    ];
    for (what, change) in change {
        let here = plain(&[("a", "1"), ("d/b", "2")]);
        let before = digest(here.path());
        change(here.path());
        assert_ne!(digest(here.path()), before, "{what}");
    }
}

/// Waits until the clock by which files are stamped has gone on; it goes by ticks.
fn tick(after: SystemTime) {
    let elsewhere = plain(&[]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut now = after;
    while now <= after {
        assert!(Instant::now() < deadline, "the clock does not advance");
        write(elsewhere.path(), "a", "1");
        now = snapshot(at(elsewhere.path())).delivered;
    }
}

#[test]
fn the_time_of_delivery_is_that_of_the_newest_part() {
    let here = plain(&[("a", "1"), ("d/b", "2")]);
    let mut last = snapshot(at(here.path())).delivered;
    assert!(last.elapsed().unwrap_or_else(|ahead| ahead.duration()) < Duration::from_secs(60), "{last:?}");
    assert_eq!(snapshot(at(here.path())).delivered, last, "a look is no delivery");
    let change: [Case<'_>; 5] = [
        ("a rewritten file", &|here| write(here, "d/b", "3")),
        ("a new file", &|here| write(here, "c", "")),
        ("a removed file", &|here| fs::remove_file(here.join("c")).expect("ours")),
        ("a file that was moved here", &|here| fs::rename(here.join("d/b"), here.join("d/c")).expect("ours")),
        ("a file that says it is old", &|here| set_modified(&here.join("a"), SystemTime::UNIX_EPOCH)),
    ];
    for (what, change) in change {
        tick(last);
        change(here.path());
        let now = snapshot(at(here.path())).delivered;
        assert!(now > last, "{what}");
        last = now;
    }
}

#[test]
fn a_single_file_is_read_under_its_own_name() {
    let here = plain(&[("app.conf", "1"), ("other", "2")]);
    assert_eq!(read(at(&here.path().join("app.conf"))), [("app.conf".to_owned(), "1".to_owned())]);
    symlink("app.conf", here.path().join("link.conf")).expect("there is room");
    assert_eq!(read(at(&here.path().join("link.conf"))), [("link.conf".to_owned(), "1".to_owned())]);
}

#[test]
fn several_sources_make_one_tree_by_the_paths_that_the_application_sees() {
    let (one, two) = (plain(&[("a", "1")]), plain(&[("tls.crt", "2"), ("tls.key", "3")]));
    let mounted = |path: &Path, mount: &str| Source { mount: mount.into(), ..source(path) };
    let sources =
        [mounted(one.path(), "/etc/app"), mounted(&two.path().join("tls.key"), "/etc/tls/key"), source(two.path())];
    let names: Vec<_> = read(scan(&sources, &ReadOptions::default())).into_iter().map(|(name, _)| name).collect();
    let inside = |name: &str| two.path().join(name).display().to_string();
    let mut expected = vec!["/etc/app/a".into(), "/etc/tls/key".into(), inside("tls.crt"), inside("tls.key")];
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_missing_or_empty_source_is_nothing_to_validate() {
    let here = plain(&[]);
    for (path, code) in
        [(here.path().join("not/yet"), reader::MISSING_SOURCE), (here.path().into(), reader::EMPTY_SOURCE)]
    {
        let error = at(&path).result.expect_err("there is nothing");
        assert_eq!(error.findings[0].code, code);
        assert!(error.findings[0].message.starts_with(&format!("`{}` ", path.display())), "{error:?}");
        assert!(is_nothing_there(code) && error.findings[0].help.is_some() && error.settled);
    }
    // One of several that is missing makes the whole incomplete.
    write(here.path(), "there/a", "1");
    let both = [source(&here.path().join("there")), source(&here.path().join("not/yet"))];
    assert!(refused(scan(&both, &ReadOptions::default())).starts_with("missing-source: "));
}

/// Returns the scan of `path`, which must come to an end.
#[track_caller]
fn in_time(path: &Path) -> Scan {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || sender.send(at(&path)));
    receiver.recv_timeout(Duration::from_secs(20)).expect("it comes to an end")
}

fn with(path: &Path, options: &ReadOptions) -> Scan {
    scan(&[source(path)], options)
}

fn strict() -> ReadOptions {
    ReadOptions { links: LinkPolicy::Refuse, ..ReadOptions::default() }
}

#[test]
fn links_inside_the_sources_are_read_and_others_refused_if_asked_for() {
    let outside = plain(&[("secret", "s")]);
    let here = plain(&[("a", "1"), ("d/b", "2")]);
    symlink("../a", here.path().join("d/up")).expect("there is room");
    symlink(here.path().join("d"), here.path().join("e")).expect("there is room");
    let names: Vec<_> = read(with(here.path(), &strict())).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "d/b", "d/up", "e/b", "e/up"]);
    for target in [outside.path().join("secret"), outside.path().into(), "/dev/zero".into()] {
        let link = here.path().join("out");
        symlink(&target, &link).expect("there is room");
        let expected = format!(
            "escaping-link: {}: a link that leaves the watched sources, to `{}`, was not followed; copy its target",
            link.display(),
            target.display()
        );
        let said = refused(with(here.path(), &strict()));
        assert!(said.starts_with(&expected), "{said}");
        fs::remove_file(link).expect("ours");
    }
    // A further source is inside.
    symlink(outside.path().join("secret"), here.path().join("out")).expect("there is room");
    assert_eq!(read(scan(&[source(here.path()), source(outside.path())], &strict())).len(), 7);
}

#[test]
fn a_link_that_leaves_is_its_file_or_its_name() {
    let outside = plain(&[("mod.conf", "load"), ("modules/x.so", "x")]);
    let here = plain(&[("nginx.conf", "include modules-enabled/*.conf;")]);
    let link = |target: &Path, name: &str| {
        let path = here.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one"))
            .and_then(|()| symlink(target, path))
            .expect("there is room");
    };
    link(&outside.path().join("mod.conf"), "modules-enabled/50-mod.conf");
    link(&outside.path().join("modules"), "modules");
    link(Path::new("/dev/null"), "masked.conf");
    link(Path::new("/dev/zero"), "zero");
    link(Path::new("/proc/self/status"), "status");
    link(Path::new("/usr/lib/none/modules"), "dangling");
    link(Path::new("nowhere"), ".#lock");
    let snapshot = snapshot(at(here.path()));
    let files: Vec<_> = snapshot.tree.iter().map(|(name, text)| (name.display().to_string(), text.len())).collect();
    let expected = [("masked.conf", 0), ("modules-enabled/50-mod.conf", 4), ("nginx.conf", 31)];
    assert_eq!(files, expected.map(|(name, length)| (name.to_owned(), length)));
    let links: Vec<_> = snapshot.tree.links().keys().map(|name| name.display().to_string()).collect();
    assert_eq!(links, ["dangling", "modules", "status", "zero"]);
    assert_eq!(snapshot.tree.links()[Path::new("modules")], outside.path().join("modules"));

    let before = snapshot.revision.digest();
    write(outside.path(), "modules/y.so", "y");
    assert_eq!(digest(here.path()), before, "a directory of modules counts by its name");
    write(outside.path(), "mod.conf", "other");
    assert_ne!(digest(here.path()), before, "a file counts by its content");
}

#[test]
fn entries_without_content_are_noted_and_count_if_they_are_included() {
    let outside = plain(&[("modules/x.so", "x")]);
    let here = plain(&[("nginx.conf", "include sites/*;\nadd_header X *;"), ("conf.d/a.conf", "")]);
    let before = digest(here.path());
    fs::create_dir_all(here.path().join("conf.d/empty")).expect("there is room");
    symlink("nowhere", here.path().join("conf.d/link")).expect("there is room");
    symlink("nowhere", here.path().join("conf.d/.#lock")).expect("there is room");
    let snapshot = snapshot(at(here.path()));
    let expected = [
        (PathBuf::from("conf.d/empty"), EntryWithoutContent::Directory),
        (PathBuf::from("conf.d/link"), EntryWithoutContent::DanglingLink),
    ];
    assert_eq!(snapshot.tree.without_content(), &expected.into());
    assert_eq!(snapshot.revision.digest(), before);
    assert!(snapshot.tree.as_copied().without_content().is_empty(), "a copy does not have them");
    symlink(outside.path().join("modules"), here.path().join("modules")).expect("there is room");
    let linked = self::snapshot(at(here.path())).tree.as_copied();
    let directory = (PathBuf::from("modules"), EntryWithoutContent::Directory);
    assert_eq!(linked.without_content(), &[directory].into(), "a copy has links");
}

#[test]
fn an_included_link_that_leads_nowhere_is_a_change() {
    let here = plain(&[("nginx.conf", "include sites/*; include one.conf; root html;"), ("sites/a", "")]);
    fs::create_dir(here.path().join("html")).expect("there is room");
    let before = snapshot(at(here.path())).revision;
    let changed = |scan: Scan| {
        let names = snapshot(scan).revision.changed_since(&before);
        names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>()
    };
    symlink("nowhere", here.path().join("sites/link")).expect("there is room");
    symlink("nowhere", here.path().join("one.conf")).expect("there is room");
    symlink("nowhere", here.path().join("html/link")).expect("there is room");
    fs::create_dir(here.path().join("sites/empty")).expect("there is room");
    assert_eq!(changed(at(here.path())), ["one.conf", "sites/empty", "sites/link"]);
    let copied = ReadOptions { is_copied: true, ..ReadOptions::default() };
    assert!(changed(scan(&[source(here.path())], &copied)).is_empty(), "a copy does not have them");
    write(here.path(), "sites/nowhere", "");
    assert_eq!(changed(at(here.path())), ["one.conf", "sites/empty", "sites/link", "sites/nowhere"]);
    assert!(snapshot(at(here.path())).tree.contains_key(Path::new("sites/link")), "it leads to a file now");
}

#[test]
fn a_link_of_another_user_reads_no_more_than_that_user_could() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let outside = plain(&[("token", "private"), ("public", "for all")]);
    fs::set_permissions(outside.path(), Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(outside.path().join("token"), Permissions::from_mode(0o600)).expect("ours");
    let here = plain(&[]);
    let link = here.path().join("link");
    symlink(outside.path().join("public"), &link).expect("there is room");
    std::os::unix::fs::lchown(&link, Some(65532), Some(65532)).expect("root may");
    assert_eq!(read(at(here.path())).len(), 1);
    fs::set_permissions(outside.path(), Permissions::from_mode(0o700)).expect("ours");
    let said = refused(at(here.path()));
    assert!(said.starts_with("escaping-link: ") && said.contains("uid 65532, which may not read"), "{said}");
    fs::set_permissions(outside.path(), Permissions::from_mode(0o755)).expect("ours");
    fs::remove_file(&link).and_then(|()| symlink(outside.path().join("token"), &link)).expect("ours");
    assert_eq!(read(at(here.path())).len(), 1, "a link of root may lead anywhere");
    std::os::unix::fs::lchown(&link, Some(65532), Some(65532)).expect("root may");
    assert!(refused(at(here.path())).contains("uid 65532, which may not read"));
}

#[test]
fn a_source_behind_a_link_of_another_user_is_read_as_far_as_that_user_could() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let chown = |path: &Path| std::os::unix::fs::lchown(path, Some(65532), Some(65532)).expect("root may");
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    let here = plain(&[("releases/1/conf/app.conf", "one"), ("private/conf/app.conf", "root's")]);
    mode(here.path(), 0o755);
    let (current, shared) = (here.path().join("current"), here.path().join("shared"));
    // As git-sync and Capistrano: their user owns the link and what it leads to, whatever the mode is.
    symlink("releases/1", &current).expect("there is room");
    let release = here.path().join("releases/1/conf/app.conf");
    mode(&release, 0o600);
    [&current, &release].iter().for_each(|path| chown(path));
    let sources = [current.join("conf"), current.join("conf/app.conf")];
    for source in &sources {
        assert_eq!(read(at(source)).len(), 1, "{source:?}");
        assert_eq!(read(with(source, &strict())).len(), 1, "{source:?}");
    }
    // A link in the middle of the path, and the last one, lead to what only root may read.
    fs::remove_file(&current).and_then(|()| symlink("private", &current)).expect("ours");
    symlink("private/conf", &shared).expect("there is room");
    mode(&here.path().join("private/conf/app.conf"), 0o600);
    let links = [sources[0].clone(), sources[1].clone(), shared.clone()];
    for source in &links {
        assert_eq!(read(at(source)).len(), 1, "{source:?}: a link of root may lead anywhere");
    }
    [&current, &shared].iter().for_each(|path| chown(path));
    for source in &links {
        let said = refused(at(source));
        assert!(said.starts_with("escaping-link: ") && said.contains("uid 65532, which may not read"), "{said}");
    }
    mode(&here.path().join("private/conf/app.conf"), 0o644);
    assert_eq!(read(at(&shared)).len(), 1);
    mode(&here.path().join("private"), 0o700);
    assert!(refused(at(&shared)).contains("uid 65532, which may not read"));
    // A link of root in that directory leads no further.
    mode(&here.path().join("private"), 0o755);
    let token = plain(&[("token", "root's")]);
    symlink(token.path().join("token"), here.path().join("private/conf/link")).expect("there is room");
    mode(&token.path().join("token"), 0o600);
    assert!(refused(at(&shared)).contains("uid 65532, which may not read"));
}

/// A directory that is swapped for a link to another one, again and again, while it is read.
#[test]
fn what_a_configuration_includes_from_a_linked_directory_is_content() {
    let outside = plain(&[
        ("conf.d/a.conf", "a"),
        ("conf.d/notes.txt", "n"),
        ("conf.d/.hidden.conf", "h"),
        ("certs/live/tls.pem", "p"),
        ("modules/mod.so", "m"),
        ("more/b.conf", "include deeper/c.conf;"),
        ("deeper/c.conf", "c"),
    ]);
    let main = "include /etc/app/conf.d/*.conf; # include modules\ninclude more/b.conf;\nssl certs/live/tls.pem;\nload modules/mod.so;\n";
    let here = plain(&[("app.conf", main)]);
    for name in ["conf.d", "certs", "modules", "more", "deeper"] {
        symlink(outside.path().join(name), here.path().join(name)).expect("there is room");
    }
    let names = |snapshot: &Snapshot| snapshot.tree.keys().map(|name| name.display().to_string()).collect::<Vec<_>>();
    let snapshot = snapshot(at(here.path()));
    assert_eq!(names(&snapshot), ["app.conf", "certs/live/tls.pem", "conf.d/a.conf", "deeper/c.conf", "more/b.conf"]);
    let links: Vec<_> = snapshot.tree.links().keys().cloned().collect();
    assert_eq!(links, [Path::new("modules")], "of what is not included the link counts");
    write(outside.path(), "conf.d/a.conf", "other");
    assert_ne!(digest(here.path()), snapshot.revision.digest());
    write(outside.path(), "conf.d/new.conf", "new");
    assert!(names(&self::snapshot(at(here.path()))).contains(&"conf.d/new.conf".to_owned()));
    write(outside.path(), "conf.d/notes.txt", "other");
    write(outside.path(), "modules/mod.so", "other");
    assert_eq!(names(&self::snapshot(at(here.path()))).len(), 6);
}

#[test]
fn no_race_leads_out_of_the_sources() {
    let outside = plain(&[("token", "outside")]);
    let here = plain(&[("d/token", "inside")]);
    symlink("d/token", here.path().join("app.conf")).expect("there is room");
    let (directory, evil) = (here.path().join("d"), here.path().parent().expect("it has one").join("evil-link"));
    let evil = evil.with_extension(std::process::id().to_string());
    symlink(outside.path(), &evil).expect("there is room");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let cwd = rustix::fs::CWD;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(cwd, &directory, cwd, &evil, exchange).expect("both are ours");
            }
        });
        for _ in 0..2_000 {
            let Ok(snapshot) = with(here.path(), &strict()).result else { continue };
            let leaked = snapshot.tree.values().any(|content| content == b"outside");
            done.fetch_or(leaked, std::sync::atomic::Ordering::Relaxed);
            assert!(!leaked, "{:?}", snapshot.tree);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    fs::remove_file(&evil).or_else(|_| fs::remove_dir_all(&evil)).expect("ours");
}

#[test]
fn a_volume_of_a_kubelet_lets_no_link_lead_out() {
    let outside = plain(&[("secret", "s")]);
    let here = plain(&[("..2026_1/app.conf", "1")]);
    symlink("..2026_1", here.path().join("..data")).expect("there is room");
    symlink("..data/app.conf", here.path().join("app.conf")).expect("there is room");
    assert_eq!(read(at(here.path())).len(), 1);
    for name in ["..2026_1/out", "out"] {
        symlink(outside.path().join("secret"), here.path().join(name)).expect("there is room");
        let said = refused(at(here.path()));
        assert!(said.starts_with("escaping-link: "), "{said}");
        fs::remove_file(here.path().join(name)).expect("ours");
    }
}

#[test]
fn a_backup_is_read_if_the_configuration_reads_it() {
    let main = "http { include conf.d/*.conf; include sites-enabled/*; }";
    let here = plain(&[("nginx.conf", main), ("sites-enabled/site", "1"), ("conf.d/a.conf", "1")]);
    let before = digest(here.path());
    for name in [
        "conf.d/a.conf~",
        "conf.d/a.conf.bak",
        "conf.d/.a.conf.swp",
        ".git/index",
        "sites-enabled/.site.swp",
        "lost+found/x",
    ] {
        write(here.path(), name, "left behind");
        assert_eq!(digest(here.path()), before, "{name}");
    }
    for name in ["sites-enabled/site~", "sites-enabled/#site#", "sites-enabled/site.bak", "conf.d/README"] {
        write(here.path(), name, "read");
        assert_ne!(digest(here.path()), before, "{name}");
        fs::remove_file(here.path().join(name)).expect("ours");
    }
}

#[test]
fn patterns_select_what_is_read() {
    let here = plain(&[("app.conf", "1"), ("app.conf~", "2"), ("cache/a.conf", "3"), ("logs/error.log", "4")]);
    let options = |include: &[&str], exclude: &[&str]| {
        let parse = |pattern: &&str| pattern.parse::<FilePattern>().expect("it is well-formed");
        let selection = Selection::new(include.iter().map(parse), exclude.iter().map(parse));
        ReadOptions { selection, ..ReadOptions::default() }
    };
    let names = |options: &ReadOptions| {
        read(with(here.path(), options)).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&options(&[], &[])), "app.conf cache/a.conf logs/error.log");
    assert_eq!(names(&options(&[], &["cache", "*.log"])), "app.conf");
    assert_eq!(names(&options(&["*.conf"], &["cache/*"])), "app.conf");
    assert_eq!(names(&options(&["**"], &["logs"])), "app.conf app.conf~ cache/a.conf");
    // A special file that is left out does not matter.
    rustix::fs::mknodat(rustix::fs::CWD, here.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0)
        .expect("there is room");
    assert_eq!(names(&options(&[], &["cache", "logs", "fifo"])), "app.conf");
    assert_eq!(names(&options(&["*.conf"], &["cache"])), "app.conf");
}

#[test]
fn a_token_of_a_service_account_is_no_configuration() {
    // {"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"x"}
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9uYW1lc3BhY2UiOiJ4In0.c2ln";
    let other = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJteSBhcHBsaWNhdGlvbiJ9.c2ln";
    let here = plain(&[("..1/token", token), ("..1/license", other), ("..1/ca.crt", "ca")]);
    symlink("..1", here.path().join("..data")).expect("there is room");
    for key in ["token", "license", "ca.crt"] {
        symlink(Path::new("..data").join(key), here.path().join(key)).expect("there is room");
    }
    let names: Vec<_> = read(at(here.path())).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ca.crt", "license"]);
}

#[test]
fn a_missing_file_is_reported_with_its_neighbours() {
    let here = plain(&[("nginx.conf", "1"), ("mime.types", "2")]);
    for (name, help) in [
        ("ngnix.conf", "did you mean `nginx.conf`, which is there?; the gate waits for it"),
        (
            "haproxy.cfg",
            "check the name and the volume's keys: `mime.types`, `nginx.conf` are there; the gate waits for it",
        ),
        ("not/yet", "check `--watch` against the volume mounts of this container; the gate waits for it"),
    ] {
        let path = here.path().join(name);
        assert_eq!(refused(at(&path)), format!("missing-source: `{}` does not exist; {help}", path.display()));
    }
}

#[test]
fn a_volume_that_may_not_be_read_is_not_at_rest() {
    obey_permissions();
    let here = plain(&[("..1/app.conf", "1"), ("plain/app.conf", "1")]);
    symlink("..1", here.path().join("..data")).expect("there is room");
    symlink("..data/app.conf", here.path().join("app.conf")).expect("there is room");
    for name in ["..1/app.conf", "..1"] {
        let path = here.path().join(name);
        fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
        let error = at(here.path()).result.expect_err("it may not be read");
        assert!(!error.settled && error.patience > Duration::ZERO, "{name}: {error:?}");
        assert!(error.findings[0].help.as_ref().is_some_and(|help| help.contains("fsGroup")), "{error:?}");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
    }
    let path = here.path().join("plain/app.conf");
    fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
    assert!(at(&here.path().join("plain")).result.expect_err("it may not be read").settled);
}

#[test]
fn a_file_that_is_half_written_is_waited_for() {
    use std::io::Write as _;
    let here = plain(&[("app.conf", "one and more")]);
    let options = ReadOptions { quiet: Duration::from_millis(100), ..ReadOptions::default() };
    let mut scanner = Scanner::new(vec![source(here.path())], options);
    assert!(snapshot(scanner.scan()).settled);
    let mut file = fs::File::create(here.path().join("app.conf")).expect("ours");
    let half = snapshot(scanner.scan());
    assert!(!half.settled && half.patience > Duration::from_secs(10), "{:?}", half.patience);
    assert_eq!(half.notes[0].code.as_str(), "half-written");
    file.write_all(b"two").expect("there is room");
    assert!(!snapshot(scanner.scan()).settled, "a program has it open");
    drop(file);
    let whole = snapshot(scanner.scan());
    assert!(whole.settled && whole.notes.is_empty());
    fs::write(here.path().join("app.conf"), "").expect("ours");
    assert_eq!(snapshot(scanner.scan()).patience, Duration::from_secs(3));
}

#[test]
fn links_in_a_circle_come_to_an_end() {
    let here = plain(&[("a", "1")]);
    for name in 0..10 {
        symlink(".", here.path().join(format!("circle{name}"))).expect("there is room");
    }
    assert_eq!(read(in_time(here.path())), [("a".into(), "1".into())], "what they lead to is read without them");
    let here = plain(&[("a/x", "1"), ("b/y", "2")]);
    symlink("../b", here.path().join("a/to")).expect("there is room");
    symlink("../a", here.path().join("b/to")).expect("there is room");
    let names: Vec<_> = read(in_time(here.path())).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a/to/y", "a/x", "b/to/x", "b/y"], "each directory is read once on a way");
    let here = plain(&[(&format!("{}a", "deep/".repeat(40)), "1")]);
    let said = refused(in_time(here.path()));
    assert!(said.contains("too-deep") && said.contains("deep/deep/"), "{said}");
    let here = plain(&[("a", "1")]);
    symlink("itself", here.path().join("itself")).expect("there is room");
    assert!(refused(at(here.path())).starts_with("unreadable-file: cannot read `"));
}

#[test]
fn limits_name_the_file_and_the_flag() {
    let here = plain(&[("a", "12345"), ("b", "12345"), ("c", "1")]);
    let with = |bytes, files| {
        let limits = Limits { bytes, files };
        scan(&[source(here.path())], &ReadOptions { limits, ..ReadOptions::default() })
    };
    assert_eq!(read(with(11, 3)).len(), 3, "a limit may be reached");
    let beyond = |limits: Scan, file: &str, what: &str, flag: &str| {
        let expected = format!(
            "too-large: {}: the configuration has more than {what}; watch only what is configuration, or raise `{flag}`",
            here.path().join(file).display()
        );
        assert_eq!(refused(limits), expected);
    };
    beyond(with(10, 3), "c", "10 bytes in all", "--max-bytes");
    beyond(with(9, 3), "b", "9 bytes in all", "--max-bytes");
    beyond(with(11, 2), "c", "2 files", "--max-files");
    beyond(with(11, 1), "b", "1 files", "--max-files");
}

#[test]
fn a_file_that_the_gate_may_not_read_is_inconclusive_and_names_the_uid() {
    obey_permissions();
    let here = plain(&[("d/app.conf", "1")]);
    let uid = rustix::process::geteuid().as_raw();
    for name in ["d/app.conf", "d"] {
        let path = here.path().join(name);
        fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
        let scan = at(here.path());
        let cause = scan.result.as_ref().expect_err("it is refused").findings[0].cause;
        let help = format!("the gate runs as uid {uid}; give that user read access, or run it as the owner");
        let denied = format!("cannot read `{}`: Permission denied (os error 13)", path.display());
        assert_eq!(refused(scan), format!("unreadable-file: {denied}; {help}"));
        assert_eq!(cause, reload_gate_contract::Cause::Environment);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
    }
}

#[test]
fn a_volume_of_a_kubelet_in_memory_is_a_secret() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
    let disk = plain(&[("plain", "")]);
    for root in [memory.path(), disk.path()] {
        write(root, "volume/..2026_1/site/password", "hunter2");
        symlink("..2026_1", root.join("volume/..data")).expect("there is room");
        symlink("..data/site", root.join("volume/site")).expect("there is room");
        write(root, "other/password", "hunter2");
    }
    let is_secret = |root: &Path, path: &str| source(&root.join(path)).is_secret();
    for (path, expected) in [("volume", true), ("volume/site", true), ("volume/site/password", true), ("other", false)]
    {
        assert_eq!(is_secret(memory.path(), path), expected, "{path}");
        assert!(!is_secret(disk.path(), path), "{path}");
    }
    assert!(is_secret(disk.path(), "none"), "what cannot be looked at may be one");
    assert!(is_secret(memory.path(), "other/password"), "a file alone is mounted with `subPath`");
}
