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
mod names;
mod pattern;
mod process;
mod proxies;
mod scopes;
mod tls;
mod variables;

use std::cell::{OnceCell, RefCell};

use foldhash::{HashMap, HashMapExt as _, HashSet};
use reload_gate_contract::{Code, Finding, Findings, visible};

use crate::Options;
use crate::findings::codes::TOO_MANY_FINDINGS;
use crate::model::directive::Directive;
use crate::model::sources::Sources;

use inherited::Inherited;
use names::KnownName;
use scopes::{BlockProtocol, Scopes};
use variables::VariableOrigins;

/// Limit of findings.
const FINDINGS: usize = 1_000;

/// Judges the hygiene of a configuration that begins with `main`.
pub(crate) fn check(main: &str, sources: &Sources<'_>, options: &Options) -> Vec<Finding> {
    let (scopes, directives) = Scopes::of(main, sources);
    let scopes = scopes.with(&directives);
    let origins = VariableOrigins::of(&scopes);
    let facts = Inherited::of(&scopes);
    let (findings, slow) = (Findings::new(FINDINGS), HashMap::new());
    let (catch_all, resolved) = (RefCell::default(), OnceCell::new());
    let mut hygiene = Hygiene { sources, options, scopes, origins, facts, findings, slow, catch_all, resolved };
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
    /// The names that nginx resolves at its start, once a rule has asked for one.
    resolved: OnceCell<HashSet<Vec<u8>>>,
}

impl<'s> Hygiene<'s> {
    /// Applies the rules to a block.
    fn scope(&mut self, scope: usize) {
        let is_http = self.scopes.all[scope].protocol == BlockProtocol::Http;
        if is_http {
            access::check(self, scope);
            headers::check(self, scope);
            locations::check(self, scope);
        }
        // Each line of a `map` may be a pattern.
        let is_map = self.scopes.all[scope].name == KnownName::Map;
        for node in self.scopes.all[scope].nodes().filter(|node| is_map || node.name != KnownName::Other) {
            let directive = self.scopes.all[scope].directive_of(node).filter(|directive| directive.count() > 0);
            let Some(directive) = directive else { continue };
            self.directive(scope, node.name, &directive);
            if is_http {
                locations::patterns(self, is_map, node.name, &directive);
            }
        }
    }

    fn directive(&mut self, scope: usize, name: KnownName, directive: &Directive<'s>) {
        use KnownName as Name;
        let is_http = self.scopes.all[scope].protocol == BlockProtocol::Http;
        match name {
            Name::ErrorLog => process::error_log(self, directive),
            Name::WorkerRlimitNofile => process::descriptors(self, scope, directive),
            Name::SslProtocols => tls::protocols(self, directive),
            Name::SslCiphers => tls::ciphers(self, directive),
            Name::ServerTokens if is_http => process::server_tokens(self, directive),
            Name::Return | Name::Rewrite | Name::AddHeader | Name::ProxySetHeader | Name::GrpcSetHeader if is_http => {
                headers::values(self, scope, name, directive);
            }
            Name::ProxyPass if is_http => {
                headers::values(self, scope, name, directive);
                proxies::check(self, scope, directive);
            }
            Name::FastcgiPass | Name::GrpcPass | Name::ScgiPass | Name::UwsgiPass if is_http => {
                proxies::check(self, scope, directive);
            }
            Name::ValidReferers if is_http => access::referers(self, directive),
            _ => {}
        }
    }

    /// Names of upstreams, and hosts that nginx resolves at its start, in lower case.
    fn resolved_names(&self) -> &HashSet<Vec<u8>> {
        self.resolved.get_or_init(|| inherited::resolved_names(&self.scopes))
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
