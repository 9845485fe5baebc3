use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use notify::event::{CreateKind, DataChange, MetadataKind};
use rustix::thread::CapabilitySet;
use tempfile::TempDir;

use super::*;

/// Far longer than any event takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The rounds in which a late event may be taken for that of a change.
const ROUNDS: usize = 4;

/// A watch, and a volume in it: its event shows that all earlier events have arrived, since events come in order.
struct Watched {
    watch: Watch,
    marker: TempDir,
    outside: TempDir,
    marks: usize,
    runtime: tokio::runtime::Runtime,
}

impl Watched {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        // Events come in order from one watcher alone.
        let mut watch = Watch::new();
        watch.watches_volumes = false;
        Self { watch, marker: directory(), outside: directory(), marks: 0, runtime }
    }

    /// Covers the collected watch points, and the marker.
    fn cover(&mut self, collect: impl FnOnce(&mut WatchPoints)) -> Coverage {
        let mut watch_points = WatchPoints::default();
        collect(&mut watch_points);
        watch_points.volume(self.marker.path());
        self.watch.cover(watch_points.into())
    }

    /// Returns the next change.
    #[track_caller]
    fn next(&self) -> WatchEvent {
        let mut events = std::iter::repeat_with(|| self.next_event());
        events.find(|event| *event != WatchEvent::Expected).expect("it is endless")
    }

    #[track_caller]
    fn next_event(&self) -> WatchEvent {
        let event = async { tokio::time::timeout(PATIENCE, self.watch.event()).await };
        self.runtime.block_on(event).expect("an event arrives")
    }

    /// Asserts that the change causes this hint.
    #[track_caller]
    fn changes(&mut self, what: &str, hint: Hint) {
        assert_eq!(self.next(), WatchEvent::Hint(hint), "{what}");
        self.settle();
    }

    /// Asserts that no change causes a hint.
    #[track_caller]
    fn is_quiet(&mut self, what: &str) {
        assert_eq!(self.settle(), None, "{what}");
    }

    /// Asserts that the change causes no hint. An event of an earlier one may come late, since two watchers have threads of their own; what
    /// is watched would cause a hint each time.
    #[track_caller]
    fn is_nothing(&mut self, what: &str, change: impl Fn()) {
        let causes = |_: &usize| {
            change();
            self.settle().is_some()
        };
        let rounds = (0..ROUNDS).take_while(causes).count();
        assert!(rounds < ROUNDS, "{what}");
    }

    /// Waits until all events have arrived, and returns the strongest.
    #[track_caller]
    fn settle(&mut self) -> Option<WatchEvent> {
        let mut strongest = None;
        // The weakest hint hides no earlier one.
        loop {
            self.marks += 1;
            symlink("nowhere", self.marker.path().join(self.marks.to_string())).expect("there is room");
            match self.next() {
                WatchEvent::Hint(Hint::Names) => break,
                event => strongest = Some(event),
            }
        }
        // The strongest hides the rest: a single event, since it comes from a place that is not watched.
        let link = self.outside.path().join("link");
        symlink("nowhere", &link).and_then(|()| fs::rename(link, self.marker.path().join("..data"))).expect("ours");
        while self.next() != WatchEvent::Hint(Hint::Commit) {}
        strongest
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("there is room")
}

fn write(directory: &Path, name: &str) {
    fs::write(directory.join(name), name).expect("there is room");
}

