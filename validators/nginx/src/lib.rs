//! Judges nginx configuration as `nginx -t` would, without nginx: text in, syntax trees and findings out.
//!
//! [`check`] goes through a configuration in the order in which nginx reads it, with nginx's own rules, as the sources
//! of its releases have them. The first error it finds is the one at which nginx stops, in nginx's words and at nginx's
//! line; it goes on where that makes sense. Facts about the machine (a missing file) are findings of
//! [`Cause::Environment`](reload_gate_contract::Cause), never an error of the configuration.
//!
//! The crate has no file system, no process and no clock: it asks [`Files`] for what is included.
//!
//! ```
//! use reload_gate_contract::MemoryFiles;
//! use reload_gate_nginx::{Options, check};
//!
//! let text = "events {}\nhttp {\n    server {\n        listn 80;\n    }\n}\n";
//! let files: MemoryFiles = [("/etc/nginx/nginx.conf", text)].into_iter().collect();
//! let findings = check("/etc/nginx/nginx.conf", &files, &Options::default());
//!
//! assert_eq!(findings[0].message, "unknown directive \"listn\"");
//! assert_eq!(findings[0].place.as_ref().unwrap().to_string(), "/etc/nginx/nginx.conf:4:9");
//! assert_eq!(findings[0].help.as_deref(), Some("did you mean `listen`?"));
//! ```

pub mod directives;

mod checker;
mod core;
mod findings;
mod http;
mod hygiene;
mod mail;
mod model;
mod setters;
mod ssl;
mod stream;
mod syntax;
mod upstream;
mod values;

use reload_gate_contract::{Files, Finding, Verdict};

pub use directives::{Build, ParseBuildError, Version};
pub use findings::codes;
pub use hygiene::codes as hygiene_codes;
pub use model::context::{Context, ParseContextError};
pub use syntax::{parser, tree};

/// Options of [`check`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The version of nginx; by default the newest stable one.
    pub version: Version,
    /// The build of nginx, which decides on the modules it has without `load_module`.
    pub build: Build,
    /// Modules that are loaded besides, as by `nginx -g 'load_module …;'`: names of shared objects such as
    /// `ngx_stream_module`.
    pub modules: Vec<String>,
    /// The directory of relative paths, as by `nginx -p`, except for those of included files and certificates, which begin
    /// in the directory of the main file; that is the default, too.
    pub prefix: Option<String>,
    /// Directives that come before the main file, as by `nginx -g 'daemon off;'`.
    pub global: String,
    /// Further directives, of modules that the tables do not have. They are accepted with any arguments in any block, and
    /// their own blocks are not judged.
    pub allowed_directives: Vec<String>,
    /// The blocks around the main file, if it is a snippet that another file includes. Then definitions elsewhere are
    /// unknown, and nothing is reported as undefined; relative paths begin in `prefix`, or else in the directory of the main
    /// file, or above one such as `conf.d`.
    pub context: Context,
    /// Warns of insecure or fragile configuration as well, if there is no error. These are no findings of nginx.
    pub hygiene: bool,
}

/// Judges a configuration, beginning with the file at the absolute path `main`; with a context, `main` may be a pattern
/// such as `/etc/nginx/conf.d/*.conf`. The findings come in the order in which
/// they were found.
#[must_use]
pub fn check(main: &str, files: &dyn Files, options: &Options) -> Vec<Finding> {
    let sources = model::sources::Sources::load(main, options, files);
    let subsystems = checker::Subsystems { setter: setters::named, finish: core::main_conf::finish };
    let mut findings = checker::Checker::new(options, &sources, files, subsystems).run(main);
    if options.hygiene && Verdict::of(&findings) != Verdict::Rejected {
        findings.extend(hygiene::check(main, &sources, options));
    }
    findings
}

/// Reads the files of a configuration as [`check`] does, and nothing more: `files` is asked for each that is included.
pub fn follow(main: &str, files: &dyn Files, options: &Options) {
    let _ = model::sources::Sources::load(main, options, files);
}
