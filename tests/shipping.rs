//! What takes the binary to where it runs, and what is generated for people who use it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use crate::support::{command, eventually, gate_command, needs, skip};

/// What `reload-gate` says on standard output and on standard error, and its exit code.
fn says(arguments: &[&str]) -> (String, String, i32) {
    let output = gate_command().args(arguments).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("it ends by itself"))
}

/// A gate that goes on, started from that file.
fn gate_command_of(path: &Path) -> std::process::Command {
    let mut gate = command(path);
    gate.args(["run", "--watch", "/etc", "--validate", "true", "--signal", "none"]);
    gate
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

#[test]
fn install_copies_the_binary_and_leaves_an_equal_one_alone() {
    let volume = tempfile::tempdir().expect("there is room");
    let directory = volume.path().join("bin");
    let path = directory.join("reload-gate");
    let install = || says(&["install", text(&directory)]);
    let (said, _, code) = install();
    assert_eq!((said, code), (format!("installed `{}`\n", path.display()), 0));
    let same =
        std::fs::read(&path).expect("it is there") == std::fs::read(env!("CARGO_BIN_EXE_reload-gate")).expect("it is");
    assert!(same, "the copy differs");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o755);
    let inode = || std::fs::metadata(&path).expect("it is there").ino();
    let first = inode();
    let (said, _, code) = install();
    assert_eq!((said, code, inode()), (format!("`{}` is this binary already\n", path.display()), 0, first));
    // Another version, while it runs, and one that is not executable.
    let mut other = std::fs::read(&path).expect("it is there");
    other.extend(b"another version");
    std::fs::write(&path, other).expect("it is ours");
    let mut running = gate_command_of(&path);
    running.stderr(Stdio::null());
    // A process that another test forks meanwhile has the file open for writing until it executes its program (ETXTBSY).
    let mut old = None;
    eventually("it starts", || {
        old = running.spawn().ok();
        old.is_some()
    });
    let mut old = old.expect("it has started");
    let (said, error, code) = install();
    assert_eq!((said, code), (format!("installed `{}`\n", path.display()), 0), "{error}");
    assert!(old.try_wait().expect("it is ours").is_none());
    old.kill().and_then(|()| old.wait()).expect("it is ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert!(install().0.starts_with("installed"));
    // The copy is the program.
    let version = command(&path).arg("--version").output().expect("it starts").stdout;
    assert_eq!(String::from_utf8_lossy(&version), concat!("reload-gate ", env!("CARGO_PKG_VERSION"), "\n"));
    let names: Vec<_> =
        std::fs::read_dir(&directory).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["reload-gate"]);
}

