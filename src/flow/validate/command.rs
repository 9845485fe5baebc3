//! A validator that is a command: how it is called, and what its output means.

use std::borrow::Cow;
use std::ffi::OsString;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Captures;
use reload_gate_contract::{Code, Finding, Place as Position, Severity};

use super::place::ExecutionPlace;
use super::{Builtin, RootChoice, ValidationContext, builtin, reading};
use crate::flow::placeholders;
use crate::flow::process::Target;
use crate::sys::exec::{self, Command, End, FileSystemView, Finished, NotStarted};
use crate::sys::pattern::LazyRegex;
use crate::sys::proc::Identity;

const CHECKER_ERROR: Code = Code::new("checker-error");
const CHECKER_WARNING: Code = Code::new("checker-warning");
const CHECKER_OBSTACLE: Code = Code::new("checker-obstacle");
pub(super) const CHECKER_MISSING: Code = Code::new("checker-missing");
const CHECKER_KILLED: Code = Code::new("checker-killed");
pub(super) const CHECKER_TIMEOUT: Code = Code::new("checker-timeout");
pub(super) const ROOT_NOT_ENTERED: Code = Code::new("root-not-entered");
/// Code of the note that a command cannot validate parts of a configuration.
/// SIGKILL (signal(7)): the kernel's signal for want of memory.
const KILL: i32 = 9;

const ONLY_PARTS: Code = Code::new("only-parts");
const NOT_CONFINED: Code = Code::new("not-confined");
/// Code of the finding that a command cannot see the configuration at the application's paths.
pub const VIEW_NOT_POSSIBLE: Code = Code::new("view-not-possible");

/// sh(1) ends with 126 and 127 for a command that it could not execute or find; BSD's sysexits.h has 75 for a failure that may pass.
const COULD_NOT_VALIDATE: [i32; 3] = [126, 127, 75];
/// A shell exits with 128 and the number of the signal that killed its command (POSIX, XCU 2.8.2): ABRT, BUS, KILL, SEGV and TERM are no
/// answers of a checker.
const KILLED_IN_SHELL: [i32; 5] = [134, 135, 137, 139, 143];
/// So much of an output that no pattern fits is shown as the message.
const LAST_LINES: usize = 5;

/// Help for a command that exists and cannot be executed.
const EXECUTABLE: &str = "the user that runs it must be allowed to execute it (`chmod +x`, a volume that is not mounted `noexec`), \
                          and its interpreter or loader must be there";

/// Messages of programs and their runtimes that get no memory: strerror(3) of ENOMEM, C++, Go, Java, Python, Rust.
const OUT_OF_MEMORY: [&str; 7] = [
    "Cannot allocate memory",
    "std::bad_alloc",
    "runtime: out of memory",
    "runtime: cannot allocate memory",
    "java.lang.OutOfMemoryError",
    "MemoryError",
    "memory allocation of",
];

/// Help for a command without enough memory.
const MEMORY: &str = "raise the memory limit of this container (`resources.limits.memory`): what a checker uses counts there, and it \
                      gets less than all of it";

/// Help for a command that could not be started at the moment.
const SHORTAGE: &str = "raise the limit of processes of this container, pod or user (`podPidsLimit` of the kubelet, `pids.max`, \
                        `ulimit -u`), of open files (`ulimit -n`, `fs.file-max`) or of memory, or stop what uses them up";

/// Help for a checker that may not bind a port.
const MAY_NOT_BIND: &str = "a port below 1024 takes the capability NET_BIND_SERVICE, which the checker has no more than the application \
                            (`capabilities.add`), or the sysctl `net.ipv4.ip_unprivileged_port_start`";

/// Help where a command cannot see the configuration at the application's paths.
const VIEW_NEEDS: &str = "allow user namespaces and mounts in them (`user.max_user_namespaces`, on Ubuntu \
                          `kernel.apparmor_restrict_unprivileged_userns=0`, in a container a seccomp profile that does not \
                          forbid unshare(2)), or use a bundled checker";

