//! Directives outside `http`, `stream` and `mail`: `src/core/nginx.c`, `src/event/ngx_event.c`,
//! `src/core/ngx_thread_pool.c`; and the checks that come when everything is read, `ngx_init_cycle()`.

use std::collections::{HashMap, HashSet};

use crate::Options;
use crate::checker::Checker;
use crate::directives::{self, Build, Contexts, Module, Presence, Version, shared_object};
use crate::findings::codes;
use crate::findings::problem::{Outcome, Problem, Spot};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;
use crate::values::url::{self, Cidr};

/// What is set outside of all blocks.
pub(crate) struct MainConf<'s> {
    /// A module was loaded that nobody here knows: it may bring along any directive.
    pub(crate) unknown_module: bool,
    /// A module of somebody else was loaded: it may bring along variables.
    pub(crate) foreign_module: bool,
    pub(crate) thread_pools: ThreadPools,
    /// `worker_connections`, and where it is set.
    connections: Option<(i64, Directive<'s>)>,
    loaded: HashSet<String>,
    any_module: bool,
    has_events: bool,
    /// A block was opened, after which no module may be loaded.
    modules_used: bool,
    build: Build,
}

/// The pools of threads, in the order in which they were first named.
#[derive(Default)]
pub(crate) struct ThreadPools {
    all: Vec<ThreadPool>,
    by_name: HashMap<Vec<u8>, usize>,
}

/// A pool of threads, named by `thread_pool` or by `aio`.
struct ThreadPool {
    name: Vec<u8>,
    defined: bool,
    spot: Spot,
}

impl MainConf<'_> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            unknown_module: false,
            any_module: false,
            foreign_module: options.modules.iter().any(|module| !OWN_OBJECTS.contains(&shared_object(module))),
            thread_pools: ThreadPools::default(),
            connections: None,
            loaded: options.modules.iter().map(|module| shared_object(module).to_owned()).collect(),
            has_events: false,
            modules_used: false,
            build: options.build,
        }
    }

    /// Whether a module is there: built in, or loaded.
    pub(crate) fn has_module(&self, module: &Module) -> bool {
        match module.presence(self.build) {
            Presence::Static => true,
            Presence::Dynamic(object) => self.any_module || self.loaded.contains(object),
            Presence::Absent => false,
        }
    }

    /// A file that nobody could read may load modules: from now on any may be there.
    pub(crate) fn expect_any_module(&mut self) {
        self.any_module = true;
        self.unknown_module = true;
        self.foreign_module = true;
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

/// Whether somebody knows what is in a shared object.
fn is_known_object(object: &str) -> bool {
    let holds = |module: &Module, build| matches!(module.presence(build), Presence::Dynamic(name) if name == object);
    directives::modules().any(|module| holds(module, Build::Debian) || holds(module, Build::NginxOrg))
}

pub(crate) fn load_module<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
    if checker.main.modules_used {
        return directive.refuse_directive(0, codes::TOO_LATE, "is specified too late");
    }
    let path = directive.text(1);
    let object = shared_object(&path);
    if checker.main.loaded.contains(object) {
        return directive.refuse(1, codes::DUPLICATE_MODULE, format!("module \"{object}\" is already loaded"));
    }
    checker.main.foreign_module |= !OWN_OBJECTS.contains(&object);
    if !is_known_object(object) {
        checker.main.unknown_module = true;
    }
    checker.main.loaded.insert(object.to_owned());
    checker.forget_rows();
    Ok(())
}

pub(crate) fn user<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)
}

pub(crate) fn worker_processes<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)?;
    if numbers::c_string(directive.word(1)) == b"auto" || numbers::number(directive.word(1)).is_some() {
        return Ok(());
    }
    directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value")
}

pub(crate) fn worker_priority<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    let given = directive.word(1);
    let digits = given.strip_prefix(b"-").or_else(|| given.strip_prefix(b"+")).unwrap_or(given);
    // A priority of 0 is as good as none, and may be set again.
    if checker.blocks[block].has(directive.known) || numbers::number(digits) != Some(0) {
        checker.once(directive, block)?;
    }
    match numbers::number(digits) {
        Some(_) => Ok(()),
        None => directive.refuse_directive(1, codes::INVALID_NUMBER, "invalid number"),
    }
}