#[test]
fn install_says_why_it_could_not_and_what_to_do() {
    let volume = tempfile::tempdir().expect("there is room");
    let file = volume.path().join("file");
    std::fs::write(&file, "").expect("there is room");
    let [occupied, foreign] = ["occupied", "foreign"].map(|name| volume.path().join(name));
    std::fs::create_dir_all(occupied.join("reload-gate")).expect("there is room");
    std::fs::create_dir(&foreign).expect("there is room");
    std::fs::write(foreign.join("reload-gate"), "#!/bin/sh\n# reload-gate, by somebody else\n").expect("there is room");
    for (directory, parts) in [
        (volume.path().join("none/bin"), ["cannot create it: No such file or directory", "mount the volume there"]),
        (file.clone(), ["it is no directory", "name a directory"]),
        (file.join("bin"), ["cannot create it: Not a directory", "name a directory"]),
        (occupied, ["`reload-gate` is a directory there", "not its path"]),
        (
            foreign.clone(),
            ["`reload-gate` is another program's file there", "only an earlier `reload-gate` is replaced"],
        ),
    ] {
        let (_, error, code) = says(&["install", text(&directory)]);
        assert_eq!(code, 2, "{error}");
        assert!(error.starts_with(&format!("error: cannot install into `{}`: ", directory.display())), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(std::fs::read_to_string(foreign.join("reload-gate")).is_ok_and(|text| text.contains("somebody else")));
}

#[test]
fn install_makes_no_directory_where_all_is_read_only_and_says_so() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount");
    }
    needs!("unshare", "mount");
    let volume = tempfile::tempdir().expect("there is room");
    let mut install = command("unshare");
    let script = "mount -t tmpfs -o ro none \"$1\" && \"$0\" install \"$1/gate\"";
    install.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_reload-gate")]).arg(volume.path());
    let output = install.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot create it: Read-only file system") && said.contains("`emptyDir`"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn install_into_a_volume_that_does_not_take_it_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount");
    }
    needs!("unshare", "mount");
    for (options, parts, code) in [
        ("size=64k", &["No space left on device", "raise the `sizeLimit` of the volume"][..], 2),
        ("ro", &["Read-only file system", "without `readOnly`"], 2),
        ("noexec", &["warning: nothing can be executed in", "without `noexec`", "installed"], 0),
    ] {
        let volume = tempfile::tempdir().expect("there is room");
        let mut install = command("unshare");
        let script = "mount -t tmpfs -o \"$1\" none \"$2\" && \"$0\" install \"$2\"; code=$?; ls -A \"$2\"; exit $code";
        install.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_reload-gate"), options]).arg(volume.path());
        let output = install.output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            output.status.code() == Some(code) && parts.iter().all(|part| said.contains(part)),
            "{options}: {said}"
        );
        assert_eq!(said.lines().any(|line| line == "reload-gate"), code == 0, "{said}");
        assert!(!said.contains(".reload-gate"), "{said}");
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    needs!("bash");
    let script = "source <(\"$0\" completions bash)\nCOMP_WORDS=(reload-gate \"$@\")\nCOMP_CWORD=$#\n\
                  complete -p reload-gate >&2\nset -- $(complete -p reload-gate) \"$@\"\n\
                  function=${@: -$COMP_CWORD-2:1}\n$function reload-gate \"${@: -1}\" \"${@: -2:1}\"\necho \"${COMPREPLY[@]}\"";
    let completed = |words: &[&str]| {
        let mut bash = command("bash");
        bash.args(["--norc", "-c", script, env!("CARGO_BIN_EXE_reload-gate")]).args(words);
        let output = bash.output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.starts_with("complete ") && error.lines().count() == 1, "{error}");
        String::from_utf8(output.stdout).expect("it is UTF-8").trim().to_owned()
    };
    assert_eq!(completed(&["ins"]), "install");
    assert_eq!(completed(&["run", "--verify-u"]), "--verify-url");
    assert_eq!(completed(&["completions", "e"]), "elvish");
    // Internal commands are not for users.
    assert_eq!((completed(&["ent"]), completed(&["vie"])), (String::new(), String::new()));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (said, error, code) = says(&["completions", shell]);
        assert!(code == 0 && said.contains("verify-url") && !said.contains("--mount-own"), "{shell} {error}");
    }
    let (_, error, code) = says(&["completions", "csh"]);
    assert!(code == 2 && error.contains("bash"), "{error}");
}

#[test]
fn every_command_has_a_manual_page_without_a_flaw() {
    needs!("groff");
    let (help, ..) = says(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").expect("there are commands");
    // A line that begins further in goes on from the one before.
    let lines = commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 4, "{help}");
    let (top, ..) = says(&["man"]);
    let directory = tempfile::tempdir().expect("there is room");
    for name in [&[""][..], &names].concat() {
        let (page, error, code) = if name.is_empty() { says(&["man"]) } else { says(&["man", name]) };
        assert_eq!(code, 0, "{error}");
        let path = directory.path().join("page");
        std::fs::write(&path, &page).expect("there is room");
        let mut groff = command("groff");
        groff.args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(&path).stdin(Stdio::null());
        let output = groff.output().expect("it starts");
        assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).expect("it is UTF-8");
        let title = if name.is_empty() { "reload-gate(1)".into() } else { format!("reload-gate-{name}(1)") };
        assert!(shown.to_lowercase().starts_with(&title), "{shown}");
        assert!(name.is_empty() || top.contains(&format!("reload\\-gate\\-{name}(1)")), "{top}");
    }
    let (_, error, code) = says(&["man", "rnu"]);
    assert_eq!(
        (error.as_str(), code),
        (
            "error: unknown command `rnu`; did you mean `run`?\n  help: choose a command that `reload-gate --help` lists\n",
            2
        )
    );
}
