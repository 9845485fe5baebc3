//! Modules, and the builds of nginx that have them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
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
    /// OpenResty, which has Lua and its other modules built in.
    OpenResty,
    /// NGINX Plus, which has directives of its own; their values are not judged.
    Plus,
}

impl Build {
    /// All builds.
    pub const ALL: [Self; 4] = [Self::NginxOrg, Self::Debian, Self::OpenResty, Self::Plus];

    /// `nginx.org`, `debian`, `openresty` or `plus`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NginxOrg => "nginx.org",
            Self::Debian => "debian",
            Self::OpenResty => "openresty",
            Self::Plus => "plus",
        }
    }

    /// True if modules that bring variables of their own are built in.
    pub(crate) const fn has_foreign_modules(self) -> bool {
        matches!(self, Self::OpenResty | Self::Plus)
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is no name of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseBuildError;

impl fmt::Display for ParseBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a build of nginx is one of: nginx.org, debian, openresty, plus")
    }
}

impl std::error::Error for ParseBuildError {}

impl FromStr for Build {
    type Err = ParseBuildError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|build| build.as_str() == text).ok_or(ParseBuildError)
    }
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
    origin: Origin,
    debian: Presence,
    nginx_org: Presence,
}

/// Origin of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Nginx,
    ThirdParty { bundled_with_openresty: bool },
    Plus,
}

impl Module {
    /// True if the module comes with nginx itself.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self.origin, Origin::Nginx)
    }

    /// True if only NGINX Plus has the module.
    #[must_use]
    pub const fn is_of_plus(&self) -> bool {
        matches!(self.origin, Origin::Plus)
    }

    /// Its presence in a build.
    #[must_use]
    pub const fn presence(&self, build: Build) -> Presence {
        match (build, self.origin) {
            (Build::OpenResty, Origin::ThirdParty { bundled_with_openresty: true }) | (Build::Plus, Origin::Plus) => {
                Presence::Static
            }
            (Build::Debian, _) => self.debian,
            (Build::NginxOrg | Build::OpenResty | Build::Plus, _) => self.nginx_org,
        }
    }
}

/// The name of the shared object that a path given to `load_module` means: without directory and `.so`.
#[must_use]
pub fn shared_object(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.strip_suffix(".so").unwrap_or(file)
}

/// Where the modules that OpenResty has built in are developed (<https://openresty.org/en/components.html>).
const OPENRESTY: [&str; 4] = [
    "github.com/openresty/",
    "github.com/calio/form-input-nginx-module/",
    "github.com/FRiCKLE/ngx_coolkit/",
    "github.com/vision5/ngx_devel_kit/",
];

/// All modules, in the order in which nginx asks them for a directive: those that are loaded come last.
pub(super) static MODULES: LazyLock<Vec<Module>> = LazyLock::new(|| {
    let presence = |word| match word {
        "static" => Presence::Static,
        "absent" => Presence::Absent,
        shared_object => Presence::Dynamic(shared_object),
    };
    let own = table::records(include_str!("modules.tsv")).map(|[name, debian, nginx_org]| Module {
        name,
        origin: Origin::Nginx,
        debian: presence(debian),
        nginx_org: presence(nginx_org),
    });
    let third_party = table::records(include_str!("third-party-modules.tsv")).map(|[name, shared_object, source]| {
        let loaded = Presence::Dynamic(shared_object);
        let bundled_with_openresty = OPENRESTY.iter().any(|owner| source.contains(owner));
        Module { name, origin: Origin::ThirdParty { bundled_with_openresty }, debian: loaded, nginx_org: loaded }
    });
    let plus: BTreeSet<_> = table::records::<7>(include_str!("plus.tsv")).map(|[_, module, ..]| module).collect();
    let plus = plus.into_iter().map(|name| Module {
        name,
        origin: Origin::Plus,
        debian: Presence::Absent,
        nginx_org: Presence::Absent,
    });
    own.chain(third_party).chain(plus).collect()
});
