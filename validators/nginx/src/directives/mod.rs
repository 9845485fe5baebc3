//! The directives that nginx and the usual modules know, by version: as data, taken from their sources.
//!
//! nginx finds a directive in the tables (`ngx_command_t`) of its modules. Each entry names the contexts in which the
//! directive is allowed, how many arguments it takes and which function reads them (`ngx_conf_handler` in
//! `src/core/ngx_conf_file.c`). `directives/nginx.tsv` holds these entries for every release since 1.0.0;
//! `tools/directives.py` writes it. `third-party.tsv`, which `tools/third_party.py` writes, holds those of well-known
//! modules that come from elsewhere, as of one commit each (`third-party-modules.tsv` names it). `plus.tsv` holds those of NGINX Plus, from its documentation.

mod arity;
mod context;
mod module;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod version;

pub use arity::Arity;
pub use context::Contexts;
pub use module::{Build, Module, ParseBuildError, Presence, shared_object};
pub use value::{ArgumentType, Bounds};
pub use version::{ParseVersionError, Version};

pub(crate) use version::Range;

/// One entry of a module's table of directives, as it was in some releases of nginx.
///
/// A name may have several: modules of different kinds define the same one (`listen` in http, mail and stream), and so
/// may two modules of the same kind.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// The module that defines it.
    pub module: &'static Module,
    /// The contexts in which it is allowed.
    pub contexts: Contexts,
    /// The number of arguments, and whether a block follows.
    pub arity: Arity,
    /// The type of its arguments.
    pub value: ArgumentType,
    /// The function that checks a well-formed value once more, if any.
    pub post: Option<&'static str>,
    /// The directive that should be used instead, where nginx warns that this one is deprecated or obsolete.
    pub replaced_by: Option<&'static str>,
    ranges: Box<[Range]>,
}

impl Definition {
    /// True if nginx of this version has this entry, in a build that has the module.
    #[must_use]
    pub fn holds_in(&self, version: Version) -> bool {
        self.ranges.iter().any(|range| range.contains(version))
    }

    /// The first release that has this entry.
    #[must_use]
    pub fn since(&self) -> Version {
        self.ranges[0].since
    }

    /// The first release that no longer has it, if there is one.
    #[must_use]
    pub fn until(&self) -> Option<Version> {
        self.ranges[self.ranges.len() - 1].until
    }
}

/// Every entry of that name that holds in that version, in the order in which nginx asks its modules.
///
/// A build has only some of these modules: see [`Module::presence`].
pub fn lookup(name: &str, version: Version) -> impl Iterator<Item = &'static Definition> {
    history(name).filter(move |directive| directive.holds_in(version))
}

/// Directives that a distribution has brought to a release before the one that introduced them, each with that release:
/// Debian's security updates of 1.22.1.
const BACKPORTED: [(&str, Version); 1] = [("max_headers", Version::new(1, 22, 1))];

/// Every entry of that name that holds in that version of a build, in the order in which nginx asks its modules.
pub fn lookup_in(name: &str, version: Version, build: Build) -> impl Iterator<Item = &'static Definition> {
    let since = |(known, since): &(&str, Version)| *known == name && *since <= version;
    let backported = build == Build::Debian && BACKPORTED.iter().any(since);
    history(name).filter(move |directive| directive.holds_in(version) || backported)
}

/// Every entry of that name that ever held, by module, the oldest first.
pub fn history(name: &str) -> impl Iterator<Item = &'static Definition> {
    table::named(name).iter()
}

/// All modules that have directives, in the order in which nginx asks them: those that are loaded come last.
pub fn modules() -> impl Iterator<Item = &'static Module> {
    module::MODULES.iter()
}

/// Every entry that holds in that version, sorted by name.
pub fn all(version: Version) -> impl Iterator<Item = &'static Definition> {
    every_name().flat_map(move |name| lookup(name, version))
}

/// The names of all directives of that version, sorted, each once.
pub fn names(version: Version) -> impl Iterator<Item = &'static str> {
    every_name().filter(move |name| lookup(name, version).next().is_some())
}

/// The names of all directives of all versions, sorted, each once.
pub fn every_name() -> impl Iterator<Item = &'static str> {
    table::NAMES.iter().copied()
}
