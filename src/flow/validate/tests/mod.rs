use std::fs;

use reload_gate_contract::{Cause, Severity};
use tempfile::TempDir;

use super::*;
use crate::flow::process::Selector;
use crate::flow::snapshot::Source;
use crate::sys::exec::NotStarted;
use crate::sys::pattern::LazyRegex;

mod obstacles;
mod obstacles_of_services;
mod presets;

/// A plain directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        fs::write(path, content).expect("there is room");
    }
    directory
}

/// Input of a validator without a target.
pub(super) fn context(tree: Tree, path_map: &PathMap) -> ValidationContext {
    plan(Vec::new()).context(&Arc::new(tree), path_map, ExecutionPlace::here(), Main::Only.find(&Tree::new()))
}

fn tree(names: &[&str]) -> Tree {
    names.iter().map(|name| (name.into(), Vec::new())).collect()
}

fn source(path: &Path) -> Source {
    Source { path: path.into(), mount: path.into(), whole_volume: false }
}

/// A validator that is this command, with no patterns.
fn check(words: &[&str]) -> CommandValidator {
    CommandValidator {
        beside: Vec::new(),
        otherwise: None,
        name: words[0].into(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        running: None,
        options: Vec::new(),
        unset: Vec::new(),
        package: None,
        prelude: None,
        patterns: FindingPatterns::default(),
    }
}

/// A validator that prints `output` and exits with `code`.
fn printing(output: &str, code: i32) -> CommandValidator {
    let code = code.to_string();
    CommandValidator { name: "checker".into(), ..check(&["sh", "-c", "printf %s \"$0\"; exit $1", output, &code]) }
}

fn plan(checks: Vec<CommandValidator>) -> ValidationPlan {
    let timeout = Duration::from_secs(20);
    ValidationPlan {
        validators: checks.into_iter().map(Box::new).map(Validator::Command).collect(),
        required: Vec::new(),
        root: RootChoice::Auto,
        timeout,
        main: Main::Only,
        lookup: None,
        without_target: true,
        hides_homes: false,
        fallback: false,
        confinement: None,
        pass_env: Vec::new(),
        env: Vec::new(),
        // The binary of the tests is not the gate's.
        kept: false,
    }
}

#[track_caller]
fn validate(plan: &ValidationPlan, tree: &Tree, sources: &[Source]) -> Validation {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    let result = runtime.block_on(plan.validate(
        &Arc::new(tree.clone()),
        &PathMap::of(sources),
        &TargetSearches::new(Selector::default()),
    ));
    result.unwrap_or_else(|target_error| panic!("{target_error:?}"))
}

/// Cause, severity, place and message of each finding.
fn lines(validation: &Validation) -> Vec<String> {
    let line = |finding: &Finding| {
        let cause = match (finding.severity, finding.cause) {
            (Severity::Error, Cause::Config) => "wrong",
            (Severity::Error, Cause::Environment) => "obstacle",
            _ => "warning",
        };
        let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
        format!("{cause} {place}{}", finding.message)
    };
    validation.findings.iter().map(line).collect()
}

/// Validation of a directory with one file by a checker.
#[track_caller]
fn said(check: CommandValidator) -> Validation {
    let here = directory(&[("app.conf", "")]);
    validate(&plan(vec![check]), &tree(&["app.conf"]), &[source(here.path())])
}

fn regexes(patterns: &[&str]) -> Vec<LazyRegex> {
    patterns.iter().map(|pattern| LazyRegex::parse(pattern).expect("it is one")).collect()
}

#[test]
fn a_validation_moves_little_memory() {
    let targets = TargetSearches::new(Selector::default());
    let (plan, tree, path_map) = (plan(vec![check(&["true"])]), Arc::new(Tree::new()), PathMap(Vec::new()));
    // Each change moves the future from the stack to the heap. Memory is the slowest part of a reaction.
    let size = size_of_val(&plan.validate(&tree, &path_map, &targets));
    assert!(size <= 2048, "{size} bytes");
}

#[test]
fn without_patterns_the_last_lines_are_the_message() {
    let cases = [
        ("", 0, vec![]),
        ("all is well\n", 0, vec![]),
        ("", 1, vec!["wrong `checker` exited with code 1 and said nothing"]),
        (" \n\n", 2, vec!["wrong `checker` exited with code 2 and said nothing"]),
        ("bad\n", 1, vec!["wrong bad"]),
        ("1\n2\n\n 3 \n4\n5\n6\n7\n", 1, vec!["wrong 3; 4; 5; 6; 7"]),
    ];
    for (output, code, expected) in cases {
        assert_eq!(lines(&said(printing(output, code))), expected, "{output:?}");
    }
}

#[test]
fn an_exit_code_that_says_so_is_no_verdict() {
    for code in [75, 126, 127] {
        let validation = said(printing("why\n", code));
        assert_eq!(lines(&validation), [format!("obstacle `checker` could not validate (exit code {code}): why")]);
        assert_eq!(validation.verdict(), Verdict::Inconclusive);
        assert_eq!(validation.findings[0].code.as_str(), "checker-obstacle");
    }
    assert_eq!(lines(&said(printing("\n", 75))), ["obstacle `checker` could not validate (exit code 75)"]);
    let denied = said(printing("sh: 1: /check: Permission denied\n", 126));
    assert!(denied.findings[0].help.as_ref().is_some_and(|help| help.contains("chmod +x")), "{denied:?}");
}

#[test]
fn a_checker_that_did_not_end_by_itself_is_no_verdict() {
    let killed = said(check(&["sh", "-c", "echo half; kill -9 $$"]));
    assert_eq!(lines(&killed), ["obstacle `sh` was killed by signal 9"]);
    assert!(killed.findings[0].help.as_ref().is_some_and(|help| help.contains("memory limit")));
    let here = directory(&[("app.conf", "")]);
    let hangs = ValidationPlan { timeout: Duration::from_millis(200), ..plan(vec![check(&["sleep", "1000"])]) };
    let late = validate(&hangs, &tree(&["app.conf"]), &[source(here.path())]);
    assert_eq!(lines(&late), ["obstacle `sleep` did not end within 200ms; it was killed"]);
    assert_eq!([killed.verdict(), late.verdict()], [Verdict::Inconclusive; 2]);
    assert!(late.findings[0].help.as_ref().is_some_and(|help| help.contains("raise `--timeout`")));
    assert!(late.duration >= hangs.timeout);
}

#[test]
fn a_checker_that_cannot_be_started_is_no_verdict_and_says_what_to_do() {
    let here = directory(&[("app.conf", "no program")]);
    let file = here.path().join("app.conf");
    let cases = [
        ("no-such-checker", "`no-such-checker` is not installed here, or not on the PATH".to_owned(), "install it"),
        (
            file.to_str().expect("it is UTF-8"),
            format!("cannot execute `{}`: Permission denied (os error 13)", file.display()),
            "execute",
        ),
    ];
    for (program, message, help) in cases {
        let validation = said(check(&[program]));
        assert_eq!(lines(&validation), [format!("obstacle {message}")]);
        assert_eq!(validation.verdict(), Verdict::Inconclusive);
        assert_eq!(validation.findings[0].code.as_str(), "checker-missing");
        let said = validation.findings[0].help.clone().unwrap_or_default();
        assert!(said.contains(help), "{program}: {said}");
    }
}

#[test]
fn a_program_without_a_check_accepts_by_its_words() {
    let patterns = FindingPatterns {
        findings: regexes(&["(?m)^E: (?P<message>.*)$"]),
        accepts: regexes(&["end of it"]),
        ..FindingPatterns::default()
    };
    let background = "obstacle `checker` ended before it had read the whole configuration: to the background";
    let cases = [
        ("E: end of it\n", 1, vec![]),
        ("end of it\n", 0, vec![]),
        ("E: bad word\n", 1, vec!["wrong bad word"]),
        ("to the background\n", 0, vec![background]),
        ("end of it\n", 137, vec!["obstacle `checker` was killed by signal 9"]),
    ];
    for (output, code, expected) in cases {
        let check = CommandValidator { patterns: patterns.clone(), ..printing(output, code) };
        assert_eq!(lines(&said(check)), expected, "{output} {code}");
    }
}

#[test]
fn no_configuration_knows_the_mark_that_accepts() {
    let accepts = |words: [&str; 2]| {
        let patterns = FindingPatterns { accepts: regexes(&[r"end of \{mark\}"]), ..FindingPatterns::default() };
        let print = check(&["sh", "-c", "printf %s%s \"$0\" \"$1\"", words[0], words[1]]);
        lines(&said(CommandValidator { patterns, ..print })).is_empty()
    };
    assert!(accepts(["end of ", "{mark}"]), "the command has it");
    // As a configuration that quotes the preset.
    assert!(!accepts(["end of {ma", "rk}"]));
}

#[test]
fn named_groups_make_findings() {
    let patterns = FindingPatterns {
        findings: regexes(&[
            r"(?m)^(?:(?P<severity>\w+) )?(?P<file>/[^:]+):(?P<line>\d+):(?P<column>\d*): (?P<message>.*)$",
        ]),
        transient: regexes(&["no route", "^no DNS"]),
        ..FindingPatterns::default()
    };
    let cases = [
        ("/a.conf:3:7: bad word\n", 1, vec!["wrong /a.conf:3:7: bad word"]),
        ("/a.conf:3:: bad word\n", 1, vec!["wrong /a.conf:3: bad word"]),
        // A number too large for a line is none.
        ("/a.conf:99999999999:1: bad\n", 1, vec!["wrong /a.conf: bad"]),
        ("/a:1:1: one\nnoise\n/b:2:2: two\n", 1, vec!["wrong /a:1:1: one", "wrong /b:2:2: two"]),
        ("/a:1:1: one\n/b:2:2: no route\n", 1, vec!["wrong /a:1:1: one", "obstacle /b:2:2: no route"]),
        ("/b:2:2: no route to host\n", 1, vec!["obstacle /b:2:2: no route to host"]),
        // Warnings stay, errors of what was accepted do not.
        ("warning /a:1:1: old\n/b:2:2: odd\n", 0, vec!["warning /a:1:1: old"]),
        ("Notice /a:1:1: old\n", 0, vec!["warning /a:1:1: old"]),
        // Where only warnings have a place, the output itself is the error.
        ("warn /a:1:1: old\nbroken\n", 1, vec!["warning /a:1:1: old", "wrong warn /a:1:1: old; broken"]),
        ("no DNS\n", 1, vec!["obstacle no DNS"]),
        // A checker that could not run finds nothing about the configuration.
        ("/a:1:1: one\n", 127, vec!["obstacle `checker` could not validate (exit code 127): /a:1:1: one"]),
    ];
    for (output, code, expected) in cases {
        let check = CommandValidator { patterns: patterns.clone(), ..printing(output, code) };
        assert_eq!(lines(&said(check)), expected, "{output:?}");
    }
    // Without a group called message, the whole match is it.
    let whole = FindingPatterns { findings: regexes(&["(?m)^E: .*$"]), ..FindingPatterns::default() };
    assert_eq!(lines(&said(CommandValidator { patterns: whole, ..printing("x\nE: bad\ny\n", 1) })), ["wrong E: bad"]);
}

#[test]
fn validators_are_asked_in_order_until_one_does_not_accept() {
    let marked = |name: &str, code| CommandValidator { name: name.into(), ..printing(name, code) };
    let cases = [
        (vec![marked("a", 0), marked("b", 0)], Verdict::Accepted, "validated by `a`, `b`, here"),
        (vec![marked("a", 0), marked("b", 1), marked("c", 1)], Verdict::Rejected, "validated by `a`, `b`, here"),
        (vec![marked("a", 75), marked("b", 1)], Verdict::Inconclusive, "validated by `a`, here"),
    ];
    for (checks, verdict, by) in cases {
        let validation = said_by(checks);
        assert_eq!((validation.verdict(), validation.by.as_deref()), (verdict, Some(by)));
        let asked = validation.by.clone().expect("it was asked");
        let source = validation.findings.last().and_then(|finding| finding.source.clone());
        assert!(source.is_none_or(|source| asked.contains(&format!("`{source}`"))));
    }
    // Without a validator it is accepted.
    let validation = said_by(Vec::new());
    assert_eq!((validation.verdict(), validation.by), (Verdict::Accepted, None));
}

#[track_caller]
fn said_by(checks: Vec<CommandValidator>) -> Validation {
    let here = directory(&[("app.conf", "")]);
    validate(&plan(checks), &tree(&["app.conf"]), &[source(here.path())])
}

/// The words that a command gets for `{config}` and `{dir}`.
#[track_caller]
fn placeholders(main: Main, names: &[&str], sources: &[Source]) -> Result<String, String> {
    let echo = check(&["sh", "-c", "printf %s \"$0 $1 $2\"; exit 1", "{config}", "{dir}", "file:{config},{dir}/x"]);
    let validation = validate(&ValidationPlan { main, ..plan(vec![echo]) }, &tree(names), sources);
    match lines(&validation).pop().expect("one").strip_prefix("wrong ") {
        Some(words) => Ok(words.to_owned()),
        None => Err(validation.findings[0].code.as_str().to_owned()),
    }
}

#[test]
fn a_command_is_given_the_file_and_the_directory() {
    let here = directory(&[("app.conf", ""), ("a b.conf", "")]);
    let dir = here.path().display();
    let of = |file: &str| Ok(format!("{dir}/{file} {dir} file:{dir}/{file},{dir}/x"));
    let whole = [source(here.path())];
    assert_eq!(placeholders(Main::Only, &["app.conf"], &whole), of("app.conf"));
    assert_eq!(placeholders(Main::Given("a b.conf".into()), &["app.conf", "a b.conf"], &whole), of("a b.conf"));
    // A source that is one file is that file.
    let single = [source(&here.path().join("app.conf"))];
    assert_eq!(placeholders(Main::Only, &["app.conf"], &single), of("app.conf"));
    // By the shell sidecar's variable it means the volume around it, even if it is missing.
    for named in ["app.conf", "gone.conf"] {
        let volume = [Source { whole_volume: true, ..source(&here.path().join(named)) }];
        assert_eq!(placeholders(Main::Given("a b.conf".into()), &["app.conf", "a b.conf"], &volume), of("a b.conf"));
    }
}

#[test]
fn of_several_sources_each_file_is_found_where_the_gate_sees_it() {
    let (one, two) = (directory(&[("app.conf", "")]), directory(&[("key", ""), ("deep/app.conf", "")]));
    let mounted = |path: &Path, mount: &str| Source { mount: mount.into(), ..source(path) };
    let sources = [
        mounted(one.path(), "/etc/app"),
        mounted(two.path(), "/etc/app/tls"),
        mounted(&two.path().join("key"), "/etc/key"),
    ];
    let names = ["/etc/app/app.conf", "/etc/app/tls/deep/app.conf", "/etc/app/tls/key", "/etc/key"];
    let first = one.path().display();
    let found = |main: &str| placeholders(Main::Given(main.into()), &names, &sources);
    let of = |path: PathBuf| Ok(format!("{0} {first} file:{0},{first}/x", path.display()));
    assert_eq!(found("app.conf"), of(one.path().join("app.conf")));
    assert_eq!(found("tls/deep/app.conf"), of(two.path().join("deep/app.conf")));
    assert_eq!(found("/etc/key"), of(two.path().join("key")));
}

#[test]
fn the_file_to_begin_with_is_found_or_asked_for() {
    let given = |name: &str| Main::Given(name.into());
    let usual = |name: &str| Main::Usual(name.into());
    let cases = [
        (given("a.conf"), vec!["a.conf", "b.conf"], Ok("a.conf")),
        (given("d/a.conf"), vec!["d/a.conf", "d/b.conf"], Ok("d/a.conf")),
        (given("a.conf"), vec!["b.conf"], Err("missing-main-file")),
        (usual("a.conf"), vec!["b.conf"], Ok("b.conf")),
        (usual("a.conf"), vec!["b.conf", "c.conf"], Err("no-main-file")),
        // The nearest of that name, though others are sorted before it.
        (given("nginx.conf"), vec!["backup/nginx.conf", "conf.d/x.conf", "nginx.conf"], Ok("nginx.conf")),
        (usual("nginx.conf"), vec!["a/b/nginx.conf", "b/nginx.conf"], Ok("b/nginx.conf")),
        // A part of a name is not the name.
        (usual("nginx.conf"), vec!["my-nginx.conf", "x"], Err("no-main-file")),
        (Main::Only, vec!["x"], Ok("x")),
        (Main::Only, vec!["x", "y"], Err("no-main-file")),
        (Main::Only, vec![], Err("no-main-file")),
    ];
    for (main, names, expected) in cases {
        let found = main.find(&tree(&names)).map_err(|finding| {
            assert!(finding.help.as_ref().is_some_and(|help| help.contains("--main")), "{finding:?}");
            finding.code.as_str()
        });
        assert_eq!(found, expected.map(PathBuf::from), "{main:?} of {names:?}");
    }
}

#[test]
fn a_missing_file_matters_only_to_a_command_that_names_it() {
    let here = directory(&[("a", ""), ("b", "")]);
    let sources = [source(here.path())];
    // One that the user named is missed by every validator.
    let missing =
        validate(&ValidationPlan { main: Main::Given("c".into()), ..plan(Vec::new()) }, &tree(&["a", "b"]), &sources);
    assert_eq!(lines(&missing), ["wrong c: `c` is not in the configuration"]);
    // Which of several is meant is asked only by a command that wants to know.
    let needless = validate(&plan(vec![check(&["test", "-d", "{dir}"])]), &tree(&["a", "b"]), &sources);
    assert_eq!(needless.verdict(), Verdict::Accepted, "{needless:?}");
    let needed = validate(&plan(vec![check(&["test", "-f", "{config}"])]), &tree(&["a", "b"]), &sources);
    assert_eq!(needed.verdict(), Verdict::Inconclusive);
    assert_eq!(needed.findings[0].help.as_deref(), Some("name it with `--main FILE`"));
}

#[test]
fn facts_of_the_target_are_not_invented() {
    // Without a target the plain command is meant, whatever the running one would be.
    let running = Some(vec!["{exe}".to_owned(), "{options}".to_owned()]);
    let validation = said(CommandValidator { running, ..check(&["true"]) });
    assert_eq!(validation.verdict(), Verdict::Accepted);
    let hidden = said(check(&["{exe}", "-t"]));
    assert_eq!((hidden.verdict(), hidden.findings[0].code.as_str()), (Verdict::Inconclusive, "root-not-entered"));
    assert!(hidden.findings[0].help.as_ref().is_some_and(|help| help.contains("--root local")));
}

/// The CPU time that this thread has used.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("it is below a second"))
}

