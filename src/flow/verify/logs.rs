//! The error logs of the target: what it wrote there since a reload. IO: reads files through /proc.
//!
//! The files are those that the process has open for appending, so that no configuration has to name them.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::LazyLock;

use regex::Regex;

/// The number of logs that are read, and the bytes of each.
const FILES: usize = 16;
const BYTES: u64 = 256 << 10;
/// The number of lines in a message, and the characters of each.
const LINES: usize = 3;
const CHARACTERS: usize = 300;

/// The beginning of a line of nginx's error log, with zeros for the digits.
const TIME: &str = "0000/00/00 00:00:00 ";
/// The line before the frames of an exception of Python.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// A line of an error log: nginx, Apache, php-fpm, gunicorn, which has no time where its settings are wrong.
static ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?:[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]+ \[(?:emerg|alert|crit)\]|\[[^\]\n]+\] (?:\[[a-z_]*:(?:emerg|alert|crit)\]|\[[0-9]+\] \[(?:ERROR|CRITICAL)\]|(?:ERROR|ALERT):)|Error: |Failed to read config file: )[^\n]*$").ok()
});

/// The logs of a process, from their ends on.
#[derive(Debug, Default)]
pub(super) struct ErrorLogs(Vec<(File, u64)>);

impl ErrorLogs {
    /// The logs that the process has open now; none without the permission to look.
    pub(super) fn of(pid: i32) -> Self {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut files: Vec<(String, File, u64)> = Vec::new();
        for entry in entries {
            let number = entry.file_name();
            if !number.to_str().is_some_and(|number| appends(pid, number)) {
                continue;
            }
            let Ok(path) = std::fs::read_link(entry.path()) else { continue };
            let name = path.display().to_string();
            if files.len() == FILES || files.iter().any(|(known, ..)| *known == name) {
                continue;
            }
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            let flags = rustix::fs::OFlags::NONBLOCK.bits();
            let flags = i32::try_from(flags).unwrap_or_default();
            let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(entry.path());
            if let Ok(file) = file
                && is_file
            {
                let end = file.metadata().map_or(0, |metadata| metadata.len());
                files.push((name, file, end));
            }
        }
        Self(files.into_iter().map(|(_, file, end)| (file, end)).collect())
    }

    /// The error with which the process `pid` refused a reload.
    pub(super) fn refusal(&self, pid: i32) -> Option<String> {
        let pid = pid.to_string();
        self.texts().find_map(|text| {
            let own = text.lines().filter_map(refusal).filter(|(of, _)| *of == pid);
            let refusal = last_word(own.map(|(_, message)| message))?;
            Some(refusal.chars().take(CHARACTERS).collect())
        })
    }

    /// The last lines about errors.
    pub(super) fn errors(&self) -> Vec<String> {
        let Some(pattern) = ERROR.as_ref() else { return Vec::new() };
        let mut lines: Vec<String> = Vec::new();
        for text in self.texts() {
            let found = pattern.find_iter(&text);
            lines.extend(found.map(|line| with_reason(line.as_str(), &text[line.end()..])));
        }
        lines.split_off(lines.len().saturating_sub(LINES))
    }

    /// The new part of each log.
    fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(file, from)| {
            let length = file.metadata().ok()?.len().checked_sub(*from)?.min(BYTES);
            let mut bytes = vec![0; usize::try_from(length).ok().filter(|length| *length > 0)?];
            let read = file.read_at(&mut bytes, *from).ok()?;
            bytes.truncate(read);
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
    }
}

/// A line about an error, with the exception of the traceback that follows it: of a chain of exceptions, the last one
/// (`traceback` in Python's library reference).
fn with_reason(line: &str, rest: &str) -> String {
    let cut = |text: &str| text.chars().take(CHARACTERS).collect::<String>();
    let mut lines = rest.lines().skip(1).peekable();
    let mut reason = None;
    while lines.next_if(|line| line.starts_with(TRACEBACK)).is_some() {
        // The frames are indented. The exception follows them, and what its message has in further lines.
        reason = lines.by_ref().find(|line| !line.is_empty() && !line.starts_with(' ')).or(reason);
        while lines.next_if(|line| !line.starts_with(TRACEBACK) && !is_entry(line)).is_some() {}
    }
    match reason {
        Some(reason) => format!("{}: {}", cut(line), cut(reason)),
        None => cut(line),
    }
}

