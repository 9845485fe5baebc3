//! Images of containers: name and tag, and the layout of public nginx images. Pure.

use reload_gate_nginx::{Build, Version};

/// Reference of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageReference {
    /// Reference as it is written.
    pub(super) text: String,
    /// Path without the registry, such as `bitnami/nginx`.
    repository: String,
    /// Tag, if it has one.
    tag: Option<String>,
}

/// Names of official images that differ from those of their presets.
const NAMES: [(&str, &str); 5] = [
    ("nats-server", "nats"),
    ("postgresql", "postgres"),
    ("mysqld", "mysql"),
    ("apache2", "httpd"),
    ("named", "bind9"),
];

/// Layout of an nginx image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NginxLayout {
    /// Main file.
    pub(super) main: &'static str,
    /// Text of the main file, without the includes of other files of the image.
    pub(super) text: &'static str,
    /// Directories and extensions of the files that the main file includes.
    pub(super) parts: &'static [(&'static str, &'static str)],
    /// True if the entry point renders the templates in `/etc/nginx/templates`.
    pub(super) renders_templates: bool,
}

/// Main file of nginx.org's packages and images (`conf/nginx.conf` of pkg-oss, the same since 2012), which the Docker official
/// image has unchanged.
const NGINX_ORG: NginxLayout = NginxLayout {
    main: "/etc/nginx/nginx.conf",
    text: "\
worker_processes  auto;
error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;
events {
    worker_connections  1024;
}
http {
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] \"$request\" '
                      '$status $body_bytes_sent \"$http_referer\" '
                      '\"$http_user_agent\" \"$http_x_forwarded_for\"';
    access_log  /var/log/nginx/access.log  main;
    sendfile        on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
",
    parts: &[("/etc/nginx/conf.d", ".conf")],
    renders_templates: true,
};

/// Main file of Debian's package (`debian/conf/nginx.conf`), which Ubuntu's image has as well.
const DEBIAN: NginxLayout = NginxLayout {
    main: "/etc/nginx/nginx.conf",
    text: "\
worker_processes auto;
pid /run/nginx.pid;
events {
    worker_connections 768;
}
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/octet-stream;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log /var/log/nginx/access.log;
    gzip on;
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
",
    parts: &[("/etc/nginx/conf.d", ".conf"), ("/etc/nginx/sites-enabled", "")],
    renders_templates: false,
};

/// Main file of Bitnami's image (`rootfs/opt/bitnami/nginx/conf/nginx.conf` of bitnami/containers).
const BITNAMI: NginxLayout = NginxLayout {
    main: "/opt/bitnami/nginx/conf/nginx.conf",
    text: "\
worker_processes  auto;
error_log         \"/opt/bitnami/nginx/logs/error.log\";
pid               \"/opt/bitnami/nginx/tmp/nginx.pid\";
include  \"/opt/bitnami/nginx/conf/context.d/main/*.conf\";
events {
    worker_connections  1024;
    include  \"/opt/bitnami/nginx/conf/context.d/events/*.conf\";
}
http {
    default_type  application/octet-stream;
    log_format    main '$remote_addr - $remote_user [$time_local] '
                       '\"$request\" $status $body_bytes_sent \"$http_referer\" '
                       '\"$http_user_agent\" \"$http_x_forwarded_for\"';
    access_log    \"/opt/bitnami/nginx/logs/access.log\" main;
    add_header    X-Frame-Options SAMEORIGIN;
    client_body_temp_path  \"/opt/bitnami/nginx/tmp/client_body\" 1 2;
    proxy_temp_path        \"/opt/bitnami/nginx/tmp/proxy\" 1 2;
    fastcgi_temp_path      \"/opt/bitnami/nginx/tmp/fastcgi\" 1 2;
    scgi_temp_path         \"/opt/bitnami/nginx/tmp/scgi\" 1 2;
    uwsgi_temp_path        \"/opt/bitnami/nginx/tmp/uwsgi\" 1 2;
    sendfile           on;
    tcp_nopush         on;
    tcp_nodelay        off;
    gzip               on;
    gzip_http_version  1.0;
    gzip_comp_level    2;
    gzip_proxied       any;
    gzip_types         text/plain text/css application/javascript text/xml application/xml+rss;
    keepalive_timeout  65;
    ssl_protocols      TLSv1.2 TLSv1.3;
    client_max_body_size 80M;
    server_tokens off;
    absolute_redirect  off;
    port_in_redirect   off;
    include  \"/opt/bitnami/nginx/conf/server_blocks/*.conf\";
    include  \"/opt/bitnami/nginx/conf/context.d/http/*.conf\";
    server {
        listen  80;
        include  \"/opt/bitnami/nginx/conf/bitnami/*.conf\";
    }
}
",
    parts: &[
        ("/opt/bitnami/nginx/conf/server_blocks", ".conf"),
        ("/opt/bitnami/nginx/conf/context.d/main", ".conf"),
        ("/opt/bitnami/nginx/conf/context.d/events", ".conf"),
        ("/opt/bitnami/nginx/conf/context.d/http", ".conf"),
        ("/opt/bitnami/nginx/conf/bitnami", ".conf"),
    ],
    renders_templates: false,
};

