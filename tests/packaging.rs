//! The demo, the pre-commit hook and the action, as their users start them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regex::Regex;
use reload_gate::presets;
use reload_gate_structured::yaml::{self, Node};

use crate::support::{Background, command, eventually, needs};

/// A file of this repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn document(name: &str) -> Node {
    let text = std::fs::read_to_string(file(name)).expect("it is there");
    yaml::parse(&text).expect("it is YAML").expect("it is not empty")
}

/// The value of a key.
fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
    node.get(key).unwrap_or_else(|| panic!("no `{key}` in {node:?}"))
}

fn text(node: &Node) -> &str {
    node.as_str().expect("it is text")
}

/// A search path on which `reload-gate` is the binary under test.
fn path_with_the_binary(directory: &Path) -> std::ffi::OsString {
    let binary = Path::new(env!("CARGO_BIN_EXE_reload-gate"));
    std::os::unix::fs::symlink(binary, directory.join("reload-gate")).expect("there is room");
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    [directory.as_os_str(), &inherited].join(OsStr::new(":"))
}

/// A repository with these files, and the hook for changed files of `.pre-commit-hooks.yaml`.
struct Repository {
    directory: tempfile::TempDir,
    programs: tempfile::TempDir,
    hook: Node,
}

impl Repository {
    fn new(files: &[(&str, &str)]) -> Self {
        let new = || tempfile::tempdir().expect("there is room");
        let (directory, programs) = (new(), new());
        for (name, content) in files {
            let file = directory.path().join(name);
            std::fs::create_dir_all(file.parent().expect("it has one")).expect("there is room");
            std::fs::write(file, content).expect("there is room");
        }
        let hooks = document(".pre-commit-hooks.yaml");
        let hook = hooks.items().iter().find(|hook| text(get(hook, "id")) == "reload-gate").expect("it is there");
        Self { directory, programs, hook: hook.clone() }
    }

    /// Runs the hook as pre-commit does: the words of `entry`, `args`, and the names of the changed files.
    fn commit(&self, args: Option<&[&str]>, names: &[&str]) -> (String, Option<i32>) {
        let entry = shell_words::split(text(get(&self.hook, "entry"))).expect("it is a command");
        let defaults: Vec<_> = get(&self.hook, "args").items().iter().map(text).collect();
        let mut hook = command(&entry[0]);
        hook.args(&entry[1..]).args(args.unwrap_or(&defaults)).args(names).current_dir(self.directory.path());
        let _ = std::fs::remove_file(self.programs.path().join("reload-gate"));
        said(hook.env("PATH", path_with_the_binary(self.programs.path())))
    }
}

/// Both outputs of a command, and its exit code.
fn said(command: &mut Command) -> (String, Option<i32>) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    (String::from_utf8([stdout, stderr].concat()).expect("it is UTF-8"), status.code())
}

#[test]
fn the_hook_takes_no_file_name_for_an_option() {
    let names = ["--output=written.json", "--validate=touch executed;.json", "-q.json", "good.json"];
    let repository = Repository::new(&names.map(|name| (name, "{}")));
    let (report, code) = repository.commit(None, &names);
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("4 judged") || report.contains("4 accepted"), "{report}");
    let created = ["written.json", "executed", "executed;.json"].map(|name| repository.directory.path().join(name));
    assert!(created.iter().all(|path| !path.exists()), "a name was an option");
}

#[test]
fn the_hook_refuses_args_that_file_names_could_follow_as_options() {
    let repository = Repository::new(&[("good.json", "{}")]);
    let (report, code) = repository.commit(Some(&["--missing=reject"]), &["good.json"]);
    assert_eq!(code, Some(2), "{report}");
    assert!(report.contains("args must be --"), "{report}");
    let (report, code) = repository.commit(Some(&["--missing=reject", "--"]), &["good.json"]);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn the_hook_checks_a_part_of_an_nginx_configuration_by_its_main_file() {
    let main = "events {}\nhttp {\n    include conf.d/*.conf;\n}\n";
    for folder in ["", "nginx/"] {
        let [main_file, good, bad] =
            ["nginx.conf", "conf.d/a.conf", "conf.d/b.conf"].map(|name| folder.to_owned() + name);
        let repository = Repository::new(&[
            (&main_file, main),
            (&good, "server {\n    listen 8080;\n}\n"),
            (&bad, "server {\n    lisen 8080;\n}\n"),
        ]);
        let (report, code) = repository.commit(None, &[&bad]);
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains(&format!("{bad}:2:5")), "{report}");
        std::fs::remove_file(repository.directory.path().join(&bad)).expect("it is there");
        let (report, code) = repository.commit(None, &[&good]);
        assert_eq!(code, Some(0), "{report}");
    }
}

#[test]
fn the_hook_fails_for_a_file_that_nothing_validates() {
    let repository = Repository::new(&[("good.json", "{}"), ("sites-available/a", "server {}\n")]);
    let (report, code) = repository.commit(None, &["good.json", "sites-available/a"]);
    assert_eq!(code, Some(3), "{report}");
    assert!(report.contains("obstacle[no-validator]") && report.contains("--> sites-available/a"), "{report}");
    assert!(!report.contains("--> good.json"), "{report}");
}