/// Returns true for the first line of an entry of gunicorn's log, which begins with its time.
fn is_entry(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The message that ends a reload. An address in use does not: nginx tries it five times within 2.5 s (`ngx_open_listening_sockets()` in
/// `src/core/ngx_connection.c`).
fn last_word<'a>(messages: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut in_use = None;
    for message in messages {
        if message.starts_with("bind() to ") && message.contains("(98: ") {
            in_use = Some(message);
        } else if message == "still could not bind()" {
            return in_use.or(Some(message));
        } else {
            return Some(message);
        }
    }
    None
}

/// The process and the message of a line of nginx's error log about an error that ends a reload (`ngx_log_error_core()` in nginx's
/// `src/core/ngx_log.c`). The beginning of the line is fixed, so that no request can write one into an access log. Each verification
/// looks for one, and a compiled pattern would take half a megabyte.
fn refusal(line: &str) -> Option<(&str, &str)> {
    let (time, rest) = line.split_at_checked(TIME.len())?;
    let fits = |(byte, like): (u8, u8)| if like == b'0' { byte.is_ascii_digit() } else { byte == like };
    let is_time = time.bytes().zip(TIME.bytes()).all(fits);
    let (pid, rest) = rest.strip_prefix("[emerg] ")?.split_once('#')?;
    let (thread, message) = rest.split_once(": ")?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && is_number(pid) && is_number(thread) && !message.is_empty()).then_some((pid, message))
}

/// Returns `true` if the descriptor is open for appending: its flags, in octal, have `O_APPEND` (proc_pid_fdinfo(5)).
fn appends(pid: i32, number: &str) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & rustix::fs::OFlags::APPEND.bits() != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_a_new_line_of_the_process_itself_is_a_refusal() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("error.log");
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(&path).expect("there is room");
        let own = i32::try_from(std::process::id()).expect("it fits");
        writeln!(log, "2026/01/01 00:00:00 [emerg] {own}#0: an old one").expect("there is room");
        let logs = ErrorLogs::of(own);
        assert_eq!(logs.refusal(own), None);
        writeln!(log, "2026/01/01 00:00:01 [emerg] 1#0: of another process").expect("there is room");
        writeln!(log, "GET /2026/01/01 00:00:01 [emerg] {own}#0: of a client").expect("there is room");
        assert_eq!(logs.refusal(own), None);
        writeln!(log, "2026/01/01 00:00:02 [emerg] {own}#0: bind() to 0.0.0.0:80 failed").expect("there is room");
        assert_eq!(logs.refusal(own).as_deref(), Some("bind() to 0.0.0.0:80 failed"));
        assert_eq!(logs.errors().len(), 2);
    }

    #[test]
    fn an_address_in_use_is_a_refusal_when_nginx_gives_up() {
        let in_use = "bind() to 0.0.0.0:80 failed (98: Address already in use)";
        assert_eq!(last_word([in_use, in_use].into_iter()), None);
        assert_eq!(last_word([in_use, in_use, "still could not bind()"].into_iter()), Some(in_use));
        assert_eq!(last_word(["still could not bind()"].into_iter()), Some("still could not bind()"));
        let denied = "bind() to 0.0.0.0:80 failed (13: Permission denied)";
        assert_eq!(last_word([denied].into_iter()), Some(denied));
        assert_eq!(last_word([in_use, "open() failed"].into_iter()), Some("open() failed"));
    }

    #[test]
    fn an_error_is_quoted_with_the_exception_that_is_its_reason() {
        let line = "[2026-11-26 09:50:44 +0000] [12] [ERROR] Exception in worker process";
        let frames = "Traceback (most recent call last):\n  File \"/usr/a.py\", line 1, in f\n    load()\n";
        let next = "[2026-11-26 09:50:44 +0000] [12] [INFO] Worker exiting (pid: 12)\n";
        let denied = "PermissionError: [Errno 13] Permission denied: '/srv/web.py'";
        let one = format!("\n{frames}{denied}\n{next}");
        assert_eq!(with_reason(line, &one), format!("{line}: {denied}"));
        let of = "\nDuring handling of the above exception, another exception occurred:\n\n";
        let chain = format!("\n{frames}KeyError: 'x'\nof two lines\n{of}{frames}{denied}\n{next}{frames}other.Error\n");
        assert_eq!(with_reason(line, &chain), format!("{line}: {denied}"));
        assert_eq!(with_reason(line, &format!("\n{next}{frames}{denied}\n")), line, "it is of another entry");
        assert_eq!(with_reason(line, ""), line);
        assert_eq!(with_reason(line, &format!("\n{frames}")), line, "the end of it is not written yet");
    }

    #[test]
    fn the_errors_of_other_programs_are_known() {
        let pattern = ERROR.as_ref().expect("it is one");
        for line in [
            "[26-Nov-2026 09:50:44] ERROR: unable to bind listening socket",
            "[Thu Nov 26 09:50:44.123 2026] [core:emerg] [pid 13] (98)Address already in use",
            "[2026-11-26 09:50:44 +0000] [12] [ERROR] Exception in worker process",
            "Error: can't chdir to '/srv/r1'",
        ] {
            assert!(pattern.is_match(line), "{line}");
        }
        for line in
            ["127.0.0.1 - - [26/Nov/2026] \"GET /ERROR: HTTP/1.1\" 200", "2026/01/01 00:00:01 [error] 5#0: *1 upstream"]
        {
            assert!(!pattern.is_match(line), "{line}");
        }
    }
}
