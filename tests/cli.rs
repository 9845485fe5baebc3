//! Arguments, exit codes and every error message.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{gate_command, install, needs};

/// What `reload-gate` with these arguments and variables says on standard error, and its exit code.
fn said(arguments: &[&str], variables: &[(&str, &str)]) -> (String, i32) {
    let output = gate_command().args(arguments).envs(variables.iter().copied()).output().expect("it starts");
    (String::from_utf8(output.stderr).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
}

#[track_caller]
fn refuses(arguments: &[&str], parts: &[&str]) {
    let (said, code) = said(arguments, &[]);
    assert_eq!(code, 2, "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
}

fn config(content: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.conf"), content).expect("there is room");
    directory
}

/// The exit code of `run --once` with this check.
fn once(directory: &Path, check: &str) -> (String, i32) {
    let watch = directory.to_str().expect("it is UTF-8");
    said(&["run", "--once", "--watch", watch, "--validate", check], &[])
}

#[test]
fn wrong_words_name_the_right_ones() {
    let run = |more: &[&'static str]| [&["run", "--watch", "/x", "--process", "app"], more].concat();
    refuses(&run(&["--sginal", "HUP"]), &["--sginal", "--signal"]);
    refuses(&run(&["--signal", "HUPP"]), &["`--signal`: unknown signal `HUPP`; did you mean `HUP`?"]);
    refuses(
        &run(&["--app", "ngnix"]),
        &["unknown preset `ngnix`; did you mean `nginx`?", "`reload-gate validators` lists"],
    );
    let (said, _) = said(&run(&["--app", "ngnix"]), &[]);
    assert!(!said.contains("no way to reload"), "the preset would have had one:\n{said}");
    refuses(&run(&["--signal", "HUP", "--timeout", "soon"]), &["`--timeout`: `soon` is no duration", "`500ms`"]);
    refuses(&run(&["--signal", "HUP", "--root", "targt"]), &["did you mean `target`?"]);
    refuses(&run(&["--signal", "HUP", "--reload-url", "http://x"]), &["exclude each other"]);
    refuses(&run(&["--reload-url", "localhost"]), &["`localhost` is no URL"]);
    refuses(&run(&["--signal", "HUP", "--cmdline", "("]), &["`--cmdline`: regex parse error"]);
    refuses(&run(&[]), &["no way to reload the application is given", "--signal HUP"]);
    refuses(&["run", "--signal", "HUP", "--process", "app"], &["there is nothing to watch", "--watch PATH"]);
    refuses(&["run", "--watch", "/x", "--signal", "HUP"], &["the signal needs a target process", "--process NAME"]);
    refuses(&["validators", "ngnix"], &["did you mean `nginx`?"]);
    refuses(&["rnu"], &["rnu"]);
}

#[test]
fn a_file_tells_all_its_mistakes_at_once_with_their_places() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("gates.yaml");
    let text = "gates:\n  - name: web\n    app: nginx\n    wacth: /etc/nginx\n  - name: web\n    watch: /b\n    process: b\n    \
                signal: HPU\n    poll: never\n";
    std::fs::write(&file, text).expect("there is room");
    let file = file.to_str().expect("it is UTF-8");
    let place = |line_and_column: &str| format!("{file}:{line_and_column}: ");
    refuses(
        &["run", "--config", file],
        &[
            &(place("4:5") + "unknown key `wacth`; did you mean `watch`?"),
            &(place("8:13") + "unknown signal `HPU`; did you mean `HUP`?"),
            &(place("9:11") + "`never` is no duration"),
        ],
    );
    refuses(&["run", "--config", "/no/such/file"], &["`--config`: cannot read `/no/such/file`"]);
}

#[test]
fn several_gates_run_beside_each_other() {
    let (one, two) = (config("one"), config("two"));
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("gates.yaml");
    let gate = |name: &str, watch: &Path| format!("  - {{name: {name}, watch: {}, signal: none}}\n", watch.display());
    std::fs::write(&file, "gates:\n".to_owned() + &gate("one", one.path()) + &gate("two", two.path())).expect("room");
    let mut gate = crate::support::Gate::run(&["--config", file.to_str().expect("it is UTF-8")]);
    let mut accepted = [gate.wait_for("accepted"), gate.wait_for("accepted")].map(|event| event["gate"].clone());
    accepted.sort_by_key(ToString::to_string);
    assert_eq!(accepted, ["one", "two"]);
    assert_eq!(gate.stop(), 0);
}

#[test]
fn once_exits_with_the_verdict() {
    let directory = config("good");
    assert_eq!(once(directory.path(), "grep -q good {config}").1, 0);
    let (said, code) = once(directory.path(), "grep -q better {config}");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("\"event\":\"rejected\""), "{said}");
    let (said, code) = once(directory.path(), "no-such-checker");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("`no-such-checker` is not installed"), "{said}");
    let (said, code) = once(&directory.path().join("nowhere"), "true");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("nowhere` does not exist"), "{said}");
}

