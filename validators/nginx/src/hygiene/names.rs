//! The directives that the rules know, by their names.

/// Defines [`KnownName`].
macro_rules! known_names {
    ($($variant:ident = $name:literal,)*) => {
        /// The name of a directive, as far as a rule knows it: a name is read once, and asked for by many rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum KnownName {
            $($variant,)*
            /// Any other name, or none.
            Other,
        }

        impl KnownName {
            pub(super) fn of(name: &[u8]) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

known_names! {
    AddHeader = b"add_header",
    AddHeaderInherit = b"add_header_inherit",
    Alias = b"alias",
    Allow = b"allow",
    AuthBasic = b"auth_basic",
    AuthRequest = b"auth_request",
    Break = b"break",
    CharsetMap = b"charset_map",
    DavMethods = b"dav_methods",
    Default = b"default",
    Deny = b"deny",
    ErrorLog = b"error_log",
    Events = b"events",
    FastcgiPass = b"fastcgi_pass",
    Geo = b"geo",
    GrpcPass = b"grpc_pass",
    GrpcSetHeader = b"grpc_set_header",
    Http = b"http",
    Http2 = b"http2",
    If = b"if",
    ImapAuth = b"imap_auth",
    Internal = b"internal",
    Listen = b"listen",
    Location = b"location",
    Mail = b"mail",
    Map = b"map",
    Mp4 = b"mp4",
    Pop3Auth = b"pop3_auth",
    Protocol = b"protocol",
    ProxyBuffering = b"proxy_buffering",
    ProxyHttpVersion = b"proxy_http_version",
    ProxyPass = b"proxy_pass",
    ProxySetHeader = b"proxy_set_header",
    Resolver = b"resolver",
    Return = b"return",
    Rewrite = b"rewrite",
    RewriteLog = b"rewrite_log",
    Satisfy = b"satisfy",
    ScgiPass = b"scgi_pass",
    Server = b"server",
    ServerName = b"server_name",
    ServerTokens = b"server_tokens",
    Set = b"set",
    Slice = b"slice",
    SmtpAuth = b"smtp_auth",
    SourceCharset = b"source_charset",
    SslCiphers = b"ssl_ciphers",
    SslOcsp = b"ssl_ocsp",
    SslProtocols = b"ssl_protocols",
    SslVerifyClient = b"ssl_verify_client",
    Ssi = b"ssi",
    Stream = b"stream",
    TryFiles = b"try_files",
    Upstream = b"upstream",
    UwsgiPass = b"uwsgi_pass",
    ValidReferers = b"valid_referers",
    WorkerConnections = b"worker_connections",
    WorkerRlimitNofile = b"worker_rlimit_nofile",
}

/// A set of names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameSet(u64);

// Each name has a bit of its own.
const _: () = assert!((KnownName::Other as u32) < u64::BITS);

impl NameSet {
    pub(super) fn add(&mut self, name: KnownName) {
        self.0 |= 1 << name as u32;
    }

    pub(super) fn has(self, name: KnownName) -> bool {
        self.0 & (1 << name as u32) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_names_that_were_added() {
        let mut names = NameSet::default();
        [&b"alias"[..], b"worker_rlimit_nofile", b"no_such"]
            .map(KnownName::of)
            .into_iter()
            .for_each(|name| names.add(name));
        assert!(names.has(KnownName::Alias) && names.has(KnownName::WorkerRlimitNofile) && names.has(KnownName::Other));
        assert!(!names.has(KnownName::Allow) && !names.has(KnownName::AddHeader));
    }
}