/// One command validator.
#[derive(Clone, Debug)]
pub struct CommandValidator {
    /// Name that people use, such as `nginx -t`.
    pub name: String,
    /// The command without a target; `{config}` and `{dir}` are replaced.
    pub command: Vec<String>,
    /// The command for a running target: besides, `{exe}` is the program that it executes, `{program}` the file at the path of that
    /// program, `{argv}` its own command line, and `{options}` those of its words that begin with one of `options`, with their values.
    pub running: Option<Vec<String>>,
    /// The options that a running target's command line hands on; `--` means it and all that follows it.
    pub options: Vec<String>,
    /// The words that are added to `running` where the candidate lies beside what is live: they name the file to begin with,
    /// in place of the one that the target was started with.
    pub beside: Vec<String>,
    /// The variables of a running target's environment that are for the target alone.
    pub unset: Vec<String>,
    /// The bundled validator that is used where the privileges for this command are missing.
    pub otherwise: Option<Builtin>,
    /// The package that brings the command: Debian's, or `PyPI: NAME` and the like for another registry's.
    pub package: Option<String>,
    /// A program of Python that runs the target's own script; `{argv}` begins with it where the target is a script of Python.
    pub prelude: Option<String>,
    /// Patterns of its output.
    pub patterns: FindingPatterns,
}

/// Patterns of a command's output.
#[derive(Clone, Debug, Default)]
pub struct FindingPatterns {
    /// Each match is a finding, by its named groups `message`, `file`, `line`, `column` and `severity`. A line without a file is of
    /// the file to begin with: a checker that is given but one need not name it.
    pub findings: Vec<LazyRegex>,
    /// A match is an obstacle around the configuration, which may pass.
    pub transient: Vec<LazyRegex>,
    /// A match is an obstacle where the program runs away from its own image.
    pub away: Vec<LazyRegex>,
    /// A match is an obstacle where no process shows the command line, which names what is missing.
    pub unnamed: Vec<LazyRegex>,
    /// A match accepts, whatever the exit code is. Without a match exit code 0 accepts only if there is no such pattern: a program
    /// that has no check of its own is made to end after it has read its configuration.
    pub accepts: Vec<LazyRegex>,
}

impl CommandValidator {
    pub(super) async fn run(&self, context: &Arc<ValidationContext>) -> Vec<Finding> {
        let mut findings = match self.hindrance(context) {
            Some(finding) if self.otherwise.is_some() => vec![finding],
            // There is no other validator; what it leads to may well be the same as in the candidate.
            Some(finding) => {
                let mut findings = self.ask(context).await;
                findings.push(Finding { severity: Severity::Warning, ..finding });
                return findings;
            }
            None => self.ask(context).await,
        };
        if let Some(otherwise) = &self.otherwise
            && is_kept_out(&findings, context)
        {
            for finding in &mut findings {
                // With another validator it is only worth knowing.
                finding.severity = Severity::Note;
                finding.message = format!("validated by {}: {}", otherwise.name(), finding.message);
            }
            findings.extend(otherwise.validate(context).await);
        }
        findings
    }

    /// Returns the finding that the command would validate something else than the application will read.
    fn hindrance(&self, context: &ValidationContext) -> Option<Finding> {
        let names_main = context.place.target.is_none() || context.path_map.is_beside();
        let has_parts = match &self.otherwise {
            Some(Builtin::Nginx(settings)) => {
                !settings.context.is_empty() || (names_main && builtin::nginx::is_part(context))
            }
            _ => false,
        };
        if has_parts {
            let message = "the files are parts of a configuration, which the command would take for the whole";
            return Some(Finding::environment(ONLY_PARTS, message));
        }
        context.path_map.leads_to_live(&context.tree)
    }

    async fn ask(&self, context: &ValidationContext) -> Vec<Finding> {
        // Which of them a program reads is unknown.
        context.note_read(context.tree.keys());
        let (words, image) = match self.words(context) {
            Ok(words) => (words, self.image(context)),
            Err(finding) => return vec![*finding],
        };
        let plain = Command { image, ..Command::here(words, context.timeout) };
        let (run_as, confinement) = (context.place.run_as, context.confinement.clone());
        let view = context.place.view.then(|| FileSystemView {
            homes: if context.hides_homes { exec::homes() } else { Vec::new() },
            ..context.path_map.view(&context.tree)
        });
        let (pass_env, env) = (context.pass_env.clone(), context.env.clone());
        let command = Command {
            run_as,
            view,
            confinement,
            unset: self.unset.clone(),
            directory: context.place.directory.get().cloned(),
            pass_env,
            env,
            kept: context.kept,
            ..plain
        };
        match exec::run(&command).await {
            Ok(finished) => self.read(&finished, context),
            Err(error) => vec![not_started(&error, self.package.as_deref())],
        }
    }

    /// The words that are given for this place.
    fn given(&self, context: &ValidationContext) -> &[String] {
        self.running.as_ref().filter(|_| context.place.target.is_some()).unwrap_or(&self.command)
    }