#[test]
fn once_judges_nginx_where_none_is_running() {
    needs!("nginx");
    let directory = tempfile::tempdir().expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let pid = format!("pid {watch}/pid;\nerror_log {watch}/log;\nevents {{}}\nhttp {{\n    access_log off;\n");
    for (more, expected) in [("", 0), ("nonsense;", 1), ("include missing.conf;", 3)] {
        std::fs::write(directory.path().join("nginx.conf"), format!("{pid}    {more}\n}}\n")).expect("there is room");
        let (said, code) =
            said(&["run", "--once", "--app", "nginx", "--process", "no-such-nginx", "--watch", watch], &[]);
        assert_eq!(code, expected, "{said}");
        // What nginx leaves in the directory is no configuration.
        for left in ["pid", "log"] {
            let _ = std::fs::remove_file(directory.path().join(left));
        }
    }
}

#[test]
fn an_unreadable_file_says_who_cannot_read_it() {
    let directory = config("one");
    std::fs::set_permissions(directory.path().join("app.conf"), std::fs::Permissions::from_mode(0o000)).expect("ours");
    if std::fs::read(directory.path().join("app.conf")).is_ok() {
        // Root reads everything: then another user is asked.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
        let binary = directory.path().join("reload-gate");
        install(Path::new(env!("CARGO_BIN_EXE_reload-gate")), &binary);
        let mut other = crate::support::command("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
        other.args(["run", "--once", "--validate", "true", "--watch"]).arg(directory.path().join("app.conf"));
        let output = other.output().expect("setpriv is installed (util-linux)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("cannot read `") && said.contains("runs as uid 65534"), "{said}");
        return;
    }
    let (said, code) = once(directory.path(), "true");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("cannot read `") && said.contains("runs as uid"), "{said}");
}

#[test]
fn the_environment_says_the_same_as_flags() {
    let directory = config("one");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let variables = [("RELOAD_GATE_WATCH", watch), ("RELOAD_GATE_VALIDATE", "false"), ("RELOAD_GATE_VALIDAET", "x")];
    let (said, code) = said(&["run", "--once"], &variables);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("`RELOAD_GATE_VALIDAET` is not known and was ignored; did you mean `RELOAD_GATE_VALIDATE`?"),
        "{said}"
    );
}

#[test]
fn validators_are_listed_and_shown() {
    let output = gate_command().arg("validators").output().expect("it starts");
    let list = String::from_utf8(output.stdout).expect("it is UTF-8");
    for name in ["gunicorn", "haproxy", "nginx"] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{list}");
    }
    for name in ["by-name", "ini", "json", "json-schema", "nginx", "tls", "toml", "yaml"] {
        let (_, bundled) = list.split_once("Built-in").expect("they have a part of their own");
        assert!(bundled.lines().any(|line| line.starts_with(&format!("{name} "))), "{list}");
        let output = gate_command().args(["validators", name]).output().expect("it starts");
        let shown = String::from_utf8(output.stdout).expect("it is UTF-8");
        let told = [&format!("# `--builtin {name}` validates "), "\n# Findings: docs/findings"];
        assert!(told.into_iter().all(|told| shown.contains(told)), "{shown}");
    }
    let output = gate_command().args(["validators", "nginx"]).output().expect("it starts");
    let shown = String::from_utf8(output.stdout).expect("it is UTF-8");
    assert!(shown.contains("nginx: master process"), "{shown}");
}

/// Standard output of `reload-gate` with these arguments and variables.
#[track_caller]
fn output(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = gate_command().args(arguments).envs(variables.iter().copied()).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

const COMMANDS: [&str; 10] =
    ["run", "reload", "check", "inject", "doctor", "status", "validators", "install", "completions", "man"];

#[test]
fn every_command_has_examples_in_its_help() {
    let program = output(&["--help"], &[]);
    for command in COMMANDS {
        assert!(program.contains(&format!("\n  {command} ")), "{program}");
        let help = output(&[command, "--help"], &[]);
        assert!(help.contains("\nExamples:\n  "), "{help}");
        assert!(help.contains("reload-gate ") && !help.contains("Judge"), "{help}");
    }
    for command in ["run", "reload", "check", "inject", "doctor", "status", "rollout", "validators", "install", "man"] {
        let help = output(&[command, "--help"], &[]);
        assert!(help.contains("\nExit codes:\n   0  "), "{help}");
    }
}

#[test]
fn the_help_groups_flags_under_nouns() {
    let help = output(&["run", "--help"], &[]);
    let headings: Vec<_> = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(
        headings,
        [
            "Options:",
            "Configuration:",
            "Publishing:",
            "Validation:",
            "Target process:",
            "Reload:",
            "Verification:",
            "Alerts:",
            "Kubernetes Events:",
            "Between pods:",
            "Reporting:",
            "Operation:",
            "Examples:",
            "Exit codes:",
            "Environment:",
        ]
    );
}

#[test]
fn the_help_of_doctor_lists_what_its_result_depends_on() {
    let help = output(&["doctor", "--help"], &[]);
    for flag in ["--app", "--watch", "--signal", "--validate", "--listen", "--alert-webhook ", "--kubernetes-events"] {
        assert!(help.contains(flag), "`{flag}` is not in:\n{help}");
    }
    for flag in ["--alert-after", "--alert-label", "--log-format", "--diff", "--settle", "--once", "--grace"] {
        assert!(!help.contains(flag), "`{flag}` is in:\n{help}");
    }
    // A command line of `run` still works.
    let directory = config("one");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let shown = output(
        &["doctor", "--watch", watch, "--signal", "none", "--settle", "1s", "--grace", "1s", "--log-format", "json"],
        &[],
    );
    assert!(shown.contains("tier: "), "{shown}");
}

#[test]
fn a_manual_has_the_usual_sections() {
    for command in COMMANDS {
        let page = output(&["man", command], &[]);
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES"] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{command}: no {section}:\n{page}");
        }
    }
    let page = output(&["man", "run"], &[]);
    for section in ["\"EXIT STATUS\"", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "no {section}:\n{page}");
    }
    assert!(page.contains("[OPTIONS]\n") && !page.contains("EXTRA"), "{page}");
}