#[test]
fn every_change_in_a_plain_directory_causes_a_hint() {
    let (here, elsewhere) = (directory(), directory());
    write(here.path(), "a");
    write(elsewhere.path(), "b");
    let mut watched = Watched::new();
    assert_eq!(watched.cover(|watch_points| watch_points.plain(here.path())), Coverage::Extended);
    let (inside, outside) = (here.path().join("b"), elsewhere.path().join("b"));
    let changes: [(&str, &dyn Fn() -> std::io::Result<()>); 8] = [
        ("a file is written", &|| fs::write(here.path().join("a"), "2")),
        ("a file is made", &|| fs::write(here.path().join("new"), "")),
        ("a file is removed", &|| fs::remove_file(here.path().join("new"))),
        ("a file is moved in", &|| fs::rename(&outside, &inside)),
        ("a file is moved out", &|| fs::rename(&inside, &outside)),
        ("a mode is changed", &|| fs::set_permissions(here.path().join("a"), Permissions::from_mode(0o600))),
        ("a directory is made", &|| fs::create_dir(here.path().join("d"))),
        ("a link is made", &|| symlink("a", here.path().join("link"))),
    ];
    for (what, change) in changes {
        change().expect(what);
        watched.changes(what, Hint::Touch);
    }
    // A directory in it is a place of its own.
    write(&here.path().join("d"), "nested");
    watched.is_quiet("a directory that is not covered");
    let nested = here.path().join("d");
    assert_eq!(
        watched.cover(|watch_points| {
            watch_points.plain(here.path());
            watch_points.plain(&nested);
        }),
        Coverage::Extended
    );
    write(&nested, "nested");
    watched.changes("a file in a nested directory is written", Hint::Touch);
}

#[test]
fn reading_a_watched_directory_causes_no_hint() {
    let here = directory();
    write(here.path(), "a");
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.plain(here.path()));
    for _ in 0..3 {
        assert_eq!(fs::read_dir(here.path()).expect("ours").count(), 1);
        assert_eq!(fs::read(here.path().join("a")).expect("ours"), b"a");
        here.path().join("a").canonicalize().and_then(|path| path.metadata()).expect("ours");
    }
    watched.is_quiet("reading");
    let source =
        crate::flow::snapshot::Source { path: here.path().into(), mount: here.path().into(), whole_volume: false };
    crate::flow::snapshot::scan(&[source], &crate::flow::snapshot::ReadOptions::default()).result.expect("it is read");
    watched.is_quiet("a look");
}

#[test]
fn the_swap_of_a_volume_is_a_commit() {
    let here = directory();
    let path = |name: &str| here.path().join(name);
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.volume(here.path()));
    for generation in ["..1", "..2"] {
        fs::create_dir(path(generation)).and_then(|()| symlink(generation, path("..data_tmp"))).expect("there is room");
        fs::rename(path("..data_tmp"), path("..data")).expect("it can be swapped");
        // Events before the swap cause no hint, and those after it a weaker one.
        watched.changes("the swap", Hint::Commit);
        symlink("..data/key", path("key")).or_else(|_| fs::remove_file(path("key"))).expect("ours");
        watched.changes("a link comes or goes", Hint::Names);
    }
    fs::remove_dir(path("..1")).expect("ours");
    watched.changes("the end of the update", Hint::AfterCommit);
}

#[test]
fn the_event_loop_notices_the_update_of_a_volume_itself() {
    let outside = directory();
    let volume = outside.path().join("volume");
    let path = |name: &str| volume.join(name);
    let mut watched = Watched { watch: Watch::new(), ..Watched::new() };
    for turn in 0..3 {
        fs::create_dir(&volume).expect("there is room");
        let mut watch_points = WatchPoints::default();
        watch_points.volume(&volume);
        assert_eq!(watched.watch.cover(watch_points.into()), Coverage::Extended, "{turn}");
        for generation in ["..1", "..2"] {
            fs::create_dir(path(generation)).expect("there is room");
            // What is left of the removed volume comes before.
            while watched.next_event() != WatchEvent::Expected {}
            symlink(generation, path("..data_tmp")).expect("there is room");
            fs::rename(path("..data_tmp"), path("..data")).expect("it can be swapped");
            assert_eq!(watched.next(), WatchEvent::Hint(Hint::Commit), "{turn} {generation}");
        }
        symlink("..data/key", path("key")).expect("there is room");
        assert_eq!(watched.next(), WatchEvent::Hint(Hint::Names), "{turn}");
        fs::remove_dir(path("..1")).expect("ours");
        assert_eq!(watched.next(), WatchEvent::Hint(Hint::AfterCommit), "{turn}");
        // A commit hides no other change.
        symlink("nowhere", path("..data_tmp"))
            .and_then(|()| fs::rename(path("..data_tmp"), path("..data")))
            .expect("ours");
        fs::remove_file(path("key")).expect("ours");
        let events = [watched.next(), watched.next()];
        assert_eq!(events, [WatchEvent::Hint(Hint::Names), WatchEvent::Hint(Hint::Commit)], "{turn}");
        // The next one has the same path, and maybe the same inode.
        fs::remove_dir_all(&volume).expect("ours");
        while lock(&watched.watch.shared.interests).contains_key(&volume) {
            watched.next();
        }
    }
}