    /// The process whose program the command executes, whatever lies at the path of its file now.
    fn image(&self, context: &ValidationContext) -> Option<Identity> {
        let is_of_target = self.given(context).first().is_some_and(|word| word == EXE);
        context.place.target.as_ref().filter(|_| is_of_target).map(Target::identity)
    }

    /// The words of the command in this place.
    fn words(&self, context: &ValidationContext) -> Result<Vec<OsString>, Box<Finding>> {
        let own = context.place.cmdline();
        let exe = |path: Option<PathBuf>| path.ok_or_else(|| Box::new(hidden(&context.place)));
        let (cwd, elsewhere) = (context.place.cwd(), context.place.is_elsewhere());
        let redirect = |word: &String| OsString::from(context.path_map.redirect(word, &cwd, &context.tree, elsewhere));
        let is_running = self.running.is_some() && context.place.target.is_some();
        let beside = self.beside.iter().filter(|_| is_running && context.path_map.is_beside());
        let mut words = Vec::new();
        for word in self.given(context).iter().chain(beside) {
            match word.as_str() {
                "{argv}" => match context.place.title() {
                    Some(title) => return Err(Box::new(titled(&context.place, &title))),
                    None => words.extend(self.with_prelude(own.iter().map(redirect).collect())),
                },
                "{options}" => match reading::lost_options(&context.place, &context.place.cmdline()) {
                    Some(finding) => return Err(Box::new(finding)),
                    None => words.extend(options(&own, &self.options).iter().map(redirect)),
                },
                EXE if words.is_empty() => words.push(exe(context.place.program_name())?.into_os_string()),
                EXE | "{program}" => words.push(exe(context.place.exe())?.into_os_string()),
                word => {
                    let filled = placeholders::fill(word, || context.main(), || context.directory())?;
                    words.push(filled.replace(MARK, mark()).into());
                }
            }
        }
        Ok(words)
    }

    /// Returns a command line of Python with the prelude before the script.
    fn with_prelude(&self, mut words: Vec<OsString>) -> Vec<OsString> {
        let program = words.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
        if let Some(prelude) = self.prelude.as_ref().filter(|_| program.to_string_lossy().starts_with("python")) {
            // Options of the interpreter come first; `-m MODULE` is in place of a script.
            let is_option = |word: &OsString| word.to_string_lossy().starts_with('-') && word != "-m";
            let script = words.iter().skip(1).position(|word| !is_option(word)).map_or(words.len(), |place| place + 1);
            words.splice(script..script, [OsString::from("-c"), OsString::from(prelude)]);
        }
        words
    }

    /// Returns the findings of a finished command.
    fn read(&self, finished: &Finished, context: &ValidationContext) -> Vec<Finding> {
        let main = context.main().ok().map(|main| main.to_string_lossy().into_owned());
        let is_unnamed = context.place.target.is_none();
        let patterns = if context.place.view { self.patterns.elsewhere() } else { self.patterns.given(is_unnamed) };
        let mut findings = patterns.findings(&finished.output, main.as_deref());
        let end = match finished.end {
            End::Exited(code) if KILLED_IN_SHELL.contains(&code) => End::Killed(code - 128),
            End::Exited(_) if patterns.accept(&finished.output) => End::Exited(0),
            End::Exited(0) if !patterns.accepts.is_empty() => return vec![undecided(&self.name, finished)],
            end => end,
        };
        match end {
            End::TimedOut => {
                let limit = humantime::format_duration(context.timeout);
                let message = format!("`{}` did not end within {limit}; it was killed", self.name);
                let help = "if it needs longer, raise `--timeout`, or the CPU limit of this container (`resources.limits.cpu`), which \
                            holds it up; it may be waiting for a host that does not answer, or for input, of which there is none";
                vec![Finding::environment(CHECKER_TIMEOUT, message).help(help)]
            }
            End::Killed(signal) => {
                let message = format!("`{}` was killed by signal {signal}", self.name);
                let lines = reason(finished);
                let (message, help) = match signal {
                    KILL => (message, format!("if that was the kernel for want of memory, {MEMORY}")),
                    _ => (
                        format!("{message}: {lines}"),
                        "try it where the application runs, or choose another validator".into(),
                    ),
                };
                let finding = Finding::environment(CHECKER_KILLED, message);
                vec![finding.help(help)]
            }
            End::Exited(0) => {
                findings.retain(|finding| finding.severity < Severity::Error);
                findings
            }
            End::Exited(code) if COULD_NOT_VALIDATE.contains(&code) => {
                let lines = reason(finished);
                let said = if lines.is_empty() { String::new() } else { format!(": {lines}") };
                let message = format!("`{}` could not validate (exit code {code}){said}", self.name);
                let finding = Finding::environment(CHECKER_OBSTACLE, message);
                vec![if lines.contains("Permission denied") { finding.help(EXECUTABLE) } else { finding }]
            }
            End::Exited(_) if OUT_OF_MEMORY.iter().any(|said| finished.output.contains(said)) => {
                let message = format!("`{}` had not enough memory: {}", self.name, reason(finished));
                vec![Finding::environment(CHECKER_OBSTACLE, message).help(MEMORY)]
            }
            End::Exited(code) => {
                if !findings.iter().any(|finding| finding.severity == Severity::Error) {
                    findings.push(patterns.unplaced(&finished.output, reason(finished), &self.name, code));
                }
                findings
            }
        }
    }
}

