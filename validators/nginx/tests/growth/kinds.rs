//! Configurations with many times the same thing in them, right or wrong: no work may grow faster than their size.

/// The files of a configuration by their names in its directory; the first is the main file.
pub(crate) type GrowingFiles = Vec<(String, String)>;

/// A kind of configuration, made with that many of its things in the directory of that path.
pub(crate) struct GrowthKind {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&str, usize) -> GrowingFiles,
}

fn main_file(text: String) -> GrowingFiles {
    vec![("nginx.conf".to_owned(), text)]
}

fn repeated(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// Lines of `events` and `http` of a main file that nginx can read without any privilege.
fn in_http(directory: &str, text: &str) -> GrowingFiles {
    main_file(format!(
        "pid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\nserver_names_hash_max_size 4194304;\n\
         server_names_hash_bucket_size 256;\nvariables_hash_max_size 4194304;\nmap_hash_max_size 4194304;\nmap_hash_bucket_size 256;\n{text}}}\n"
    ))
}

fn in_server(directory: &str, text: &str) -> GrowingFiles {
    in_http(directory, &format!("server {{\nlisten 127.0.0.1:8080;\n{text}}}\n"))
}

/// Repeats a line with its number in `http`.
macro_rules! http {
    ($name:literal, $line:expr) => {
        GrowthKind { name: $name, make: |directory, count| in_http(directory, &repeated(count, $line)) }
    };
}

/// Repeats a line with its number in a `server`.
macro_rules! server {
    ($name:literal, $line:expr) => {
        GrowthKind { name: $name, make: |directory, count| in_server(directory, &repeated(count, $line)) }
    };
}

/// Repeats a line with its number in a block of `http`.
macro_rules! block {
    ($name:literal, $block:literal, $line:expr) => {
        GrowthKind {
            name: $name,
            make: |directory, count| {
                in_http(directory, &format!(concat!($block, " {{\n{}}}\n"), repeated(count, $line)))
            },
        }
    };
}

/// Puts a text between others in a `server`.
macro_rules! word {
    ($name:literal, $before:literal, $piece:literal, $after:literal) => {
        GrowthKind {
            name: $name,
            make: |directory, count| in_server(directory, &format!("{}{}{}", $before, $piece.repeat(count), $after)),
        }
    };
}

/// All kinds; the first are right.
pub(crate) const KINDS: &[GrowthKind] = &[
    http!("servers", |n| format!("server {{ listen 127.0.0.1:8080; server_name s{n}.example.com; }}\n")),
    http!("upstreams", |n| format!("upstream u{n} {{ server 127.0.0.1:8080; }}\n")),
    http!("maps", |n| format!("map $uri $m{n} {{ default 0; }}\n")),
    http!("log formats", |n| format!("log_format f{n} '$remote_addr {n}';\n")),
    http!("zones", |n| format!("limit_conn_zone $uri zone=z{n}:32k;\n")),
    block!("entries of a map", "map $uri $m", |n| format!("/path/{n} value{n};\n")),
    block!("patterns of a map", "map $uri $m", |n| format!("~^/path/{n}/(.*)$ value{n};\n")),
    block!("entries of a geo", "geo $g", |n| format!("10.{}.{}.{}/32 v{n};\n", n >> 16 & 255, n >> 8 & 255, n & 255)),
    block!("servers of an upstream", "upstream u", |n| format!("server 127.0.0.1:{};\n", 1_024 + n % 60_000)),
    server!("locations", |n| format!("location /path/{n}/ {{ root /srv/{n}; }}\n")),
    server!("locations with a pattern", |n| format!("location ~ ^/path/{n}/(.*)$ {{ return 301 /new/$1; }}\n")),
    server!("locations with a rewrite", |n| format!("location /path/{n}/ {{ rewrite ^/(.*)$ /new/$1 break; }}\n")),
    server!("proxies", |n| format!(
        "location /p{n}/ {{ proxy_pass http://127.0.0.1:80/; proxy_set_header Host $host; }}\n"
    )),
    server!("proxies by a variable", |n| {
        format!("location ~ ^/p{n}/(.*)$ {{ resolver 127.0.0.1; proxy_pass http://$host/$1; }}\n")
    }),
    server!("headers", |n| format!("add_header X-Header-{n} \"value {n}\";\n")),
    server!("conditions", |n| format!("if ($uri = /{n}) {{ return 404; }}\n")),
    server!("rewrites", |n| format!("rewrite ^/old{n}/(.*)$ /new{n}/$1 last;\n")),
    server!("variables", |n| format!("set $v{n} \"$uri {n}\";\n")),
    server!("variables from each other", |n| format!("set $v{} \"${{v{n}}}x\";\n", n + 1).replace("${v0}", "$uri")),
    server!("comments", |n| format!("# comment {n}\n")),
    server!("empty lines", |_| "\n".to_owned()),
    GrowthKind {
        name: "names of a server",
        make: |directory, count| {
            let names = repeated(count, |n| format!(" s{n}.example.com"));
            in_server(directory, &format!("server_name{names};\n"))
        },
    },
    GrowthKind {
        name: "includes",
        make: |directory, count| {
            let mut files = in_http(directory, &format!("include {directory}/part*.conf;\n"));
            let part =
                |n| (format!("part{n}.conf"), format!("server {{ listen 127.0.0.1:8080; server_name s{n}; }}\n"));
            files.extend((0..count / 10).map(part));
            files
        },
    },
    GrowthKind {
        name: "one line",
        make: |directory, count| {
            in_server(directory, &repeated(count, |n| format!("location /path/{n} {{ root /srv; }} ")))
        },
    },
    server!("unknown directives", |n| format!("no_directive_{n} on;\n")),
    server!("misspelt directives", |_| "listn 80;\n".to_owned()),
    server!("wrong numbers of arguments", |_| "root;\n".to_owned()),
    server!("wrong values", |n| format!("location /{n} {{ sendfile perhaps; }}\n")),
    server!("duplicate directives", |n| format!("root /srv/{n};\n")),
    server!("duplicate locations", |n| format!("location /{} {{ }}\n", n / 2)),
    server!("unknown variables", |n| format!("location /{n} {{ return 200 $unknown{n}; }}\n")),
    server!("stray braces", |_| "}\n".to_owned()),
    server!("stray semicolons", |_| ";\n".to_owned()),
    server!("missing semicolons", |n| format!("add_header X-{n} 1\nroot /srv;\n")),
    server!("blocks that stay open", |n| format!("location /{n} {{\n")),
    server!("carriage returns", |_| "root /srv;\r\n".to_owned()),
    server!("missing files", |n| format!("include missing{n}.conf;\n")),
    server!("broken patterns", |n| format!("location ~ ^/({n} {{ }}\n")),
    http!("conflicting names", |n| format!("server {{ listen 127.0.0.1:8080; server_name s{}; }}\n", n / 2)),
    http!("warnings", |n| format!("server {{ listen 127.0.0.1:8443 http2; server_name s{n}.example.com; }}\n")),
    server!("insecure values", |n| format!(
        "location /{n}/ {{ proxy_pass http://127.0.0.1; proxy_set_header Host $http_host; }}\n"
    )),
    server!("errors on one line", |n| format!("no_directive_{n} on; ")),
    GrowthKind {
        name: "warnings on one line",
        make: |directory, count| {
            in_http(
                directory,
                &repeated(count, |_| "server { listen 127.0.0.1:8443 http2; server_name a; } ".to_owned()),
            )
        },
    },
    word!("a long word", "root ", "/abcdefghijklmnop", ";\n"),
    word!("a long quoted word", "root \"", "/abcdefghijklmno ", "\";\n"),
    word!("a quote that stays open", "root \"", "/srv;\nindex a;\n", ";\n"),
    word!("a long comment", "# ", "comment ", "\n"),
    word!("a long list of words", "index", " index.html", ";\n"),
    word!("a long value with variables", "return 200 \"", "$uri ", "\";\n"),
    word!("a long pattern", "location ~ \"^/(", "a|", "b)$\" { }\n"),
    word!("bytes that are no text", "root ", "\u{1}\u{7f} ", ";\n"),
];