/// Returns the hint that an event in a place causes.
#[track_caller]
fn hint_of(interest: &Interest, kind: EventKind, path: &str) -> Option<Hint> {
    let mut watch_points = BTreeMap::from([(PathBuf::from("/volume"), interest.clone())]);
    let hint = hint(&mut watch_points, kind, Path::new(path));
    let is_gone = watch_points.is_empty();
    assert_eq!(is_gone, path == "/volume" && hint.is_some(), "only its own end takes a place out");
    hint
}

#[test]
fn every_event_of_an_update_is_known() {
    let made = EventKind::Create(CreateKind::Any);
    let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let attributes = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    let removed = EventKind::Remove(RemoveKind::Any);
    let volume = Interest::Volume;
    let names = Interest::Way(BTreeSet::from(["source".into()]));
    let cases = [
        // The order in which a kubelet does it.
        (&volume, made, "/volume/..2026_11_23", None),
        (&volume, attributes, "/volume/..2026_11_23", None),
        (&volume, made, "/volume/..data_tmp", None),
        (&volume, renamed(RenameMode::From), "/volume/..data_tmp", None),
        (&volume, renamed(RenameMode::To), "/volume/..data", Some(Hint::Commit)),
        (&volume, renamed(RenameMode::Both), "/volume/..data", Some(Hint::Commit)),
        (&volume, made, "/volume/key", Some(Hint::Names)),
        (&volume, removed, "/volume/key", Some(Hint::Names)),
        (&volume, removed, "/volume/..2026_11_22", Some(Hint::AfterCommit)),
        // What it does not do, but another writer may.
        (&volume, made, "/volume/..data", Some(Hint::Touch)),
        (&volume, removed, "/volume/..data", Some(Hint::Touch)),
        // On the way to a source, its name alone counts.
        (&names, made, "/volume/source", Some(Hint::Touch)),
        (&names, made, "/volume/other", None),
        (&Interest::Plain, written, "/volume/any", Some(Hint::Touch)),
        (&Interest::Plain, written, "/volume/deeper/any", None),
        (&Interest::Plain, written, "/elsewhere", None),
        // The end of the directory itself.
        (&volume, EventKind::Remove(RemoveKind::Folder), "/volume", Some(Hint::Touch)),
        (&volume, EventKind::Remove(RemoveKind::Other), "/volume", Some(Hint::Touch)),
        (&volume, renamed(RenameMode::From), "/volume", Some(Hint::Touch)),
        (&volume, attributes, "/volume", None),
    ];
    for (interest, kind, path, expected) in cases {
        assert_eq!(hint_of(interest, kind, path), expected, "{interest:?} {kind:?} {path}");
    }
}

#[test]
fn a_directory_that_is_replaced_is_covered_anew() {
    let here = directory();
    let (source, old) = (here.path().join("source"), here.path().join("old"));
    fs::create_dir(&source).expect("there is room");
    let watch_points = |watch_points: &mut WatchPoints| {
        watch_points.anchor(&source);
        watch_points.plain(&source);
    };
    let mut watched = Watched::new();
    assert_eq!(watched.cover(watch_points), Coverage::Extended);
    assert_eq!(watched.cover(watch_points), Coverage::Unchanged);
    fs::rename(&source, &old).expect("ours");
    watched.changes("it is moved away", Hint::Touch);
    watched.is_nothing("what is elsewhere now", || write(&old, "a"));
    fs::create_dir(&source).expect("there is room");
    watched.changes("another takes its place", Hint::Touch);
    assert_eq!(watched.cover(watch_points), Coverage::Extended);
    write(&source, "a");
    watched.changes("a file in the new one is written", Hint::Touch);
    watched.is_nothing("the old one", || write(&old, "b"));
    // Removed and made anew between two looks, it may even have the same inode.
    fs::remove_dir_all(&source).and_then(|()| fs::create_dir(&source)).expect("ours");
    watched.changes("it is removed and made anew", Hint::Touch);
    assert_eq!(watched.cover(watch_points), Coverage::Extended);
    write(&source, "a");
    watched.changes("a file in the newest one is written", Hint::Touch);
    fs::remove_dir_all(&source).expect("ours");
    watched.changes("it is removed", Hint::Touch);
    assert_eq!(watched.cover(watch_points), Coverage::Unchanged, "a missing directory causes an event in its parent");
}

