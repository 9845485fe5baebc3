//! The settings outside of all blocks.

use std::collections::{HashMap, HashSet};

use crate::Options;
use crate::directives::{self, Build, Module, Presence, shared_object};
use crate::findings::problem::SourceSpan;
use crate::model::directive::Directive;

/// State outside of all blocks.
pub(crate) struct MainConf<'s> {
    /// An unknown module was loaded: it may bring along any directive.
    pub(crate) unknown_module: bool,
    /// A third-party module was loaded: it may bring along variables.
    pub(crate) foreign_module: bool,
    pub(crate) thread_pools: ThreadPools,
    /// `worker_connections`, and where it is set.
    pub(crate) connections: Option<(i64, Directive<'s>)>,
    /// `worker_cpu_affinity` with masks.
    pub(crate) affinity: Option<Directive<'s>>,
    pub(crate) loaded: HashSet<String>,
    any_module: bool,
    pub(crate) has_events: bool,
    /// A block was opened, after which no module may be loaded.
    pub(crate) modules_used: bool,
    build: Build,
}

/// The pools of threads, in the order in which they were first named.
#[derive(Default)]
pub(crate) struct ThreadPools {
    pub(crate) all: Vec<ThreadPool>,
    pub(crate) by_name: HashMap<Vec<u8>, usize>,
}

/// A pool of threads, named by `thread_pool` or by `aio`.
pub(crate) struct ThreadPool {
    pub(crate) name: Vec<u8>,
    pub(crate) defined: bool,
    pub(crate) spot: SourceSpan,
}

impl MainConf<'_> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            unknown_module: false,
            any_module: false,
            foreign_module: options.build.has_foreign_modules()
                || options.modules.iter().any(|module| brings_variables(shared_object(module))),
            thread_pools: ThreadPools::default(),
            connections: None,
            affinity: None,
            loaded: options.modules.iter().map(|module| shared_object(module).to_owned()).collect(),
            has_events: false,
            modules_used: false,
            build: options.build,
        }
    }

    /// True if a module is built in or loaded.
    pub(crate) fn has_module(&self, module: &Module) -> bool {
        match module.presence(self.build) {
            Presence::Static => true,
            Presence::Dynamic(object) => self.any_module || self.loaded.contains(object),
            Presence::Absent => false,
        }
    }

    /// Expects any module from now on, because a file that could not be read may load them.
    pub(crate) fn expect_any_module(&mut self) {
        self.any_module = true;
        self.foreign_module = true;
        self.unknown_module = true;
    }
}

/// The shared objects of nginx itself.
const OWN_OBJECTS: [&str; 7] = [
    "ngx_http_geoip_module",
    "ngx_http_image_filter_module",
    "ngx_http_perl_module",
    "ngx_http_xslt_filter_module",
    "ngx_mail_module",
    "ngx_stream_geoip_module",
    "ngx_stream_module",
];

/// The shared objects of third-party modules that bring along no variables but those which their directives define.
const WITHOUT_VARIABLES: [&str; 8] = [
    "ndk_http_module",
    "ngx_http_dav_ext_module",
    "ngx_http_fancyindex_module",
    "ngx_http_headers_more_filter_module",
    "ngx_http_lua_module",
    "ngx_http_set_misc_module",
    "ngx_http_subs_filter_module",
    "ngx_stream_lua_module",
];

/// True if a shared object may bring along variables that are not known here.
pub(crate) fn brings_variables(object: &str) -> bool {
    !OWN_OBJECTS.contains(&object) && !WITHOUT_VARIABLES.contains(&object)
}

/// True if the modules of a shared object are known.
pub(crate) fn is_known_object(object: &str) -> bool {
    let holds = |module: &Module, build| matches!(module.presence(build), Presence::Dynamic(name) if name == object);
    directives::modules().any(|module| holds(module, Build::Debian) || holds(module, Build::NginxOrg))
}