#[test]
fn a_large_configuration_does_not_hold_up_the_event_loop() {
    let servers = "    server { listen 8080; server_name a.example; return 200 ok; }\n".repeat(2_000);
    let text = format!("{}events {{}}\nhttp {{\n{servers}}}\n", "# a comment of a generator\n".repeat(500_000));
    assert!(text.len() > 13 << 20);
    let tree: Arc<Tree> = Arc::new([("nginx.conf".into(), text.into_bytes())].into());
    let path_map = PathMap::of(&[source(Path::new("/etc/nginx"))]);
    let plan =
        ValidationPlan { validators: vec![Validator::Builtin(Builtin::Nginx(Box::default()))], ..plan(Vec::new()) };
    let longest = std::cell::Cell::new(Duration::ZERO);
    let other_work = async {
        loop {
            let before = thread_time();
            tokio::task::yield_now().await;
            longest.set(longest.get().max(thread_time() - before));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let targets = TargetSearches::new(Selector::default());
        tokio::select! {
            validated = plan.validate(&tree, &path_map, &targets) => validated.map(|_| ()).expect("no target is needed"),
            () = other_work => unreachable!("it has no end"),
        }
    });
    assert!(longest.get() < Duration::from_millis(50), "{:?}", longest.get());
}

#[test]
fn a_checker_that_gets_no_memory_is_no_verdict() {
    for output in ["nginx: [emerg] malloc(4096) failed: Cannot allocate memory\n", "MemoryError\n"] {
        let validation = said(printing(output, 1));
        assert_eq!(validation.verdict(), Verdict::Inconclusive, "{output}");
        assert!(
            validation.findings[0].help.as_ref().is_some_and(|help| help.contains("memory limit")),
            "{validation:?}"
        );
    }
}

