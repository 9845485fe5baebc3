//! Hygiene of a configuration that nginx accepts: what makes it insecure or fragile. All findings are warnings.
//!
//! The rules look at the blocks and directives alone, after the checker has found no error in them. Each has a code of its own in
//! [`codes`], apart from those of nginx's own warnings.

mod access;
mod advisories;
mod bytes;
pub mod codes;
mod headers;
mod inherited;
mod locations;
mod pattern;
mod process;
mod proxies;
mod scopes;
mod tls;
mod variables;

use std::cell::RefCell;

use foldhash::{HashMap, HashMapExt as _};
use reload_gate_contract::{Code, Finding, Findings, visible};

use crate::Options;
use crate::findings::codes::TOO_MANY_FINDINGS;
use crate::model::directive::Directive;
use crate::model::sources::Sources;

use inherited::Inherited;
use scopes::Scopes;
use variables::VariableOrigins;

/// Limit of findings.
const FINDINGS: usize = 1_000;

/// Judges the hygiene of a configuration that begins with `main`.
pub(crate) fn check(main: &str, sources: &Sources<'_>, options: &Options) -> Vec<Finding> {
    let scopes = Scopes::of(main, sources);
    let origins = VariableOrigins::of(&scopes);
    let facts = Inherited::of(&scopes);
    let (findings, slow, catch_all) = (Findings::new(FINDINGS), HashMap::new(), RefCell::default());
    let mut hygiene = Hygiene { sources, options, scopes, origins, facts, findings, slow, catch_all };
    for scope in 0..hygiene.scopes.all.len() {
        hygiene.scope(scope);
    }
    advisories::check(&mut hygiene);
    hygiene.findings.finish(TOO_MANY_FINDINGS)
}

/// The state of the rules.
struct Hygiene<'s> {
    sources: &'s Sources<'s>,
    options: &'s Options,
    scopes: Scopes<'s>,
    origins: VariableOrigins<'s>,
    facts: Inherited,
    findings: Findings,
    /// The patterns that were looked at, and the answer: true for one that may take long.
    slow: HashMap<&'s [u8], bool>,
    /// The servers that were looked at, and the answer: true for one that takes any host.
    catch_all: RefCell<HashMap<usize, bool>>,
}

impl<'s> Hygiene<'s> {
    /// Applies the rules to a block.
    fn scope(&mut self, scope: usize) {
        if self.scopes.protocol(scope) == b"http" {
            access::check(self, scope);
            headers::check(self, scope);
            locations::check(self, scope);
        }
        for at in 0..self.scopes.all[scope].len() {
            if let Some((directive, _)) = self.scopes.all[scope].at(at) {
                self.directive(scope, &directive);
            }
        }
    }

    fn directive(&mut self, scope: usize, directive: &Directive<'s>) {
        if directive.count() == 0 {
            return;
        }
        let is_http = self.scopes.protocol(scope) == b"http";
        match directive.word(0) {
            b"error_log" | b"worker_rlimit_nofile" => process::check(self, scope, directive),
            b"ssl_protocols" | b"ssl_ciphers" => tls::check(self, directive),
            b"server_tokens" if is_http => process::server_tokens(self, directive),
            b"return" | b"rewrite" | b"add_header" | b"proxy_set_header" | b"grpc_set_header" if is_http => {
                headers::values(self, scope, directive);
            }
            b"proxy_pass" if is_http => {
                headers::values(self, scope, directive);
                proxies::check(self, scope, directive);
            }
            b"fastcgi_pass" | b"grpc_pass" | b"scgi_pass" | b"uwsgi_pass" if is_http => {
                proxies::check(self, scope, directive);
            }
            b"valid_referers" if is_http => access::referers(self, directive),
            _ => {}
        }
        if is_http {
            locations::patterns(self, scope, directive);
        }
    }

    /// Reports a warning about a word of a directive.
    fn warn(&mut self, code: Code, directive: &Directive<'s>, word: usize, message: &str, help: &str) {
        let spot = directive.exact(word);
        let file = spot.file();
        if self.sources.is_surrounding(file) || self.sources.global() == Some(file) {
            return;
        }
        let source = self.sources.file(file);
        let place = source.tree.place(source.path.clone(), spot.span());
        self.findings.push(Finding::warning(code, visible(message)).at(place).help(help));
    }
}