/// The placeholder of the program that the target executes.
const EXE: &str = "{exe}";
/// The placeholder of [`mark`] in the words of a command and in the patterns that accept.
const MARK: &str = "{mark}";

/// Returns a word that no configuration can know, so that none can make a program print what accepts it.
fn mark() -> &'static str {
    // Its keys are random numbers of the system.
    static WORD: LazyLock<String> = LazyLock::new(|| format!("{:016x}", RandomState::new().build_hasher().finish()));
    &WORD
}

impl FindingPatterns {
    /// The same patterns where the program is asked away from where it runs.
    fn elsewhere(&self) -> Self {
        let transient = self.transient.iter().chain(&self.away).chain(&self.unnamed);
        Self { transient: transient.cloned().collect(), ..self.clone() }
    }

    /// The same patterns where the program runs, or would run if no process shows its command line.
    fn given(&self, is_unnamed: bool) -> Self {
        let unnamed = self.unnamed.iter().filter(|_| is_unnamed);
        Self { transient: self.transient.iter().chain(unnamed).cloned().collect(), ..self.clone() }
    }

    /// Returns the findings in an output about the file `main`, and others; each once, however often it is printed.
    fn findings(&self, output: &str, main: Option<&str>) -> Vec<Finding> {
        let patterns = self.findings.iter().filter_map(LazyRegex::get);
        let matches = patterns.flat_map(|pattern| pattern.captures_iter(output));
        let mut findings = Vec::new();
        for finding in matches.map(|captures| self.finding(&captures, main)) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }

    /// Returns all findings that an output may have.
    #[cfg(any(test, fuzzing))]
    pub fn all_in(&self, output: &str, name: &str) -> Vec<Finding> {
        let mut findings = self.elsewhere().findings(output, Some("main"));
        findings.push(self.unplaced(output, last_lines(output), name, 1));
        findings
    }

    fn finding(&self, captures: &Captures<'_>, main: Option<&str>) -> Finding {
        let group = |name| captures.name(name).map(|group| group.as_str().trim()).filter(|text| !text.is_empty());
        let message = group("message").unwrap_or(&captures[0]).to_owned();
        let warns = group("severity").is_some_and(|severity| {
            let severity = severity.to_ascii_lowercase();
            severity.starts_with("warn") || severity.starts_with("notice") || severity.starts_with("info")
        });
        let finding = match () {
            () if warns => Finding::warning(CHECKER_WARNING, message),
            () if self.is_transient(&captures[0]) => Finding::environment(CHECKER_OBSTACLE, message),
            () => Finding::error(CHECKER_ERROR, message),
        };
        let may_not_bind = finding.message.contains("bind") && finding.message.contains("Permission denied");
        let finding = if may_not_bind { finding.help(MAY_NOT_BIND) } else { finding };
        let number = |name| group(name).and_then(|text| text.parse().ok());
        let line = number("line");
        match group("file").or(main.filter(|_| line.is_some())) {
            Some(file) => {
                let column = line.and_then(|_| number("column"));
                finding.at(Position { line, column, ..Position::file(file) })
            }
            None => finding,
        }
    }

    /// The finding of an output in which no pattern saw an error, with these lines of it.
    fn unplaced(&self, output: &str, lines: String, name: &str, code: i32) -> Finding {
        let message =
            if lines.is_empty() { format!("`{name}` exited with code {code} and said nothing") } else { lines };
        if self.is_transient(output) {
            Finding::environment(CHECKER_OBSTACLE, message)
        } else {
            Finding::error(CHECKER_ERROR, message)
        }
    }

