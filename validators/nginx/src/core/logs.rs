//! Logs: `error_log` (`src/core/ngx_log.c`), `access_log` and `log_format` of http and stream
//! (`src/http/modules/ngx_http_log_module.c`), and the syslog that both may go to (`src/core/ngx_syslog.c`).

use crate::checker::Checker;
use crate::checker::script;
use crate::directives::{Build, Contexts};
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::logs::LogFormats;
use crate::values::nearest::nearest;
use crate::values::numbers;
use crate::values::url::{self, Rules};

const LEVELS: [&[u8]; 8] = [b"emerg", b"alert", b"crit", b"error", b"warn", b"notice", b"info", b"debug"];

const DEBUG_LEVELS: [&[u8]; 7] =
    [b"debug_core", b"debug_alloc", b"debug_mutex", b"debug_event", b"debug_http", b"debug_mail", b"debug_stream"];

const FACILITIES: [&[u8]; 24] = [
    b"kern",
    b"user",
    b"mail",
    b"daemon",
    b"auth",
    b"intern",
    b"lpr",
    b"news",
    b"uucp",
    b"clock",
    b"authpriv",
    b"ftp",
    b"ntp",
    b"audit",
    b"alert",
    b"cron",
    b"local0",
    b"local1",
    b"local2",
    b"local3",
    b"local4",
    b"local5",
    b"local6",
    b"local7",
];

const SEVERITIES: [&[u8]; 8] = [b"emerg", b"alert", b"crit", b"error", b"warn", b"notice", b"info", b"debug"];

pub(crate) fn error_log<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let target = numbers::c_string(directive.word(1));
    if let Some(size) = target.strip_prefix(b"memory:") {
        if checker.options.build != Build::Debian {
            return directive.refuse(1, codes::UNSUPPORTED, "nginx was built without debug support");
        }
        // Size of the first line of the buffer, with the path of the file in it.
        let needed = 63 + 2048 + checker.sources.file(directive.file()).path.len();
        if numbers::size(size).is_none_or(|size| usize::try_from(size).is_ok_and(|size| size < needed)) {
            let message = format!("invalid buffer size \"{}\"", String::from_utf8_lossy(size));
            return directive.refuse(1, codes::INVALID_PARAMETER, message);
        }
    } else if target.starts_with(b"syslog:") {
        syslog(directive)?;
    }
    levels(directive)
}

fn levels(directive: &Directive<'_>) -> Checked {
    let (mut level, mut debug) = (false, false);
    for (at, word) in directive.arguments().skip(1) {
        let text = String::from_utf8_lossy(word);
        if LEVELS.contains(&word) {
            if level || debug {
                return directive.refuse(at, codes::INVALID_LOG_LEVEL, format!("duplicate log level \"{text}\""));
            }
            level = true;
        } else if DEBUG_LEVELS.contains(&word) && !level {
            debug = true;
        } else {
            let known: Vec<_> = LEVELS.iter().map(|level| String::from_utf8_lossy(level)).collect();
            let problem = directive.problem(at, codes::INVALID_LOG_LEVEL, format!("invalid log level \"{text}\""));
            return Err(Box::new(problem.help(format!("it may be: {}", known.join(", ")))));
        }
    }
    Ok(())
}

