//! The bundled nginx checker: its main file, and the version of its rules.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Files as _, Finding, Place, Verdict};
use reload_gate_nginx::{Build, Options, Version};

use super::super::{ValidationContext, command};
use super::view::{CandidateFiles, LARGEST};

const NOT_READ: Code = Code::new("not-read");

/// Default configuration file of nginx in the packages and images of Debian and nginx.org.
const NGINX_CONF: &str = "/etc/nginx/nginx.conf";

/// Validates as `nginx -t` of that version; of the running version, or the newest stable, if none is given.
pub(super) fn run(version: Option<Version>, context: &ValidationContext<'_>) -> Vec<Finding> {
    let own = context.place.cmdline();
    let given_option = |option: &str| command::options(&own, &[option.to_owned()]).into_iter().nth(1);
    let view = CandidateFiles::of(context);
    // A relative one begins in the prefix (`ngx_process_options()` in `src/core/nginx.c`).
    let given = given_option("-c").and_then(|main| match given_option("-p") {
        _ if main.starts_with('/') => Some(main),
        Some(prefix) if prefix.starts_with('/') => Some(format!("{}/{main}", prefix.trim_end_matches('/'))),
        _ => None,
    });
    let is_named = |name: &PathBuf| name.file_name() == Path::new(NGINX_CONF).file_name();
    let main = match (given, context.main) {
        (Some(main), _) => main,
        (None, Ok(name)) if is_named(name) => context.path_map.shown(name).to_string_lossy().into_owned(),
        // The sources may be a part of it, such as `conf.d`, which it includes.
        _ if view.read(NGINX_CONF).is_ok() => NGINX_CONF.to_owned(),
        (None, Ok(name)) => context.path_map.shown(name).to_string_lossy().into_owned(),
        (None, Err(finding)) => return vec![Finding::clone(finding)],
    };
    view.forget();
    let running = running(context);
    let options = Options {
        version: version.or(running.map(|(version, _)| version)).unwrap_or_default(),
        build: running.map(|(_, build)| build).unwrap_or_default(),
        prefix: given_option("-p"),
        global: given_option("-g").unwrap_or_default(),
        ..Options::default()
    };
    let mut findings = reload_gate_nginx::check(&main, &view, &options);
    if !view.was_read() && Verdict::of(&findings) == Verdict::Accepted {
        let message = format!("`{main}` includes nothing of the configuration, so it was not validated");
        let help = "name the file that nginx begins with: `--main FILE`, or its path with `--mount`";
        findings.push(Finding::environment(NOT_READ, message).at(Place::file(main)).help(help));
    }
    findings
}

/// Returns the version and the build of the running nginx: both are strings of its program (`NGINX_VER` and `NGX_CONFIGURE` in
/// `src/core/nginx.c`).
fn running(context: &ValidationContext<'_>) -> Option<(Version, Build)> {
    const MARK: &[u8] = b"nginx/1.";
    // Debian's packages have stream and mail as dynamic modules, those of nginx.org have them built in.
    const DYNAMIC: &[u8] = b"--with-stream=dynamic";
    let mut program = Vec::new();
    let file = std::fs::File::open(format!("/proc/{}/exe", context.place.target.as_ref()?.pid())).ok()?;
    file.take(LARGEST).read_to_end(&mut program).ok()?;
    let find = |text: &[u8]| program.windows(text.len()).position(|window| window == text);
    let version =
        program[find(MARK)? + MARK.len() - 2..].split(|byte| !byte.is_ascii_digit() && *byte != b'.').next()?;
    let build = if find(DYNAMIC).is_some() { Build::Debian } else { Build::NginxOrg };
    Some((std::str::from_utf8(version).ok()?.parse().ok()?, build))
}