    fn accept(&self, output: &str) -> bool {
        if self.accepts.is_empty() {
            return false;
        }
        let output = output.replace(MARK, "").replace(mark(), MARK);
        self.accepts.iter().any(|pattern| pattern.is_match(&output))
    }

    fn is_transient(&self, text: &str) -> bool {
        self.transient.iter().any(|pattern| pattern.is_match(text))
    }
}

/// End of the options of a command line: everything behind it is an operand (POSIX, XBD 12.2, guideline 10).
const END_OF_OPTIONS: &str = "--";

/// The words of a command line that begin with one of `wanted`, with their values; of a wanted `--`, all that follows it. Where a program shows its command line as
/// one word (nginx: `nginx: master process nginx -c FILE`) it is split at spaces, and a value goes on until the next option.
pub(super) fn options(cmdline: &[String], wanted: &[String]) -> Vec<String> {
    let one_word = cmdline.len() == 1;
    let shown = cmdline.iter().map(String::as_str);
    let words: Vec<&str> = if one_word { shown.flat_map(|word| word.split(' ')).collect() } else { shown.collect() };
    let is_option = |word: &str| word.len() > 1 && word.starts_with('-');
    let mut kept = Vec::new();
    let mut words = words.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let word = &*behind_quiet(word);
        if word == END_OF_OPTIONS && wanted.iter().any(|option| option == END_OF_OPTIONS) {
            kept.push(word.to_owned());
            kept.extend(words.map(str::to_owned));
            break;
        }
        let Some(option) = wanted.iter().find(|option| word.starts_with(option.as_str())) else { continue };
        kept.push(word.to_owned());
        if word != option {
            continue;
        }
        let Some(value) = words.next_if(|next| !is_option(next)) else { continue };
        let mut value = value.to_owned();
        while let Some(more) = words.next_if(|next| one_word && !is_option(next)) {
            value = format!("{value} {more}");
        }
        kept.push(value);
    }
    kept
}

/// A word without a leading `q` of several letters behind one dash: nginx takes `-qc FILE` (`ngx_get_options()` in `src/core/nginx.c`).
fn behind_quiet(word: &str) -> Cow<'_, str> {
    match word.strip_prefix("-q").filter(|rest| !rest.is_empty()) {
        Some(rest) => Cow::Owned(format!("-{rest}")),
        None => Cow::Borrowed(word),
    }
}

/// The value of an option of one letter, which may be joined to it; of several, the last.
pub(super) fn option_value(cmdline: &[String], option: &str) -> Option<String> {
    let mut words = options(cmdline, &[option.to_owned()]).into_iter();
    let mut value = None;
    while let Some(word) = words.next() {
        value = if word == option { words.next() } else { word.strip_prefix(option).map(str::to_owned) };
    }
    value
}

/// The finding of a program that ended well before it came to the point at which it accepts.
fn undecided(name: &str, finished: &Finished) -> Finding {
    let lines = reason(finished);
    let said = if lines.is_empty() { String::new() } else { format!(": {lines}") };
    let message = format!("`{name}` ended before it had read the whole configuration{said}");
    let help = "leave out what makes the program go to the background, such as `daemonize`, or give another command: `--validate`";
    Finding::environment(CHECKER_OBSTACLE, message).help(help)
}

fn hidden(place: &ExecutionPlace) -> Finding {
    not_entered(&format!("cannot see which file pid {} executes", place.pid()))
}

/// Returns the finding for a target that has written over the command line that is needed.
fn titled(place: &ExecutionPlace, title: &str) -> Finding {
    let message = format!("pid {} shows the title `{title}` in place of its command line (setproctitle)", place.pid());
    let help = "give the command: `--validate 'gunicorn --check-config -c {config} MODULE:APP'`";
    Finding::environment(CHECKER_OBSTACLE, message).help(help)
}

/// Returns true if a command could not run for want of the target's privileges, or for want of a target that has the program in
/// its root.
pub(super) fn is_kept_out(findings: &[Finding], context: &ValidationContext) -> bool {
    let no_target = context.fallback || (context.root == RootChoice::Auto && context.place.target.is_none());
    let elsewhere = |code| [ROOT_NOT_ENTERED, ONLY_PARTS, super::path_map::LEADS_TO_LIVE].contains(&code);
    findings.iter().any(|finding| elsewhere(finding.code) || (no_target && finding.code == CHECKER_MISSING))
}

