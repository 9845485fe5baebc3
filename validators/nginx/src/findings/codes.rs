//! The codes of all findings of this crate: each is described, with an example, in `docs/findings.md`.

use reload_gate_contract::Code;

/// An absolute name in `index` that is not the last.
pub const ABSOLUTE_INDEX: Code = Code::new("absolute-index");
/// The number of CPU masks is not that of the processes.
pub const AFFINITY_MASKS: Code = Code::new("affinity-masks");
/// A directive has too many or too few arguments.
pub const ARGUMENT_COUNT: Code = Code::new("argument-count");
/// The sizes of buffers do not fit together.
pub const BUFFER_SIZES: Code = Code::new("buffer-sizes");
/// A certificate has no key.
pub const CERTIFICATE_WITHOUT_KEY: Code = Code::new("certificate-without-key");
/// Two directives say opposite things.
pub const CONFLICTING_DIRECTIVES: Code = Code::new("conflicting-directives");
/// Two servers on one address have the same name; the second is never used by it.
pub const CONFLICTING_SERVER_NAME: Code = Code::new("conflicting-server-name");
/// A directive or parameter that another one has replaced.
pub const DEPRECATED_DIRECTIVE: Code = Code::new("deprecated-directive");
/// A directive that may be set once in a block is set twice.
pub const DUPLICATE_DIRECTIVE: Code = Code::new("duplicate-directive");
/// A key occurs twice in a block such as `map`.
pub const DUPLICATE_ENTRY: Code = Code::new("duplicate-entry");
/// An address is listened on twice, or is given options twice.
pub const DUPLICATE_LISTEN: Code = Code::new("duplicate-listen");
/// A server or location has two locations of the same name.
pub const DUPLICATE_LOCATION: Code = Code::new("duplicate-location");
/// Two `log_format`s have the same name.
pub const DUPLICATE_LOG_FORMAT: Code = Code::new("duplicate-log-format");
/// A module is loaded twice.
pub const DUPLICATE_MODULE: Code = Code::new("duplicate-module");
/// A directory is used for two purposes.
pub const DUPLICATE_PATH: Code = Code::new("duplicate-path");
/// A thread pool is defined twice.
pub const DUPLICATE_THREAD_POOL: Code = Code::new("duplicate-thread-pool");
/// Two `upstream`s have the same name.
pub const DUPLICATE_UPSTREAM: Code = Code::new("duplicate-upstream");
/// A value is given twice; the second changes nothing, or replaces the first.
pub const DUPLICATE_VALUE: Code = Code::new("duplicate-value");
/// A variable that nginx itself has cannot be defined.
pub const DUPLICATE_VARIABLE: Code = Code::new("duplicate-variable");
/// A shared memory zone is defined twice.
pub const DUPLICATE_ZONE: Code = Code::new("duplicate-zone");
/// An `upstream` has no servers.
pub const EMPTY_UPSTREAM: Code = Code::new("empty-upstream");
/// A line of a block such as `map` has too many or too few words.
pub const ENTRY_PARAMETERS: Code = Code::new("entry-parameters");
/// A key is too long for the bucket size of its hash.
pub const HASH_BUCKET_SIZE: Code = Code::new("hash-bucket-size");
/// A host name that no resolver could know.
pub const HOST_NOT_FOUND: Code = Code::new("host-not-found");
/// A file includes itself, or too many files are included.
pub const INCLUDE_CYCLE: Code = Code::new("include-cycle");
/// An included file is a directory.
pub const INCLUDED_DIRECTORY: Code = Code::new("included-directory");
/// Two directives cannot be used together.
pub const INCOMPATIBLE_DIRECTIVES: Code = Code::new("incompatible-directives");
/// Two parameters cannot be used together.
pub const INCOMPATIBLE_PARAMETERS: Code = Code::new("incompatible-parameters");
/// An address that cannot be read.
pub const INVALID_ADDRESS: Code = Code::new("invalid-address");
/// Character sets that cannot be converted into each other.
pub const INVALID_CHARSET: Code = Code::new("invalid-charset");
/// The condition of an `if` that cannot be read.
pub const INVALID_CONDITION: Code = Code::new("invalid-condition");
/// A flag that is neither `on` nor `off`.
pub const INVALID_FLAG: Code = Code::new("invalid-flag");
/// An address or an option of `listen` that cannot be read.
pub const INVALID_LISTEN: Code = Code::new("invalid-listen");
/// An unknown modifier of `location`.
pub const INVALID_LOCATION: Code = Code::new("invalid-location");
/// A log cannot be buffered like this.
pub const INVALID_LOG_BUFFER: Code = Code::new("invalid-log-buffer");
/// An unknown level of `error_log`.
pub const INVALID_LOG_LEVEL: Code = Code::new("invalid-log-level");
/// A network or range of addresses that cannot be read.
pub const INVALID_NETWORK: Code = Code::new("invalid-network");
/// Something that should be a number is none.
pub const INVALID_NUMBER: Code = Code::new("invalid-number");
/// A parameter that the directive does not have, or a value of one that cannot be read.
pub const INVALID_PARAMETER: Code = Code::new("invalid-parameter");
/// A percentage that cannot be read, or too many percent together.
pub const INVALID_PERCENT: Code = Code::new("invalid-percent");
/// A referer that cannot be read.
pub const INVALID_REFERER: Code = Code::new("invalid-referer");
/// A regular expression that does not compile.
pub const INVALID_REGEX: Code = Code::new("invalid-regex");
/// A name server or parameter of `resolver` that cannot be read.
pub const INVALID_RESOLVER: Code = Code::new("invalid-resolver");
/// A status that cannot be returned.
pub const INVALID_RETURN_CODE: Code = Code::new("invalid-return-code");
/// A `rewrite` to nothing.
pub const INVALID_REWRITE: Code = Code::new("invalid-rewrite");
/// A server name that is no name and no wildcard.
pub const INVALID_SERVER_NAME: Code = Code::new("invalid-server-name");
/// Parameters of `syslog:` that cannot be read.
pub const INVALID_SYSLOG: Code = Code::new("invalid-syslog");
/// A cipher, curve, or other setting that OpenSSL does not know.
pub const INVALID_TLS_SETTING: Code = Code::new("invalid-tls-setting");
/// The host or port of an upstream cannot be read.
pub const INVALID_UPSTREAM: Code = Code::new("invalid-upstream");
/// A URL without a scheme that the directive knows.
pub const INVALID_URL_PREFIX: Code = Code::new("invalid-url-prefix");
/// A value that the directive does not take.
pub const INVALID_VALUE: Code = Code::new("invalid-value");
/// A variable name that cannot be read.
pub const INVALID_VARIABLE: Code = Code::new("invalid-variable");
/// A host name with a wildcard where none may be.
pub const INVALID_WILDCARD: Code = Code::new("invalid-wildcard");
/// A shared memory zone without a name or a readable size.
pub const INVALID_ZONE: Code = Code::new("invalid-zone");
/// A location that cannot be inside the one around it.
pub const LOCATION_NESTING: Code = Code::new("location-nesting");
/// A network with bits set beyond its mask.
pub const MEANINGLESS_BITS: Code = Code::new("meaningless-bits");
/// A balancing method replaces another one.
pub const METHOD_REDEFINED: Code = Code::new("method-redefined");
/// A directive that must come after another one.
pub const MISPLACED_DIRECTIVE: Code = Code::new("misplaced-directive");
/// A line of a block such as `geo` that must come first.
pub const MISPLACED_ENTRY: Code = Code::new("misplaced-entry");
/// A certificate, key or similar file is not there.
pub const MISSING_CERTIFICATE: Code = Code::of_absence("missing-certificate");
/// An OpenSSL engine that may not be there.
pub const MISSING_ENGINE: Code = Code::new("missing-engine");
/// A file that nginx reads is not there.
pub const MISSING_FILE: Code = Code::of_absence("missing-file");
/// An included file is not there.
pub const MISSING_INCLUDE: Code = Code::of_absence("missing-include");
/// A parameter that the directive needs.
pub const MISSING_PARAMETER: Code = Code::new("missing-parameter");
/// A `;` is missing at the end of a line.
pub const MISSING_SEMICOLON: Code = Code::new("missing-semicolon");
/// Blocks within blocks, deeper than this checker goes.
pub const NESTING_TOO_DEEP: Code = Code::new("nesting-too-deep");
/// A mail server without `auth_http`.
pub const NO_AUTH_HTTP: Code = Code::new("no-auth-http");
/// A cache without a key.
pub const NO_CACHE_KEY: Code = Code::new("no-cache-key");
/// A server that speaks TLS has no certificate.
pub const NO_CERTIFICATE: Code = Code::new("no-certificate");
/// Client certificates are verified, but there is no certificate of an authority to verify them by.
pub const NO_CLIENT_CERTIFICATE: Code = Code::new("no-client-certificate");
/// There is no block `events`.
pub const NO_EVENTS: Code = Code::new("no-events");
/// A stream server that does nothing.
pub const NO_HANDLER: Code = Code::new("no-handler");
/// A stream or mail server that listens nowhere.
pub const NO_LISTEN: Code = Code::new("no-listen");
/// A directive ends with `;` where it should have a block.
pub const NO_OPENING_BRACE: Code = Code::new("no-opening-brace");
/// A host without a port, and no `upstream` of that name.
pub const NO_PORT_IN_UPSTREAM: Code = Code::new("no-port-in-upstream");
/// An upstream with servers to `resolve`, but without a zone or a resolver.
pub const NO_RUN_TIME_RESOLUTION: Code = Code::new("no-run-time-resolution");
/// An upstream's certificate is verified, but there is no certificate of an authority to verify it by.
pub const NO_TRUSTED_CERTIFICATE: Code = Code::new("no-trusted-certificate");
/// A directive that is not allowed in this block.
pub const NOT_ALLOWED_HERE: Code = Code::new("not-allowed-here");
/// A directive has a block where it should end with `;`.
pub const NOT_TERMINATED: Code = Code::new("not-terminated");
/// A number or size beyond what the directive takes.
pub const OUT_OF_BOUNDS: Code = Code::new("out-of-bounds");
/// Ranges of a `geo` that overlap in part.
pub const OVERLAPPING_RANGE: Code = Code::new("overlapping-range");
/// A word or comment that does not fit into nginx's buffer of 4096 bytes; often a missing quote.
pub const PARAMETER_TOO_LONG: Code = Code::new("parameter-too-long");
/// `listen`s of one address differ in their protocols.
pub const PROTOCOL_OPTIONS_REDEFINED: Code = Code::new("protocol-options-redefined");
/// `root` or `alias` with a variable that depends on it.
pub const RECURSIVE_VARIABLE: Code = Code::new("recursive-variable");
/// A server name with a slash.
pub const SUSPICIOUS_SERVER_NAME: Code = Code::new("suspicious-server-name");
/// More listening sockets than connections.
pub const TOO_FEW_CONNECTIONS: Code = Code::new("too-few-connections");
/// `load_module` after a block.
pub const TOO_LATE: Code = Code::new("too-late");
/// There are so many findings that the rest was not looked for.
pub const TOO_MANY_FINDINGS: Code = Code::new("too-many-findings");
/// The file ends within a directive or a block.
pub const UNEXPECTED_END: Code = Code::new("unexpected-end");
/// A `;`, `{`, `}` or something after a quote that does not belong there.
pub const UNEXPECTED_TOKEN: Code = Code::new("unexpected-token");
/// A directive that this nginx does not know.
pub const UNKNOWN_DIRECTIVE: Code = Code::new("unknown-directive");
/// A log names a format which is not defined (before it).
pub const UNKNOWN_LOG_FORMAT: Code = Code::new("unknown-log-format");
/// An unknown directive, after an unknown module was loaded.
pub const UNKNOWN_MODULE: Code = Code::new("unknown-module");
/// A mail protocol that nginx does not know.
pub const UNKNOWN_PROTOCOL: Code = Code::new("unknown-protocol");
/// `aio` names a thread pool that is not defined.
pub const UNKNOWN_THREAD_POOL: Code = Code::new("unknown-thread-pool");
/// A variable that nothing defines.
pub const UNKNOWN_VARIABLE: Code = Code::new("unknown-variable");
/// A cache names a zone that is not defined.
pub const UNKNOWN_ZONE: Code = Code::new("unknown-zone");
/// A value that builds of nginx for Linux do not support.
pub const UNSUPPORTED: Code = Code::new("unsupported");
/// The name of an `upstream` is used with a port.
pub const UPSTREAM_WITH_PORT: Code = Code::new("upstream-with-port");
/// `proxy_pass` has a path where it cannot replace one.
pub const URI_PART_NOT_ALLOWED: Code = Code::new("uri-part-not-allowed");
/// A shared memory zone is used, but nothing defines it.
pub const ZERO_SIZE_ZONE: Code = Code::new("zero-size-zone");
/// A shared memory zone has two purposes or sizes.
pub const ZONE_CONFLICT: Code = Code::new("zone-conflict");
/// A shared memory zone is smaller than nginx can use.
pub const ZONE_TOO_SMALL: Code = Code::new("zone-too-small");