#[test]
fn a_source_that_does_not_exist_yet_is_awaited_step_by_step() {
    let here = directory();
    let source = here.path().join("not/yet/there");
    let mut watched = Watched::new();
    for step in ["not", "not/yet", "not/yet/there"] {
        assert_eq!(watched.cover(|watch_points| watch_points.anchor(&source)), Coverage::Extended, "{step}");
        write(here.path().join(step).parent().expect("it has one"), "something else");
        watched.is_quiet("another name");
        fs::create_dir(here.path().join(step)).expect("there is room");
        watched.changes(step, Hint::Touch);
    }
}

#[test]
fn a_link_on_the_way_that_is_led_elsewhere_causes_a_hint() {
    let here = directory();
    for revision in ["1", "2"] {
        fs::create_dir_all(here.path().join(revision).join("conf")).expect("there is room");
    }
    let current = here.path().join("current");
    symlink("1", &current).expect("there is room");
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.anchor(&current.join("conf")));
    symlink("2", here.path().join("next")).expect("there is room");
    watched.is_quiet("another name");
    fs::rename(here.path().join("next"), &current).expect("ours");
    watched.changes("the link is swapped", Hint::Touch);
    fs::rename(here.path().join("1/conf"), here.path().join("1/old")).expect("ours");
    watched.changes("the directory at its end", Hint::Touch);
}

#[test]
fn the_way_to_a_source_is_every_place_where_it_can_be_led_elsewhere() {
    let here = directory();
    let root = here.path().canonicalize().expect("it is there");
    fs::create_dir_all(root.join("a/b")).expect("there is room");
    symlink("../a", root.join("a/up")).expect("there is room");
    symlink(root.join("a"), root.join("absolute")).expect("there is room");
    symlink("circle", root.join("circle")).expect("there is room");
    let cases = [
        ("a/b", vec!["a", "a/b"]),
        ("a/none/deeper", vec!["a", "a/none"]),
        ("absolute/b", vec!["a", "absolute", "a/b"]),
        ("a/up/b", vec!["a", "a/b", "a/up"]),
        ("a/up/none", vec!["a", "a/none", "a/up"]),
        ("circle", vec!["circle"]),
    ];
    for (path, expected) in cases {
        let mut watch_points = WatchPoints::default();
        watch_points.anchor(&root.join(path));
        let names = |point: WatchPoint| match point.interest {
            Interest::Way(names) => names.into_iter().map(move |name| point.path.join(name)),
            other => panic!("{other:?}"),
        };
        let found: Vec<PathBuf> = Vec::from(watch_points).into_iter().flat_map(names).collect();
        let (above, below): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| root.starts_with(path));
        assert_eq!(below, expected.iter().map(|path| root.join(path)).collect::<Vec<_>>(), "{path}");
        let every: Vec<_> = root.ancestors().filter(|path| path.parent().is_some()).collect();
        assert_eq!(above.iter().rev().map(PathBuf::as_path).collect::<Vec<_>>(), every, "every level above");
    }
    // A directory of which everything counts is not reduced to names.
    let mut watch_points = WatchPoints::default();
    watch_points.plain(&root);
    watch_points.anchor(&root.join("a"));
    let points = Vec::<WatchPoint>::from(watch_points);
    assert!(points.contains(&WatchPoint { path: root.clone(), interest: Interest::Plain }), "{points:?}");
    // Nor is one of which some files count.
    let mut watch_points = WatchPoints::default();
    watch_points.file(&root, OsStr::new("file"));
    watch_points.anchor(&root.join("a"));
    let points = Vec::<WatchPoint>::from(watch_points);
    let both = Interest::Files(BTreeSet::from(["a".into(), "file".into()]));
    assert!(points.contains(&WatchPoint { path: root, interest: both }), "{points:?}");
}