#[test]
fn the_environment_forces_colors_or_turns_them_off() {
    let is_colored = |text: &str| text.contains('\u{1b}');
    assert!(!is_colored(&output(&["status", "--help"], &[])));
    for variable in ["FORCE_COLOR", "CLICOLOR_FORCE"] {
        assert!(is_colored(&output(&["status", "--help"], &[(variable, "1")])), "{variable}");
        assert!(!is_colored(&output(&["status", "--help"], &[(variable, "1"), ("NO_COLOR", "1")])), "{variable}");
        let directory = config("{}");
        std::fs::rename(directory.path().join("app.conf"), directory.path().join("app.json")).expect("ours");
        let path = directory.path().join("app.json");
        let arguments = ["check", "--builtin", "json", path.to_str().expect("it is UTF-8")];
        assert!(is_colored(&output(&arguments, &[(variable, "1")])), "{variable}");
        assert!(!is_colored(&output(&arguments, &[(variable, "0")])), "{variable}");
        assert!(!is_colored(&output(&arguments, &[(variable, "1"), ("NO_COLOR", "1")])), "{variable}");
    }
}

#[test]
fn one_validation_without_a_validator_is_wrong_usage() {
    let directory = config("anything");
    let watch = directory.path().to_str().expect("it is UTF-8");
    refuses(
        &["run", "--once", "--watch", watch],
        &["`--once`: there is no validator, so nothing can be validated", "`--app NAME`"],
    );
    let (text, code) = said(&["run", "--once", "--watch", watch, "--require", "app.conf"], &[]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_built_in_validator_begins_with_its_programs_main_file() {
    let directory = config("server { listen 80; }\n");
    let main = "events {}\nhttp { include app.conf; }\n";
    std::fs::write(directory.path().join("nginx.conf"), main).expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let (text, code) = said(&["run", "--once", "--builtin", "nginx", "--watch", watch], &[]);
    assert_eq!(code, 0, "{text}");
    std::fs::write(directory.path().join("app.conf"), "server { lisen 80; }\n").expect("there is room");
    let (text, code) = said(&["run", "--once", "--builtin", "nginx", "--watch", watch], &[]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn check_names_the_flags_that_choose_a_validator() {
    let directory = config("anything");
    let path = directory.path().join("app.conf");
    let (text, code) = said(&["check", path.to_str().expect("it is UTF-8")], &[]);
    assert_eq!(code, 3, "{text}");
    let (text, code) = said(&["check", directory.path().to_str().expect("it is UTF-8")], &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("warning: no validator applies to any input\n  help: name one: `--app NAME`"), "{text}");
}

#[test]
fn a_port_alone_listens_on_ipv4_and_ipv6() {
    let directory = config("one");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let port = crate::support::free_port();
    let listen = format!(":{port}");
    let mut gate =
        crate::support::Gate::run(&["--watch", watch, "--signal", "none", "--validate", "true", "--listen", &listen]);
    gate.wait_for("accepted");
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        if address.starts_with('[') && std::net::TcpListener::bind("[::1]:0").is_err() {
            crate::support::skip("this machine has no IPv6");
            continue;
        }
        let (text, code) = said(&["status", "--listen", &address], &[]);
        assert_eq!(code, 0, "{address}: {text}");
    }
    let (text, code) = said(&["status", "--listen", &listen], &[]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn the_status_of_a_gate_in_the_same_container_needs_no_flag() {
    needs!("unshare");
    // A container is a mount namespace: other gates of this machine have sockets of their own.
    let script = "\"$0\" run --watch \"$1\" --signal none --validate true >/dev/null 2>&1 & \
                  \"$0\" status --wait 20s --format json; code=$?; kill $!; wait $!; \"$0\" status; echo \"$code $?\"";
    let Some((out, err)) = in_a_container(script) else { return };
    assert!(out.contains("\"gate\":\"default\""), "{out}{err}");
    assert!(out.ends_with("\n0 3\n"), "{out}{err}");
    assert!(err.contains("no answer from a gate in this container or machine: none is running"), "{err}");
    assert!(err.contains("`--listen ADDR`"), "{err}");
}

/// Runs a script in a container of its own, with the binary as `$0` and a configuration as `$1`; the output, and standard error.
fn in_a_container(script: &str) -> Option<(String, String)> {
    if !crate::support::command("unshare").args(["-U", "-r", "-m", "true"]).status().is_ok_and(|ended| ended.success())
    {
        crate::support::skip("no mount namespace can be made here");
        return None;
    }
    let directory = config("one");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let mut container = crate::support::command("unshare");
    container.args(["-U", "-r", "-m", "sh", "-c", script, env!("CARGO_BIN_EXE_reload-gate"), watch]);
    let output = container.output().expect("unshare is installed (util-linux)");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn the_status_of_one_of_several_gates_is_asked_by_name() {
    needs!("unshare");
    let script = r#"
run() { "$0" run --name "$2" --watch "$1" --signal none --validate true >/dev/null 2>&1 & }
run "$1" web
web=$!
"$0" status --wait 20s --gate web --format json
run "$1" mail
mail=$!
"$0" status --wait 20s --gate mail --format json
"$0" status; echo "several: $?"
"$0" status --wait 20s; echo "several: $?"
"$0" status --gate wep; echo "other: $?"
"$0" status --gate $web --format json; echo "process: $?"
kill $web $mail
wait
"#;
    let Some((out, err)) = in_a_container(script) else { return };
    let lines: Vec<&str> = out.lines().collect();
    let [web, mail, several, waited, other, process, code] = lines[..] else { panic!("{out}{err}") };
    assert!(web.contains("\"gate\":\"web\""), "{web}");
    assert!(mail.contains("\"gate\":\"mail\"") && !mail.contains("\"web\""), "{mail}");
    assert_eq!((several, waited, other, code), ("several: 2", "several: 2", "other: 3", "process: 0"), "{err}");
    assert!(process.contains("\"gate\":\"web\""), "{process}");
    assert!(err.contains("several gates answer in this container or machine: `web` (pid "), "{err}");
    assert!(err.contains("`--gate NAME`") && err.contains("did you mean `web`?"), "{err}");
}

#[test]
fn the_status_of_a_confined_service_of_the_machine_needs_no_flag() {
    needs!("unshare");
    // ProtectSystem= and its like give a service a mount namespace of its own, with the root directory of the machine.
    let script = r#"
unshare -m "$0" run --watch "$1" --signal none --validate true >/dev/null 2>&1 &
"$0" status --wait 20s --format json
echo "$?"
kill $!
wait
"#;
    let Some((out, err)) = in_a_container(script) else { return };
    assert!(out.contains("\"gate\":\"default\"") && out.ends_with("\n0\n"), "{out}{err}");
}

#[test]
fn the_gate_of_another_container_does_not_answer_for_this_one() {
    needs!("unshare");
    // The containers of a pod share the network, and so the names of abstract sockets, and each has a root directory of its own.
    let script = r#"
root=$(mktemp -d)
mount -t tmpfs none "$root"
mkdir "$root/proc" "$root/config"
mount --rbind /proc "$root/proc"
cp "$0" "$root/gate"
cp -r "$1/." "$root/config"
unshare -m "$0" run --name near --watch "$1" --signal none --validate true >/dev/null 2>&1 &
near=$!
unshare -m chroot "$root" /gate run --name far --watch /config --signal none --builtin ini >/dev/null 2>&1 &
far=$!
"$0" status --wait 20s --format json
echo "$?"
kill $near
wait $near
"$0" status
echo "$?"
kill $far
wait
"#;
    let Some((out, err)) = in_a_container(script) else { return };
    let lines: Vec<&str> = out.lines().collect();
    let [near, live, alone] = lines[..] else { panic!("{out}{err}") };
    assert!(near.contains("\"gate\":\"near\"") && !near.contains("far"), "{near}");
    assert_eq!((live, alone), ("0", "3"), "{err}");
}