impl ImageReference {
    /// Parses a reference: registry, path, tag and digest (distribution's `reference` grammar).
    pub(super) fn parse(text: &str) -> Self {
        let name = text.split('@').next().unwrap_or_default();
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (name, None),
        };
        let (first, rest) = path.split_once('/').unwrap_or(("", path));
        let is_registry = first.contains(['.', ':']) || first == "localhost";
        let path = if is_registry || first.is_empty() { rest } else { path };
        let repository = path.trim_start_matches("library/").trim_start_matches("docker/library/").to_owned();
        Self { text: text.to_owned(), repository, tag }
    }

    /// Returns the path without the registry.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the last part of the path, such as `nginx`.
    pub(super) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the version that the tag begins with, such as `1.25` of `v1.25-alpine`.
    pub(super) fn version(&self) -> Option<&str> {
        let tag = self.tag.as_deref()?;
        let tag = tag.strip_prefix('v').unwrap_or(tag);
        let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tag.len());
        let version = tag[..end].trim_end_matches('.');
        (!version.is_empty()).then_some(version)
    }

    /// Returns true if the last part of the path is the name of a preset's program or of its image, alone or in front of a suffix, such as
    /// `haproxy-alpine`.
    pub(super) fn is_of(&self, program: &str) -> bool {
        let image = NAMES.iter().find(|(preset, _)| *preset == program).map(|(_, image)| *image);
        let is_name =
            |name: &str| self.name().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        is_name(program) || image.is_some_and(is_name)
    }

    /// Returns true for the official builds of nginx, which have its own modules and no others.
    pub(super) fn is_stock_nginx(&self) -> bool {
        self.nginx_layout().is_some()
    }

    /// Returns the build of nginx in an image that names it.
    pub(super) fn nginx_build(&self) -> Option<Build> {
        match self.repository.as_str() {
            "openresty/openresty" => Some(Build::OpenResty),
            // <https://docs.nginx.com/nginx/admin-guide/installing-nginx/installing-nginx-docker/>
            "nginx-plus/base" | "nginx-plus/rootless-base" | "nginx-plus/agent" => Some(Build::Plus),
            "ubuntu/nginx" | "ubuntu-nginx/nginx" => Some(Build::Debian),
            _ => None,
        }
    }

    /// Returns the version of nginx in an official image.
    pub(super) fn nginx_version(&self) -> Option<Version> {
        self.version().filter(|_| self.is_stock_nginx())?.parse().ok()
    }

    /// Returns the layout of a public nginx image.
    pub(super) fn nginx_layout(&self) -> Option<&'static NginxLayout> {
        let owner = self.repository.rsplit_once('/').map_or("", |(owner, _)| owner);
        match (self.name(), owner) {
            ("nginx", "ubuntu" | "ubuntu-nginx") => Some(&DEBIAN),
            ("nginx", "bitnami" | "bitnamilegacy" | "bitnamisecure") => Some(&BITNAMI),
            // Builds of others have layouts and modules of their own.
            ("nginx", "openresty" | "chainguard" | "linuxserver" | "wolfi") => None,
            ("nginx" | "nginx-unprivileged", _) => Some(&NGINX_ORG),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_name_and_a_version() {
        for (text, name, version) in [
            ("nginx", "nginx", None),
            ("nginx:1.25-alpine", "nginx", Some("1.25")),
            ("registry.example:5000/a/prometheus:v2.55.1@sha256:00", "prometheus", Some("2.55.1")),
            ("localhost/nginx:latest", "nginx", None),
            ("docker.io/library/nginx:1.29.0", "nginx", Some("1.29.0")),
        ] {
            let image = ImageReference::parse(text);
            assert_eq!(image.name(), name, "{text}");
            assert_eq!(image.version(), version, "{text}");
        }
    }

    #[test]
    fn an_image_is_of_a_program_by_its_name() {
        let is_of = |text: &str, program: &str| ImageReference::parse(text).is_of(program);
        assert!(is_of("nats:2.9.10", "nats-server") && is_of("postgres:16-alpine", "postgresql"));
        assert!(is_of("haproxytech/haproxy-alpine:3.0", "haproxy") && is_of("mysql:8.4", "mysqld"));
        assert!(is_of("bitnami/postgresql:16", "postgresql") && !is_of("natsomething", "nats-server"));
    }

    #[test]
    fn a_build_is_known_by_the_repository() {
        let build = |text: &str| ImageReference::parse(text).nginx_build();
        assert_eq!(build("docker.io/openresty/openresty:1.25.3.1-alpine"), Some(Build::OpenResty));
        assert_eq!(build("private-registry.nginx.com/nginx-plus/base:r33"), Some(Build::Plus));
        assert_eq!(build("ubuntu/nginx"), Some(Build::Debian));
        assert_eq!(build("nginx:1.29"), None);
    }

    #[test]
    fn layouts_are_known_by_the_repository() {
        let layout = |text: &str| ImageReference::parse(text).nginx_layout().map(|layout| layout.main);
        assert_eq!(layout("nginx:1.29"), Some("/etc/nginx/nginx.conf"));
        assert_eq!(layout("mirror.example/docker/library/nginx"), Some("/etc/nginx/nginx.conf"));
        assert_eq!(layout("docker.io/bitnami/nginx:1.29.1"), Some("/opt/bitnami/nginx/conf/nginx.conf"));
        assert_eq!(layout("openresty/openresty:1.25"), None);
        assert_eq!(layout("example.com/web:1.0"), None);
    }

    #[test]
    fn the_main_files_are_accepted() {
        for layout in [&NGINX_ORG, &DEBIAN, &BITNAMI] {
            let files: reload_gate_contract::MemoryFiles = [(layout.main, layout.text)].into_iter().collect();
            let findings = reload_gate_nginx::check(layout.main, &files, &reload_gate_nginx::Options::default());
            let errors: Vec<_> = findings
                .iter()
                .filter(|finding| finding.severity == reload_gate_contract::Severity::Error)
                .filter(|finding| finding.cause == reload_gate_contract::Cause::Config)
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
}