#[test]
fn a_directory_that_is_not_covered_any_more_causes_no_hint() {
    let (here, there) = (directory(), directory());
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.plain(here.path()));
    assert_eq!(watched.cover(|watch_points| watch_points.plain(there.path())), Coverage::Extended);
    write(here.path(), "a");
    watched.is_quiet("the former place");
    write(there.path(), "a");
    watched.changes("the new place", Hint::Touch);
}

#[test]
fn a_rename_at_any_level_above_a_source_causes_a_hint() {
    let here = directory();
    let source = here.path().join("one/two/three/source");
    fs::create_dir_all(&source).expect("there is room");
    let mut watched = Watched::new();
    let cover = |watch_points: &mut WatchPoints| {
        watch_points.anchor(&source);
        watch_points.plain(&source);
    };
    for level in ["one", "one/two", "one/two/three"] {
        watched.cover(cover);
        let (path, away) = (here.path().join(level), here.path().join("away"));
        fs::rename(&path, &away).expect("ours");
        watched.changes(&format!("`{level}` is moved away"), Hint::Touch);
        watched.cover(|watch_points| watch_points.anchor(&source));
        fs::rename(&away, &path).expect("ours");
        watched.changes(&format!("`{level}` is moved back"), Hint::Touch);
    }
    watched.cover(cover);
    write(&source, "a");
    watched.changes("the source is watched again", Hint::Touch);
}

#[test]
fn writes_beside_a_source_wake_no_watcher() {
    let here = directory();
    let source = here.path().join("source");
    fs::create_dir(&source).expect("there is room");
    let mut log = fs::File::create(here.path().join("log")).expect("there is room");
    let mut watched = Watched::new();
    // While the log is written without a pause, the watch can be begun.
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut log, b"x").expect("there is room");
            }
        });
        watched.cover(|watch_points| {
            watch_points.anchor(&source);
            watch_points.plain(&source);
        });
        watched.is_quiet("a log beside the source");
        write(&source, "a");
        watched.changes("a file in the source", Hint::Touch);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_file_that_is_being_written_causes_a_hint_when_it_is_closed() {
    let here = directory();
    write(here.path(), "a");
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.plain(here.path()));
    let mut file = fs::File::create(here.path().join("a")).expect("ours");
    std::io::Write::write_all(&mut file, b"half").expect("there is room");
    watched.is_quiet("a file that is open");
    drop(file);
    watched.changes("it is closed", Hint::Touch);
}

#[test]
fn one_file_outside_of_the_sources_is_watched_alone() {
    let here = directory();
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.file(here.path(), OsStr::new("a")));
    write(here.path(), "b");
    watched.is_quiet("another file");
    write(here.path(), "a");
    watched.changes("the file", Hint::Touch);
}

#[test]
fn gates_share_their_watches_and_do_not_end_those_of_others() {
    let here = directory();
    let (mut one, mut two) = (Watched::new(), Watched::new());
    let cover = |watch_points: &mut WatchPoints| watch_points.plain(here.path());
    assert_eq!(one.cover(cover), Coverage::Extended);
    assert_eq!(two.cover(cover), Coverage::Extended);
    write(here.path(), "a");
    one.changes("the first gate", Hint::Touch);
    two.changes("the second gate", Hint::Touch);
    drop(one);
    write(here.path(), "b");
    two.changes("the gate that is left", Hint::Touch);
    // A directory that is replaced is watched anew by both.
    let mut one = Watched::new();
    let source = here.path().join("source");
    fs::create_dir(&source).expect("there is room");
    let cover = |watch_points: &mut WatchPoints| {
        watch_points.anchor(&source);
        watch_points.plain(&source);
    };
    one.cover(cover);
    two.cover(cover);
    fs::remove_dir(&source).and_then(|()| fs::create_dir(&source)).expect("ours");
    one.changes("it is replaced", Hint::Touch);
    two.changes("it is replaced", Hint::Touch);
    assert_eq!(one.cover(cover), Coverage::Extended);
    assert_eq!(two.cover(cover), Coverage::Extended);
    write(&source, "a");
    one.changes("the first gate, in the new directory", Hint::Touch);
    two.changes("the second gate, in the new directory", Hint::Touch);
}