/// Help where a process has rights that its caller did not have.
pub const START_AS_ITSELF: &str = "start the application as the user as which it runs (`User=` of its unit, `securityContext.runAsUser`), \
                                   without a set-user-ID or set-group-ID program; a bundled checker needs no rights of it";

fn not_entered(message: &str) -> Finding {
    let finding = Finding::environment(ROOT_NOT_ENTERED, message);
    if message.contains(exec::LENDS_RIGHTS) {
        return finding.help(START_AS_ITSELF);
    }
    finding.help(
        "the checker runs in the root of the target and as its user: that takes the same uid and gid and every capability \
         that the target has, and SYS_CHROOT where the root is another one; or validate here, with `--root local`",
    )
}

pub(super) fn not_started(error: &NotStarted, package: Option<&str>) -> Finding {
    match error {
        NotStarted::Missing(_) => Finding::environment(CHECKER_MISSING, error.to_string()).help(missing(package)),
        NotStarted::Program { .. } => Finding::environment(CHECKER_MISSING, error.to_string()).help(EXECUTABLE),
        NotStarted::Short { .. } => Finding::environment(CHECKER_OBSTACLE, error.to_string()).help(SHORTAGE),
        NotStarted::NotEntered(message) => not_entered(message),
        NotStarted::NotConfined(message) => {
            let help = "run commands that validate here without it: `--sandbox off`";
            Finding::environment(NOT_CONFINED, message).help(help)
        }
        NotStarted::NotShown(message) => Finding::environment(VIEW_NOT_POSSIBLE, message).help(VIEW_NEEDS),
    }
}

/// Help for a command that is not installed.
fn missing(package: Option<&str>) -> String {
    let package = package.map_or_else(String::new, |package| {
        let (registry, name) = package.split_once(": ").unwrap_or(("Debian", package));
        format!(": the {registry} package is `{name}`")
    });
    format!("install it there{package}; or choose another place with `--root`, or another command with `--validate`")
}

/// The lines in which a command gives the reason of its end: those of its standard error, if there are any. What it prints on its
/// standard output may be the configuration itself.
fn reason(finished: &Finished) -> String {
    Some(last_lines(&finished.errors)).filter(|lines| !lines.is_empty()).unwrap_or_else(|| last_lines(&finished.output))
}

/// The last lines of an output, as one.
fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_options_of_a_title_are_read_back() {
        let nginx =
            words(&["nginx: master process /usr/sbin/nginx -c /etc/nginx.conf -g daemon off; user root; -p /srv"]);
        let found = options(&nginx, &words(&["-c", "-p", "-g", "-e"]));
        assert_eq!(found, ["-c", "/etc/nginx.conf", "-g", "daemon off; user root;", "-p", "/srv"]);
    }

    #[test]
    fn the_value_of_an_option_is_found_in_each_notation_of_nginx() {
        let value = |line: &[&str], option| {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            option_value(&words, option)
        };
        let title = "nginx: master process /usr/sbin/nginx -c/etc/a.conf -qp /srv/x -g daemon off;";
        assert_eq!(value(&[title], "-c").as_deref(), Some("/etc/a.conf"));
        assert_eq!(value(&[title], "-p").as_deref(), Some("/srv/x"));
        assert_eq!(value(&[title], "-g").as_deref(), Some("daemon off;"));
        assert_eq!(value(&["nginx", "-c", "a", "-qc", "b"], "-c").as_deref(), Some("b"), "the last one counts");
        assert_eq!(value(&["nginx", "-q"], "-c"), None);
        let words = ["haproxy", "-dW", "-f", "x", "-dr"].map(str::to_owned);
        let wanted = ["-f", "-dW", "-dr"].map(str::to_owned);
        assert_eq!(options(&words, &wanted), ["-dW", "-f", "x", "-dr"], "an option without a value takes none");
    }

    #[test]
    fn the_options_of_a_command_line_are_read_back() {
        let haproxy = words(&["haproxy", "-W", "-f", "/a b.cfg", "-f/c.cfg", "-L", "", "-sf", "12", "-x", "sock"]);
        assert_eq!(options(&haproxy, &words(&["-f", "-L"])), ["-f", "/a b.cfg", "-f/c.cfg", "-L", ""]);
        let operands = words(&["haproxy", "-W", "-f", "a.cfg", "-x", "sock", "--", "b.cfg", "-c.cfg"]);
        assert_eq!(options(&operands, &words(&["-f", "--"])), ["-f", "a.cfg", "--", "b.cfg", "-c.cfg"]);
        assert_eq!(options(&operands, &words(&["-f"])), ["-f", "a.cfg"]);
    }
}