#[test]
fn the_reason_of_a_rejection_is_on_standard_error_if_anything_is() {
    let printing = |script: &str| said(CommandValidator { name: "checker".into(), ..check(&["sh", "-c", script]) });
    let both = printing("echo 'Could not parse minsources' >&2; printf 'rtcsync\\nmakestep 1 3\\n'; exit 1");
    assert_eq!(lines(&both), ["wrong Could not parse minsources"]);
    assert_eq!(lines(&printing("echo 'bad line'; exit 1")), ["wrong bad line"]);
}

#[test]
fn a_port_that_may_not_be_bound_names_the_capability() {
    let patterns = FindingPatterns { findings: regexes(&["(?m)^(?P<message>bind.*)$"]), ..FindingPatterns::default() };
    let bound =
        said(CommandValidator { patterns, ..printing("bind() to 0.0.0.0:80 failed (13: Permission denied)\n", 1) });
    assert!(bound.findings[0].help.as_ref().is_some_and(|help| help.contains("NET_BIND_SERVICE")), "{bound:?}");
}

#[test]
fn a_process_that_cannot_be_started_at_the_moment_is_not_told_to_be_executable() {
    let reason = "cannot confine the command: Too many open files (os error 24)".to_owned();
    let finding = command::not_started(&NotStarted::Short { program: "nginx".into(), reason: reason.clone() }, None);
    assert_eq!(finding.message, format!("cannot start `nginx` now: {reason}"));
    assert_eq!(finding.code.as_str(), "checker-obstacle", "the checker is there");
    let help = finding.help.unwrap_or_default();
    assert!(help.contains("limit of processes") && help.contains("of open files"), "{help}");
    assert!(!help.contains("chmod") && !help.contains("--sandbox"), "{help}");
}
