//! The codes of the hygiene findings: each is described, with a bad and a good example, in `docs/findings-nginx-hygiene.md`.

use reload_gate_contract::Code;

/// `allow` without a `deny` restricts nothing.
pub const ALLOW_WITHOUT_DENY: Code = Code::new("allow-without-deny");
/// `alias` of a directory in a location that does not end in a slash.
pub const ALIAS_TRAVERSAL: Code = Code::new("alias-traversal");
/// Credentials are allowed for any origin.
pub const CREDENTIALS_FOR_ANY_ORIGIN: Code = Code::new("credentials-for-any-origin");
/// `error_log off` writes a file of that name.
pub const ERROR_LOG_OFF: Code = Code::new("error-log-off");
/// A header has a value that may hold a line feed.
pub const HEADER_SPLITTING: Code = Code::new("header-splitting");
/// The upstream gets the host as the client wrote it.
pub const HOST_SPOOFING: Code = Code::new("host-spoofing");
/// `if` in a location with a directive that it does not work with.
pub const IF_IN_LOCATION: Code = Code::new("if-in-location");
/// The version that runs has a published vulnerability in a feature that is in use.
pub const KNOWN_VULNERABILITY: Code = Code::new("known-vulnerability");
/// `add_header` in a block drops the security headers of the blocks around it.
pub const LOST_HEADERS: Code = Code::new("lost-headers");
/// A host name in a variable, and no resolver.
pub const NO_RESOLVER: Code = Code::new("no-resolver");
/// A client chooses the host that a request is handed on to.
pub const OPEN_PROXY: Code = Code::new("open-proxy");
/// `valid_referers none` accepts requests without the header.
pub const REFERER_NONE: Code = Code::new("referer-none");
/// `return` comes before the access rules beside it.
pub const RETURN_BEFORE_ACCESS: Code = Code::new("return-before-access");
/// A regular expression that may take exponential time.
pub const SLOW_REGEX: Code = Code::new("slow-regex");
/// A limit of descriptors below the number of connections.
pub const TOO_FEW_DESCRIPTORS: Code = Code::new("too-few-descriptors");
/// A pattern of origins or referers that fits hosts of others.
pub const UNANCHORED_ORIGIN: Code = Code::new("unanchored-origin");
/// A pattern of file names that fits other names, too.
pub const UNANCHORED_REGEX: Code = Code::new("unanchored-regex");
/// The version is shown to clients.
pub const VERSION_DISCLOSURE: Code = Code::new("version-disclosure");
/// Ciphers that are broken.
pub const WEAK_CIPHERS: Code = Code::new("weak-ciphers");
/// Versions of TLS that are deprecated.
pub const WEAK_PROTOCOLS: Code = Code::new("weak-protocols");

/// All codes, sorted by name.
pub const ALL: [Code; 20] = [
    ALIAS_TRAVERSAL,
    ALLOW_WITHOUT_DENY,
    CREDENTIALS_FOR_ANY_ORIGIN,
    ERROR_LOG_OFF,
    HEADER_SPLITTING,
    HOST_SPOOFING,
    IF_IN_LOCATION,
    KNOWN_VULNERABILITY,
    LOST_HEADERS,
    NO_RESOLVER,
    OPEN_PROXY,
    REFERER_NONE,
    RETURN_BEFORE_ACCESS,
    SLOW_REGEX,
    TOO_FEW_DESCRIPTORS,
    UNANCHORED_ORIGIN,
    UNANCHORED_REGEX,
    VERSION_DISCLOSURE,
    WEAK_CIPHERS,
    WEAK_PROTOCOLS,
];
