//! Files that are no regular files.

use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn special_files_are_refused_without_being_opened() {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    let node = |path: &Path, kind, device| rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::RUSR, device);
    let make: [Case<'_>; 3] = [
        ("a FIFO", &|path| node(path, FileType::Fifo, 0).expect("there is room")),
        ("a socket", &|path| drop(UnixListener::bind(path).expect("there is room"))),
        // Reading a terminal would wait for a key press.
        ("a device", &|path| {
            let _ = node(path, FileType::CharacterDevice, rustix::fs::makedev(5, 0));
        }),
    ];
    for (kind, make) in make {
        let here = plain(&[("app.conf", "1")]);
        let path = here.path().join("special");
        make(&path);
        if !path.exists() {
            skip(&format!("only root may make {kind}"));
            continue;
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("it starts");
        inotify::add_watch(&inotify, &path, WatchFlags::OPEN).expect("it is there");
        inotify::add_watch(&inotify, here.path().join("app.conf"), WatchFlags::OPEN).expect("it is there");
        let expected =
            format!("special-file: {}: {kind} is no configuration; it was not opened; remove it", path.display());
        // As the source itself, and as a file in a directory, where a program may listen beside its configuration.
        let said = refused(in_time(&path));
        assert!(said.starts_with(&expected), "{said}");
        match in_time(here.path()) {
            scan if kind == "a socket" => assert_eq!(snapshot(scan).tree.len(), 1),
            scan => assert!(refused(scan).starts_with(&expected)),
        }
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut opened = inotify::Reader::new(inotify, &mut buffer);
        let mut watches = Vec::new();
        while let Ok(event) = opened.next() {
            watches.extend(event.events().contains(ReadFlags::OPEN).then_some(event.wd()));
        }
        assert_eq!(watches, [2], "the file beside {kind} was opened, and nothing else");
    }
}

#[test]
fn a_socket_beside_the_configuration_is_left_out() {
    let here = plain(&[("app.conf", "1")]);
    let socket = here.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).expect("there is room");
    let before = snapshot(at(here.path()));
    assert_eq!(before.tree.len(), 1);
    // As a reload does.
    drop(listener);
    tick(before.delivered);
    fs::remove_file(&socket).expect("ours");
    let _listener = UnixListener::bind(&socket).expect("there is room");
    let after = snapshot(at(here.path()));
    assert_eq!((after.revision.digest(), after.delivered), (before.revision.digest(), before.delivered));
}