#[test]
fn inotify_is_used_again_when_it_is_available_again() {
    let here = directory();
    write(here.path(), "no directory");
    let mut watched = Watched::new();
    watched.watch.mode = Mode::Poll;
    watched.watch.retry_at = Some(Instant::now() + PATIENCE);
    let cover = |watch_points: &mut WatchPoints| watch_points.plain(here.path());
    assert_eq!(watched.cover(cover), Coverage::Unchanged, "it is not tried all the time");
    watched.watch.retry_at = Some(Instant::now());
    assert_eq!(watched.cover(cover), Coverage::Restored);
    assert_eq!(watched.watch.mode(), Mode::Inotify);
    write(here.path(), "a");
    watched.changes("a file is written", Hint::Touch);
}

#[test]
fn an_overflowing_queue_asks_for_a_scan() {
    let here = directory();
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.plain(here.path()));
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("Linux has it");
    let limit: usize = limit.trim().parse().expect("a number");
    {
        // The watcher's thread waits for this lock while the kernel's queue fills; making and removing are two events.
        let _held = lock(&watched.watch.shared.interests);
        for _ in 0..=limit / 2 + 1_000 {
            write(here.path(), "a");
            fs::remove_file(here.path().join("a")).expect("ours");
        }
    }
    while watched.next() != WatchEvent::Overflowed {}
    // And it goes on after that.
    watched.settle();
    write(here.path(), "b");
    watched.changes("a file after the flood", Hint::Touch);
}

#[test]
fn a_hint_outlives_a_wait_that_is_given_up() {
    let here = directory();
    let mut watched = Watched::new();
    watched.cover(|watch_points| watch_points.plain(here.path()));
    write(here.path(), "a");
    let deadline = Instant::now() + PATIENCE;
    let given_up = async { tokio::time::timeout(Duration::ZERO, watched.watch.event()).await };
    let mut given_up = watched.runtime.block_on(given_up);
    while given_up.is_err() && Instant::now() < deadline {
        given_up =
            watched.runtime.block_on(async { tokio::time::timeout(Duration::ZERO, watched.watch.event()).await });
    }
    assert_eq!(given_up.ok(), Some(WatchEvent::Hint(Hint::Touch)));
}

#[test]
fn a_place_that_cannot_be_watched_means_polling_and_says_why() {
    // The watcher's thread is started by this one, and has no more capabilities.
    let mut own = rustix::thread::capabilities(None).expect("they can be read");
    own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    rustix::thread::set_capabilities(None, own).expect("less is always allowed");
    let here = directory();
    let hidden = here.path().join("hidden");
    fs::create_dir_all(hidden.join("source")).expect("there is room");
    // To be passed through, but not to be listed or watched.
    fs::set_permissions(&hidden, Permissions::from_mode(0o100)).expect("ours");
    let mut watched = Watched::new();
    assert_eq!(
        watched.cover(|watch_points| watch_points.anchor(&hidden.join("source"))),
        Coverage::Extended,
        "only the way to it"
    );
    assert_eq!(watched.watch.mode(), Mode::Inotify);
    let Coverage::Degraded(why) = watched.cover(|watch_points| watch_points.plain(&hidden)) else {
        panic!("it cannot be watched")
    };
    assert!(why.starts_with("inotify is unavailable; polling for changes: "), "{why}");
    assert!(why.contains("Permission denied") && why.contains(hidden.to_str().expect("it is UTF-8")), "{why}");
    assert_eq!(watched.watch.mode(), Mode::Poll);
    assert_eq!(watched.cover(|watch_points| watch_points.plain(&hidden)), Coverage::Unchanged, "it is reported once");
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn an_exhausted_limit_is_named() {
    let io = |errno: rustix::io::Errno| notify::Error::io(errno.into());
    let cases = [
        (io(rustix::io::Errno::MFILE), "; raise `fs.inotify.max_user_instances` on the node"),
        (notify::Error::new(notify::ErrorKind::MaxFilesWatch), "; raise `fs.inotify.max_user_watches` on the node"),
        (io(rustix::io::Errno::NOSYS), "Function not implemented (os error 38)"),
    ];
    for (error, end) in cases {
        let said = explain(&error);
        assert!(said.contains("polling for changes: ") && said.ends_with(end), "{said}");
    }
}