/// All of them, sorted.
pub const ALL: &[Code] = &[
    ABSOLUTE_INDEX,
    AFFINITY_MASKS,
    ARGUMENT_COUNT,
    BUFFER_SIZES,
    CERTIFICATE_WITHOUT_KEY,
    CONFLICTING_DIRECTIVES,
    CONFLICTING_SERVER_NAME,
    DEPRECATED_DIRECTIVE,
    DUPLICATE_DIRECTIVE,
    DUPLICATE_ENTRY,
    DUPLICATE_LISTEN,
    DUPLICATE_LOCATION,
    DUPLICATE_LOG_FORMAT,
    DUPLICATE_MODULE,
    DUPLICATE_PATH,
    DUPLICATE_THREAD_POOL,
    DUPLICATE_UPSTREAM,
    DUPLICATE_VALUE,
    DUPLICATE_VARIABLE,
    DUPLICATE_ZONE,
    EMPTY_UPSTREAM,
    ENTRY_PARAMETERS,
    HASH_BUCKET_SIZE,
    HOST_NOT_FOUND,
    INCLUDE_CYCLE,
    INCLUDED_DIRECTORY,
    INCOMPATIBLE_DIRECTIVES,
    INCOMPATIBLE_PARAMETERS,
    INVALID_ADDRESS,
    INVALID_CHARSET,
    INVALID_CONDITION,
    INVALID_FLAG,
    INVALID_LISTEN,
    INVALID_LOCATION,
    INVALID_LOG_BUFFER,
    INVALID_LOG_LEVEL,
    INVALID_NETWORK,
    INVALID_NUMBER,
    INVALID_PARAMETER,
    INVALID_PERCENT,
    INVALID_REFERER,
    INVALID_REGEX,
    INVALID_RESOLVER,
    INVALID_RETURN_CODE,
    INVALID_REWRITE,
    INVALID_SERVER_NAME,
    INVALID_SYSLOG,
    INVALID_TLS_SETTING,
    INVALID_UPSTREAM,
    INVALID_URL_PREFIX,
    INVALID_VALUE,
    INVALID_VARIABLE,
    INVALID_WILDCARD,
    INVALID_ZONE,
    LOCATION_NESTING,
    MEANINGLESS_BITS,
    METHOD_REDEFINED,
    MISPLACED_DIRECTIVE,
    MISPLACED_ENTRY,
    MISSING_CERTIFICATE,
    MISSING_ENGINE,
    MISSING_FILE,
    MISSING_INCLUDE,
    MISSING_PARAMETER,
    MISSING_SEMICOLON,
    NESTING_TOO_DEEP,
    NO_AUTH_HTTP,
    NO_CACHE_KEY,
    NO_CERTIFICATE,
    NO_CLIENT_CERTIFICATE,
    NO_EVENTS,
    NO_HANDLER,
    NO_LISTEN,
    NO_OPENING_BRACE,
    NO_PORT_IN_UPSTREAM,
    NO_RUN_TIME_RESOLUTION,
    NO_TRUSTED_CERTIFICATE,
    NOT_ALLOWED_HERE,
    NOT_TERMINATED,
    OUT_OF_BOUNDS,
    OVERLAPPING_RANGE,
    PARAMETER_TOO_LONG,
    PROTOCOL_OPTIONS_REDEFINED,
    RECURSIVE_VARIABLE,
    SUSPICIOUS_SERVER_NAME,
    TOO_FEW_CONNECTIONS,
    TOO_LATE,
    TOO_MANY_FINDINGS,
    UNEXPECTED_END,
    UNEXPECTED_TOKEN,
    UNKNOWN_DIRECTIVE,
    UNKNOWN_LOG_FORMAT,
    UNKNOWN_MODULE,
    UNKNOWN_PROTOCOL,
    UNKNOWN_THREAD_POOL,
    UNKNOWN_VARIABLE,
    UNKNOWN_ZONE,
    UNSUPPORTED,
    UPSTREAM_WITH_PORT,
    URI_PART_NOT_ALLOWED,
    ZERO_SIZE_ZONE,
    ZONE_CONFLICT,
    ZONE_TOO_SMALL,
];