#[test]
fn the_hooks_without_rust_are_those_with_it_and_take_the_wheel_of_this_version() {
    let document = document(".pre-commit-hooks.yaml");
    let hooks = document.items();
    let by_id = |id: &str| hooks.iter().find(|hook| text(get(hook, "id")) == id).unwrap_or_else(|| panic!("no {id}"));
    for (with, without, keys) in [
        ("reload-gate", "reload-gate-wheel", &["entry", "args", "files", "exclude", "name"][..]),
        ("reload-gate-all", "reload-gate-all-wheel", &["entry", "args", "name"]),
    ] {
        assert_eq!([with, without].map(|id| text(get(by_id(id), "language"))), ["rust", "python"]);
        for key in keys {
            let value = |id: &str| format!("{:?}", get(by_id(id), key).as_str());
            assert_eq!(value(with), value(without), "{key}");
        }
    }
    let project = include_str!("../pyproject.toml");
    let version = env!("CARGO_PKG_VERSION");
    for line in [format!("version = \"{version}\""), format!("dependencies = [\"reload-gate=={version}\"]")] {
        assert!(project.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn the_hook_is_given_the_files_of_each_preset() {
    let repository = Repository::new(&[]);
    let files = Regex::new(text(get(&repository.hook, "files"))).expect("Python and Rust read it alike");
    let of_presets = presets().iter().flat_map(|preset| preset.files.clone());
    let parts =
        ["conf.d/a.conf", "sites-enabled/a", "sites-available/a.conf", "etc/nginx/conf.d/a.conf", "a.yaml", "a/b.toml"];
    let matched = of_presets.chain(parts.map(str::to_owned));
    let missed: Vec<_> =
        matched.filter(|name| !files.is_match(name) || !files.is_match(&format!("etc/{name}"))).collect();
    assert!(missed.is_empty(), "{missed:?}");
    let others = ["README.md", "main.rs", "conf.d/README", "my-nginx.conf.md", "Caddyfile.md", "sites-enabled/a/b"];
    let taken: Vec<_> = others.iter().filter(|name| files.is_match(name)).collect();
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn the_action_takes_no_path_for_an_option() {
    needs!("bash");
    let action = document("action.yml");
    let steps = get(get(&action, "runs"), "steps").items();
    let check = steps.iter().find(|step| text(get(step, "name")) == "Check").expect("it is there");
    let runner = tempfile::tempdir().expect("there is room");
    let programs = runner.path().join("reload-gate/bin");
    std::fs::create_dir_all(&programs).expect("there is room");
    path_with_the_binary(&programs);
    let checkout = tempfile::tempdir().expect("there is room");
    std::fs::write(checkout.path().join("--output=written.json"), "{}").expect("there is room");
    let mut bash = command("bash");
    // As the runner starts it ("Workflow syntax for GitHub Actions", `shell`).
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", text(get(check, "run"))]).current_dir(checkout.path());
    bash.env("RUNNER_TEMP", runner.path()).env("GITHUB_PATH", runner.path().join("path"));
    bash.envs([("PATHS", "--output=written.json\n"), ("ARGS", ""), ("FORMAT", "json"), ("OUTPUT", "")]);
    let (report, code) = said(&mut bash);
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains(r#""input":"--output=written.json""#), "{report}");
    assert!(!checkout.path().join("written.json").exists(), "a path was an option");
}

/// The demo, with a temporary directory of its own.
fn demo(temporary: &Path) -> Command {
    let mut demo = command(file("demo/demo"));
    demo.arg(env!("CARGO_BIN_EXE_reload-gate")).env("TMPDIR", temporary).stdin(Stdio::null());
    demo
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("it is there").next().is_none()
}

#[test]
fn the_demo_takes_another_port_and_leaves_nothing() {
    needs!("nginx");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let temporary = tempfile::tempdir().expect("there is room");
    let (report, code) = said(demo(temporary.path()).env("DEMO_PORT", &port));
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains(&format!("port {port} is in use; the demo takes ")), "{report}");
    assert!(!report.contains('\u{1b}'), "escape sequences in a pipe: {report:?}");
    assert!(is_empty(temporary.path()), "something is left");
}

#[test]
fn the_demo_runs_without_nginx() {
    let temporary = tempfile::tempdir().expect("there is room");
    let (report, code) = said(demo(temporary.path()).env("DEMO", "bundled"));
    assert_eq!(code, Some(0), "{report}");
    assert!(is_empty(temporary.path()), "something is left");
}

/// The processes of a group, except for those that have ended and wait for init: state and group follow the name (proc_pid_stat(5)).
fn running(group: u32) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("it is there").flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    let in_group = |stat: &String| {
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() != Some("Z") && fields.nth(1) == Some(&*group.to_string())
    };
    stats.filter(in_group).collect()
}

#[test]
fn the_demo_leaves_nothing_after_a_signal() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let temporary = tempfile::tempdir().expect("there is room");
        let mut demo = Background::start(demo(temporary.path()).stdout(Stdio::null()).stderr(Stdio::null()));
        let group = rustix::process::Pid::from_raw(demo.pid().cast_signed()).expect("it is a process");
        eventually("the demo has begun", || !is_empty(temporary.path()));
        rustix::process::kill_process_group(group, signal).expect("it runs");
        eventually("the demo ends", || !demo.is_alive());
        assert!(is_empty(temporary.path()), "{signal:?} leaves a file");
        assert!(running(demo.pid()).is_empty(), "{signal:?} leaves {:?}", running(demo.pid()));
    }
}

#[test]
fn what_is_released_unwinds_so_that_a_panic_can_be_contained() {
    let manifest = std::fs::read_to_string(file("Cargo.toml")).expect("it is there");
    assert!(manifest.contains("[profile.dist]") && !manifest.contains("panic = "), "a profile ends at each panic");
}