pub(crate) fn worker_cpu_affinity<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    /// `CPU_SETSIZE` of glibc.
    const CPUS: usize = 1024;
    checker.once(directive, block)?;
    let auto = numbers::c_string(directive.word(1)) == b"auto";
    if auto && directive.count() > 2 {
        let message = "invalid number of arguments in \"worker_cpu_affinity\" directive";
        return directive.refuse(0, codes::ARGUMENT_COUNT, message);
    }
    for (at, mask) in directive.arguments().skip(usize::from(auto)) {
        if mask.len() > CPUS {
            let message = format!("\"worker_cpu_affinity\" supports up to {CPUS} CPUs only");
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
        if let Some(byte) = mask.iter().rev().find(|byte| !matches!(byte, b' ' | b'0' | b'1')) {
            let byte = String::from_utf8_lossy(std::slice::from_ref(byte)).into_owned();
            let message = format!("invalid character \"{byte}\" in \"worker_cpu_affinity\"");
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
    }
    Ok(())
}

pub(crate) fn thread_pool<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
    let index = use_thread_pool(checker, directive, 1, directive.word(1));
    if checker.main.thread_pools.all[index].defined {
        let message = format!("duplicate thread pool \"{}\"", directive.text(1));
        return directive.refuse(1, codes::DUPLICATE_THREAD_POOL, message);
    }
    let mut threads = None;
    for (at, argument) in directive.arguments().skip(1) {
        if let Some(number) = argument.strip_prefix(b"threads=") {
            threads = numbers::number(number).filter(|threads| *threads != 0);
            if threads.is_none() {
                let message = format!("invalid threads value \"{}\"", directive.text(at));
                return directive.refuse(at, codes::INVALID_PARAMETER, message);
            }
        } else if argument.strip_prefix(b"max_queue=").is_some_and(|number| numbers::number(number).is_none()) {
            let message = format!("invalid max_queue value \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    if threads.is_none() {
        let message = "\"thread_pool\" must have \"threads\" parameter";
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    }
    checker.main.thread_pools.all[index].defined = true;
    Ok(())
}

/// Names a pool of threads, which must be defined somewhere: `ngx_thread_pool_add()`.
pub(crate) fn use_thread_pool(checker: &mut Checker<'_>, directive: &Directive<'_>, at: usize, name: &[u8]) -> usize {
    let pools = &mut checker.main.thread_pools;
    *pools.by_name.entry(name.to_vec()).or_insert_with(|| {
        pools.all.push(ThreadPool { name: name.to_vec(), defined: false, spot: directive.spot(at) });
        pools.all.len() - 1
    })
}

pub(crate) fn include<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.include_here(directive, block)
}

pub(crate) fn ssl_engine<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)?;
    let message = format!("ENGINE_by_id(\"{}\") failed", directive.text(1));
    Err(Box::new(Problem::environment(codes::MISSING_ENGINE, message, directive.spot(1))))
}

pub(crate) fn events<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)?;
    checker.main.modules_used = true;
    checker.main.has_events = true;
    let inner = checker.open(Contexts::EVENTS, block);
    checker.body(directive, inner);
    Ok(())
}

/// Opens `http`, `stream` or `mail`.
pub(crate) fn open_protocol<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
    context: Contexts,
) -> Outcome<BlockId> {
    checker.once(directive, block)?;
    checker.main.modules_used = true;
    Ok(checker.open(context, block))
}

pub(crate) fn worker_connections<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)?;
    let Some(number) = numbers::number(directive.word(1)) else {
        let message = format!("invalid number \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_NUMBER, message);
    };
    checker.main.connections = Some((number, *directive));
    Ok(())
}

/// The event methods of a build for Linux: `poll` and `select` are left out where `epoll` is there.
pub(crate) fn event_use<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)?;
    if directive.word(1) == b"epoll" {
        return Ok(());
    }
    let problem = directive.problem(1, codes::INVALID_VALUE, format!("invalid event type \"{}\"", directive.text(1)));
    Err(Box::new(problem.help("on Linux it is `epoll`, which is the default")))
}