/// The parameters of `syslog:` in the first argument: `ngx_syslog_parse_args()`.
fn syslog(directive: &Directive<'_>) -> Checked {
    let refuse = |message: String| directive.refuse(1, codes::INVALID_SYSLOG, message);
    let mut seen: Vec<&str> = vec![];
    let mut twice = |name: &'static str| {
        let twice = seen.contains(&name);
        seen.push(name);
        twice
    };
    let mut server = false;
    for parameter in directive.word(1)[b"syslog:".len()..].split(|byte| *byte == b',') {
        let text = String::from_utf8_lossy(parameter);
        if let Some(address) = parameter.strip_prefix(b"server=") {
            if twice("server") {
                return refuse("duplicate syslog \"server\"".to_owned());
            }
            server = true;
            if let Err(error) = url::parse(address, Rules { default_port: 514, ..Rules::default() }) {
                return refuse(format!("{error} in syslog server \"{}\"", String::from_utf8_lossy(address)));
            }
        } else if let Some(name) = parameter.strip_prefix(b"facility=") {
            if twice("facility") {
                return refuse("duplicate syslog \"facility\"".to_owned());
            }
            if !FACILITIES.contains(&name) {
                return refuse(format!("unknown syslog facility \"{}\"", String::from_utf8_lossy(name)));
            }
        } else if let Some(name) = parameter.strip_prefix(b"severity=") {
            if twice("severity") {
                return refuse("duplicate syslog \"severity\"".to_owned());
            }
            if !SEVERITIES.contains(&name) {
                return refuse(format!("unknown syslog severity \"{}\"", String::from_utf8_lossy(name)));
            }
        } else if let Some(tag) = parameter.strip_prefix(b"tag=") {
            if twice("tag") {
                return refuse("duplicate syslog \"tag\"".to_owned());
            }
            if tag.len() > 32 {
                return refuse("syslog tag length exceeds 32".to_owned());
            }
            if !tag.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                return refuse("syslog \"tag\" only allows alphanumeric characters and underscore".to_owned());
            }
        } else if parameter != b"nohostname" {
            return refuse(format!("unknown syslog parameter \"{text}\""));
        }
    }
    if server { Ok(()) } else { refuse("no syslog server specified".to_owned()) }
}

fn formats<'c>(checker: &'c mut Checker<'_>, block: BlockId) -> &'c mut LogFormats {
    if checker.blocks[block].context.intersects(Contexts::STREAM | Contexts::STREAM_SERVER) {
        &mut checker.stream.formats
    } else {
        &mut checker.http.formats
    }
}

pub(crate) fn log_format<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let stream = checker.blocks[block].context == Contexts::STREAM;
    let formats = formats(checker, block);
    let name = directive.word(1);
    let built_in = !stream && name == b"combined";
    if built_in || formats.names.contains(name) {
        let message = format!("duplicate \"log_format\" name \"{}\"", directive.text(1));
        return directive.refuse(1, codes::DUPLICATE_LOG_FORMAT, message);
    }
    formats.names.insert(name.to_vec());
    formats.folded.insert(name.to_ascii_lowercase());
    let mut first = 2;
    if let Some(escape) = directive.word(2).strip_prefix(b"escape=") {
        if ![&b"json"[..], b"none", b"default"].contains(&escape) {
            let message = format!("unknown log format escaping \"{}\"", String::from_utf8_lossy(escape));
            return directive.refuse(2, codes::INVALID_PARAMETER, message);
        }
        first = 3;
    }
    for at in first..=directive.count() {
        format_text(checker, directive, at, block, stream)?;
    }
    Ok(())
}

/// Names that http's log module writes by itself, without variables.
const LOG_OPERATIONS: [&[u8]; 9] = [
    b"pipe",
    b"time_local",
    b"time_iso8601",
    b"msec",
    b"request_time",
    b"status",
    b"bytes_sent",
    b"body_bytes_sent",
    b"request_length",
];

fn format_text<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    at: usize,
    block: BlockId,
    stream: bool,
) -> Checked {
    let text = directive.word(at);
    let names = Checker::log_variables(text).map_err(|(message, from)| {
        let message = match message.as_str() {
            "invalid variable name" => format!("invalid parameter \"{}\"", String::from_utf8_lossy(&text[from..])),
            _ => message,
        };
        directive.problem(at, codes::INVALID_VARIABLE, message)
    })?;
    for name in names {
        if stream || !LOG_OPERATIONS.contains(&name) {
            checker.use_variable(directive, at, name, block)?;
        }
    }
    Ok(())
}

