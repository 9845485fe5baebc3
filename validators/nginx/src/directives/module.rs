//! Modules, and the builds of nginx that have them.

use std::sync::LazyLock;

use super::table;

/// Origin of an nginx binary: builds differ in the modules they have without `load_module`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Build {
    /// The packages and images of nginx.org.
    #[default]
    NginxOrg,
    /// Debian's packages, where stream and mail need `load_module`.
    Debian,
}

/// Presence of a module in a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It is part of the program.
    Static,
    /// It is there after `load_module` of the shared object of this name (without directory and `.so`).
    Dynamic(&'static str),
    /// It is missing.
    Absent,
}

/// A module of nginx, or a well-known third-party one.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// The name of its `ngx_module_t`, such as `ngx_http_proxy_module`.
    pub name: &'static str,
    own: bool,
    debian: Presence,
    nginx_org: Presence,
}

impl Module {
    /// True if the module comes with nginx itself.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }

    /// Its presence in a build.
    #[must_use]
    pub const fn presence(&self, build: Build) -> Presence {
        match build {
            Build::Debian => self.debian,
            Build::NginxOrg => self.nginx_org,
        }
    }
}

/// The name of the shared object that a path given to `load_module` means: without directory and `.so`.
#[must_use]
pub fn shared_object(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.strip_suffix(".so").unwrap_or(file)
}

/// All modules, in the order in which nginx asks them for a directive: those that are loaded come last.
pub(super) static MODULES: LazyLock<Vec<Module>> = LazyLock::new(|| {
    let presence = |word| match word {
        "static" => Presence::Static,
        "absent" => Presence::Absent,
        shared_object => Presence::Dynamic(shared_object),
    };
    let own = table::records(include_str!("modules.tsv")).map(|[name, debian, nginx_org]| Module {
        name,
        own: true,
        debian: presence(debian),
        nginx_org: presence(nginx_org),
    });
    let third_party = table::records(include_str!("third-party-modules.tsv")).map(|[name, shared_object, _source]| {
        let loaded = Presence::Dynamic(shared_object);
        Module { name, own: false, debian: loaded, nginx_org: loaded }
    });
    own.chain(third_party).collect()
});