pub(crate) fn debug_connection<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
    if checker.options.build == Build::NginxOrg {
        let message =
            "\"debug_connection\" is ignored, you need to rebuild nginx using --with-debug option to enable it";
        checker.warn(*directive.problem(0, codes::UNSUPPORTED, message));
        return Ok(());
    }
    network_or_host(checker, directive, "debug_connection")
}

/// A network, `unix:`, or a host: as `set_real_ip_from` takes it.
pub(crate) fn network_or_host<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, name: &str) -> Outcome {
    let given = directive.word(1);
    if given == b"unix:" {
        return Ok(());
    }
    match url::cidr(given) {
        Cidr::Exact(_) => Ok(()),
        Cidr::LowBits(_) => {
            low_bits(checker, directive, 1);
            Ok(())
        }
        Cidr::Invalid if url::plausible(given) || url::ipv4(given).is_some() => Ok(()),
        Cidr::Invalid => {
            let message = format!("host not found in {name} \"{}\"", directive.text(1));
            directive.refuse(1, codes::HOST_NOT_FOUND, message)
        }
    }
}

/// Warns of a network with bits set beyond its mask.
pub(crate) fn low_bits<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, at: usize) {
    let message = format!("low address bits of {} are meaningless", directive.text(at));
    checker.warn(*directive.problem(at, codes::MEANINGLESS_BITS, message));
}

impl Checker<'_> {
    /// The checks which nginx makes when all is read, in its order.
    pub(crate) fn finish(&mut self) {
        let outcome = self.init_events().and_then(|()| self.init_thread_pools()).and_then(|()| self.init_zones());
        self.take(outcome);
    }

    fn end_of_main(&self) -> Spot {
        let end = self.sources.file(0).tree.text().len();
        Spot { file: 0, span: reload_gate_contract::Span { start: end, end } }
    }

    fn init_events(&self) -> Outcome {
        /// The first release that compares them.
        const COUNTS_SOCKETS: Version = Version::new(1, 15, 2);
        /// What nginx takes where `worker_connections` is not set.
        const CONNECTIONS: i64 = 512;
        if !self.main.has_events {
            let problem =
                Problem::error(codes::NO_EVENTS, "no \"events\" section in configuration", self.end_of_main());
            return Err(Box::new(problem.help("add `events {}`")));
        }
        let connections = self.main.connections.as_ref();
        let (number, spot) =
            connections.map_or((CONNECTIONS, self.end_of_main()), |(number, set)| (*number, set.spot(1)));
        let sockets = self.listening_sockets();
        if self.options.version >= COUNTS_SOCKETS
            && number < i64::try_from(sockets).unwrap_or(i64::MAX).saturating_add(1)
        {
            let message = format!("{number} worker_connections are not enough for {sockets} listening sockets");
            return Err(Box::new(Problem::error(codes::TOO_FEW_CONNECTIONS, message, spot)));
        }
        Ok(())
    }

    fn init_thread_pools(&self) -> Outcome {
        let undefined = |pool: &&ThreadPool| !pool.defined && pool.name != b"default";
        match self.main.thread_pools.all.iter().find(undefined) {
            Some(pool) => {
                let message = format!("unknown thread pool \"{}\"", String::from_utf8_lossy(&pool.name));
                Err(Box::new(Problem::error(codes::UNKNOWN_THREAD_POOL, message, pool.spot)))
            }
            _ => Ok(()),
        }
    }

    fn init_zones(&self) -> Outcome {
        match self.zones.empty().next() {
            Some(zone) => {
                let message = format!("zero size shared memory zone \"{}\"", String::from_utf8_lossy(&zone.name));
                let problem = Problem::error(codes::ZERO_SIZE_ZONE, message, zone.spot);
                Err(Box::new(problem.help("no directive gives this zone a size, so it does not exist")))
            }
            _ => Ok(()),
        }
    }

    fn listening_sockets(&self) -> usize {
        self.http.listening() + self.stream.listening() + self.mail.listening()
    }
}