pub(crate) fn access_log<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let target = directive.word(1);
    if target == b"off" {
        return match directive.count() {
            1 => Ok(()),
            _ => directive.refuse(2, codes::INVALID_PARAMETER, format!("invalid parameter \"{}\"", directive.text(2))),
        };
    }
    let to_syslog = target.starts_with(b"syslog:");
    let scripted = !to_syslog && script::variables(target) > 0;
    if to_syslog {
        syslog(directive)?;
    } else if scripted {
        checker.compile(directive, 1, block)?;
    }
    format_of_log(checker, directive, block)?;
    let buffer = buffer(checker, directive, block)?;
    let Some((size, flush, gzip)) = buffer else { return Ok(()) };
    let refuse = |message: &str| directive.refuse(1, codes::INVALID_LOG_BUFFER, message);
    if flush != 0 && size == 0 {
        return refuse(&format!("no buffer is defined for access_log \"{}\"", directive.text(1)));
    }
    if size != 0 && scripted {
        return refuse("buffered logs cannot have variables in name");
    }
    if size != 0 && to_syslog {
        return refuse("logs to syslog cannot be buffered");
    }
    if size != 0 {
        let first = *formats(checker, block).buffered.entry(target.to_vec()).or_insert((size, flush, gzip));
        if first != (size, flush, gzip) {
            let text = directive.text(1);
            return refuse(&format!("access_log \"{text}\" already defined with conflicting parameters"));
        }
    }
    Ok(())
}

fn format_of_log(checker: &mut Checker<'_>, directive: &Directive<'_>, block: BlockId) -> Checked {
    let stream = checker.blocks[block].context.intersects(Contexts::STREAM | Contexts::STREAM_SERVER);
    if stream && directive.count() < 2 {
        return directive.refuse(0, codes::MISSING_PARAMETER, "log format is not specified");
    }
    let name = if directive.count() < 2 { b"combined" } else { directive.word(2) };
    if formats(checker, block).folded.contains(&name.to_ascii_lowercase())
        || (!stream && name.eq_ignore_ascii_case(b"combined"))
    {
        return Ok(());
    }
    let text = String::from_utf8_lossy(name).into_owned();
    let problem = directive.problem(
        directive.count().min(2),
        codes::UNKNOWN_LOG_FORMAT,
        format!("unknown log format \"{text}\""),
    );
    let names = &formats(checker, block).names;
    let known = names.iter().filter_map(|known| std::str::from_utf8(known).ok());
    Err(Box::new(match nearest(&text, known, |_| true) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("define it before with `log_format {text} …;`")),
    }))
}

/// The parameters after the format: the sizes of the buffer, its time, its compression.
fn buffer<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
) -> Checked<Option<(i64, i64, i64)>> {
    let (mut size, mut flush, mut gzip) = (0, 0, 0);
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    for at in 3..=directive.count() {
        let word = directive.word(at);
        let refuse = |what: &str, part: &[u8]| {
            directive.refuse::<i64>(at, codes::INVALID_PARAMETER, format!("invalid {what} \"{}\"", text(part)))
        };
        if let Some(given) = word.strip_prefix(b"buffer=") {
            size = numbers::size(given).filter(|size| *size != 0).map_or_else(|| refuse("buffer size", given), Ok)?;
        } else if let Some(given) = word.strip_prefix(b"flush=") {
            let time = numbers::milliseconds(given).filter(|time| *time != 0);
            flush = time.map_or_else(|| refuse("flush time", given), Ok)?;
        } else if word == b"gzip" || word.starts_with(b"gzip=") {
            size = if size == 0 { 64 << 10 } else { size };
            let given = word.strip_prefix(b"gzip=").unwrap_or(b"1");
            let level = numbers::number(given).filter(|level| (1..=9).contains(level));
            gzip = level.map_or_else(|| refuse("compression level", given), Ok)?;
        } else if let Some(given) = word.strip_prefix(b"if=") {
            checker.compile_text(directive, at, given, block)?;
        } else {
            refuse("parameter", word)?;
        }
    }
    Ok((directive.count() > 2).then_some((size, flush, gzip)))
}

pub(crate) fn open_log_file_cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let (mut max, mut off) = (0, false);
    for (at, word) in directive.arguments() {
        let valid = if let Some(given) = word.strip_prefix(b"max=") {
            max = numbers::number(given).unwrap_or_default();
            numbers::number(given).is_some()
        } else if let Some(given) = word.strip_prefix(b"min_uses=") {
            numbers::number(given).is_some()
        } else if let Some(given) = word.strip_prefix(b"inactive=").or_else(|| word.strip_prefix(b"valid=")) {
            numbers::seconds(given).is_some()
        } else {
            off |= word == b"off";
            word == b"off"
        };
        if !valid {
            let message = format!("invalid \"open_log_file_cache\" parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    if max == 0 && !off {
        let message = "\"open_log_file_cache\" must have \"max\" parameter";
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    }
    Ok(())
}
