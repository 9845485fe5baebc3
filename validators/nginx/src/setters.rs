//! Functions that judge directives with setters of their own, by the names of these setters in nginx.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt as _};

use crate::checker::{Setter, slots};
use crate::core::{limits, logs, main_conf, maps, resolver};
use crate::http::{self, access, cache, charset, content, core, headers, location, pass, rewrite};
use crate::{mail, ssl, stream, upstream};

type Named = (&'static str, Setter);

/// Setters of the core, the event module, and those that every protocol may use.
const CORE: &[Named] = &[
    ("ngx_conf_include", main_conf::include),
    ("ngx_load_module", main_conf::load_module),
    ("ngx_set_user", main_conf::user),
    ("ngx_set_worker_processes", main_conf::worker_processes),
    ("ngx_set_priority", main_conf::worker_priority),
    ("ngx_set_cpu_affinity", main_conf::worker_cpu_affinity),
    ("ngx_thread_pool", main_conf::thread_pool),
    ("ngx_openssl_engine", main_conf::ssl_engine),
    ("ngx_events_block", main_conf::events),
    ("ngx_event_connections", main_conf::worker_connections),
    ("ngx_event_use", main_conf::event_use),
    ("ngx_event_debug_connection", main_conf::debug_connection),
    ("ngx_error_log", logs::error_log),
    ("ngx_http_core_error_log", logs::error_log),
    ("ngx_stream_core_error_log", logs::error_log),
    ("ngx_mail_core_error_log", logs::error_log),
    ("ngx_conf_set_path_slot", cache::path),
    ("ngx_conf_set_access_slot", content::access_rights),
    ("ngx_conf_split_clients_block", maps::split_clients),
];

/// Servers, locations and what is set in them.
const HTTP_CORE: &[Named] = &[
    ("ngx_http_block", http::http),
    ("ngx_http_core_server", http::server::server),
    ("ngx_http_core_listen", http::server::listen),
    ("ngx_http_core_server_name", http::server::server_name),
    ("ngx_http_core_location", location::location),
    ("ngx_http_core_limit_except", location::limit_except),
    ("ngx_http_core_root", core::root),
    ("ngx_http_core_set_aio", core::aio),
    ("ngx_http_core_directio", core::directio),
    ("ngx_http_core_error_page", core::error_page),
    ("ngx_http_core_open_file_cache", core::open_file_cache),
    ("ngx_http_core_keepalive", core::keepalive_timeout),
    ("ngx_http_core_internal", core::internal),
    ("ngx_http_core_resolver", resolver::resolver),
    ("ngx_http_core_types", core::types),
    ("ngx_http_gzip_disable", core::gzip_disable),
    ("ngx_http_disable_symlinks", core::disable_symlinks),
    ("ngx_http_log_set_log", logs::access_log),
    ("ngx_http_log_set_format", logs::log_format),
    ("ngx_http_log_open_file_cache", logs::open_log_file_cache),
    ("ngx_http_rewrite", rewrite::rewrite),
    ("ngx_http_rewrite_return", rewrite::return_),
    ("ngx_http_rewrite_set", rewrite::set),
    ("ngx_http_rewrite_if", rewrite::if_),
    ("ngx_http_map_block", maps::map),
    ("ngx_http_geo_block", maps::geo),
];

/// Setters that several modules of http share.
const HTTP_VALUES: &[Named] = &[
    ("ngx_http_set_complex_value_slot", core::complex_value),
    ("ngx_http_set_complex_value_zero_slot", core::complex_value),
    ("ngx_http_auth_basic_user_file", core::complex_value),
    ("ngx_http_proxy_cache_key", core::complex_value),
    ("ngx_http_fastcgi_cache_key", core::complex_value),
    ("ngx_http_uwsgi_cache_key", core::complex_value),
    ("ngx_http_scgi_cache_key", core::complex_value),
    ("ngx_http_set_complex_value_size_slot", core::complex_size),
    ("ngx_http_set_predicate_slot", core::predicates),
    ("ngx_http_types_slot", core::types_slot),
];

/// Upstreams, and the modules that hand requests on to them.
const HTTP_PASSING: &[Named] = &[
    ("ngx_http_upstream", upstream::upstream),
    ("ngx_http_upstream_server", upstream::server),
    ("ngx_http_upstream_hash", upstream::hash),
    ("ngx_http_upstream_ip_hash", upstream::ip_hash),
    ("ngx_http_upstream_least_conn", upstream::least_conn),
    ("ngx_http_upstream_least_time", upstream::least_time),
    ("ngx_http_upstream_sticky", upstream::sticky),
    ("ngx_http_upstream_random", upstream::random),
    ("ngx_http_upstream_keepalive", upstream::keepalive),
    ("ngx_http_upstream_zone", upstream::zone),
    ("ngx_http_upstream_resolver", resolver::resolver),
    ("ngx_http_upstream_bind_set_slot", pass::bind),
    ("ngx_http_upstream_param_set_slot", pass::param),
    ("ngx_http_proxy_pass", pass::proxy_pass),
    ("ngx_http_tunnel_pass", pass::tunnel_pass),
    ("ngx_http_fastcgi_pass", pass::host_pass),
    ("ngx_http_scgi_pass", pass::host_pass),
    ("ngx_http_uwsgi_pass", pass::uwsgi_pass),
    ("ngx_http_grpc_pass", pass::grpc_pass),
    ("ngx_http_memcached_pass", pass::memcached_pass),
    ("ngx_http_proxy_redirect", pass::redirect),
    ("ngx_http_proxy_cookie_domain", pass::cookies),
    ("ngx_http_proxy_cookie_path", pass::cookies),
    ("ngx_http_proxy_cookie_flags", pass::cookies),
    ("ngx_http_fastcgi_split_path_info", pass::split_path_info),
    ("ngx_http_proxy_store", cache::store),
    ("ngx_http_fastcgi_store", cache::store),
    ("ngx_http_uwsgi_store", cache::store),
    ("ngx_http_scgi_store", cache::store),
    ("ngx_http_proxy_cache", cache::cache),
    ("ngx_http_fastcgi_cache", cache::cache),
    ("ngx_http_uwsgi_cache", cache::cache),
    ("ngx_http_scgi_cache", cache::cache),
    ("ngx_http_file_cache_set_slot", cache::cache_path),
    ("ngx_http_file_cache_valid_set_slot", cache::cache_valid),
    ("ngx_http_ssl_enable", slots::flag),
    ("ngx_http_ssl_session_cache", ssl::session_cache),
    ("ngx_http_ssl_ocsp_cache", ssl::ocsp_cache),
    ("ngx_http_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_http_proxy_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_http_grpc_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_http_uwsgi_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_http_ssl_password_file", ssl::password_file),
    ("ngx_http_proxy_ssl_password_file", ssl::password_file),
    ("ngx_http_grpc_ssl_password_file", ssl::password_file),
    ("ngx_http_uwsgi_ssl_password_file", ssl::password_file),
];

/// The other modules of http.
const HTTP_MODULES: &[Named] = &[
    ("ngx_http_headers_add", headers::add_header),
    ("ngx_http_headers_expires", headers::expires),
    ("ngx_http_userid_expires", headers::userid_expires),
    ("ngx_http_userid_mark", headers::userid_mark),
    ("ngx_http_access_rule", access::rule),
    ("ngx_http_realip_from", access::real_ip_from),
    ("ngx_http_realip", access::real_ip_header),
    ("ngx_http_valid_referers", access::valid_referers),
    ("ngx_http_modern_browser", access::modern_browser),
    ("ngx_http_limit_req_zone", limits::limit_zone),
    ("ngx_http_limit_conn_zone", limits::limit_zone),
    ("ngx_http_limit_req", limits::limit_req),
    ("ngx_http_limit_conn", limits::limit_conn),
    ("ngx_http_index_set_index", content::index),
    ("ngx_http_try_files", content::try_files),
    ("ngx_http_core_try_files", content::try_files),
    ("ngx_http_mirror", content::mirror),
    ("ngx_http_v2_push", content::http2_push),
    ("ngx_http_auth_request", content::auth_request),
    ("ngx_http_auth_request_set", content::auth_request_set),
    ("ngx_http_sub_filter", content::sub_filter),
    ("ngx_http_image_filter", content::image_filter),
    ("ngx_http_image_filter_jpeg_quality", content::image_quality),
    ("ngx_http_image_filter_webp_quality", content::image_quality),
    ("ngx_http_image_filter_sharpen", content::image_quality),
    ("ngx_http_xslt_param", content::named_value),
    ("ngx_http_perl_set", content::defines_variable),
    ("ngx_http_set_charset_slot", charset::charset),
    ("ngx_http_charset_map_block", charset::charset_map),
];

/// Setters of stream and mail.
const STREAM_AND_MAIL: &[Named] = &[
    ("ngx_stream_block", stream::stream),
    ("ngx_stream_core_server", stream::server),
    ("ngx_stream_core_listen", stream::listen),
    ("ngx_stream_core_server_name", stream::server_name),
    ("ngx_stream_core_resolver", resolver::resolver),
    ("ngx_mail_core_resolver", resolver::resolver),
    ("ngx_stream_upstream_resolver", resolver::resolver),
    ("ngx_stream_log_set_log", logs::access_log),
    ("ngx_stream_log_set_format", logs::log_format),
    ("ngx_stream_log_open_file_cache", logs::open_log_file_cache),
    ("ngx_stream_map_block", maps::map),
    ("ngx_stream_geo_block", maps::geo),
    ("ngx_stream_upstream", upstream::upstream),
    ("ngx_stream_upstream_server", upstream::server),
    ("ngx_stream_upstream_hash", upstream::hash),
    ("ngx_stream_upstream_least_conn", upstream::least_conn),
    ("ngx_stream_upstream_least_time", upstream::least_time),
    ("ngx_stream_upstream_random", upstream::random),
    ("ngx_stream_upstream_zone", upstream::zone),
    ("ngx_stream_access_rule", access::rule),
    ("ngx_stream_realip_from", access::real_ip_from),
    ("ngx_mail_realip_from", mail::set_real_ip_from),
    ("ngx_stream_limit_conn_zone", limits::limit_zone),
    ("ngx_stream_limit_conn", limits::limit_conn),
    ("ngx_stream_set_complex_value_slot", core::complex_value),
    ("ngx_stream_set_complex_value_zero_slot", core::complex_value),
    ("ngx_stream_set_complex_value_size_slot", core::complex_size),
    ("ngx_stream_proxy_pass", stream::proxy_pass),
    ("ngx_stream_proxy_bind", pass::bind),
    ("ngx_stream_return", stream::return_),
    ("ngx_stream_pass", stream::pass),
    ("ngx_stream_set", stream::set),
    ("ngx_stream_proxy_ssl_alpn_set_slot", ssl::proxy_alpn),
    ("ngx_stream_ssl_alpn", ssl::alpn),
    ("ngx_stream_ssl_session_cache", ssl::session_cache),
    ("ngx_mail_ssl_session_cache", ssl::session_cache),
    ("ngx_stream_ssl_ocsp_cache", ssl::ocsp_cache),
    ("ngx_stream_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_stream_proxy_ssl_certificate_cache", ssl::certificate_cache),
    ("ngx_stream_ssl_password_file", ssl::password_file),
    ("ngx_mail_ssl_password_file", ssl::password_file),
    ("ngx_stream_proxy_ssl_password_file", ssl::password_file),
    ("ngx_mail_block", mail::mail),
    ("ngx_mail_core_server", mail::server),
    ("ngx_mail_core_listen", mail::listen),
    ("ngx_mail_core_protocol", mail::protocol),
    ("ngx_mail_ssl_enable", mail::ssl_on),
    ("ngx_mail_ssl_starttls", mail::starttls),
    ("ngx_mail_auth_http", mail::auth_http),
];

static SETTERS: LazyLock<HashMap<&'static str, Setter>> = LazyLock::new(|| {
    let all = [CORE, HTTP_CORE, HTTP_VALUES, HTTP_PASSING, HTTP_MODULES, STREAM_AND_MAIL];
    let mut setters = HashMap::with_capacity(256);
    setters.extend(all.into_iter().flatten().copied());
    setters
});

/// The function for a setter; `None` where any arguments will do.
pub(crate) fn named(setter: &str) -> Option<Setter> {
    SETTERS.get(setter).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::directives::{every_name, history};

    /// Setters of nginx's own modules that refuse nothing which the number of arguments lets through.
    const ANY_ARGUMENTS: &[&str] = &[
        "ngx_http_ancient_browser",
        "ngx_http_ancient_browser_value",
        "ngx_http_degradation",
        "ngx_http_empty_gif",
        "ngx_http_flv",
        "ngx_http_geoip_city",
        "ngx_http_geoip_country",
        "ngx_http_geoip_org",
        "ngx_http_geoip_proxy",
        "ngx_http_limit_zone",
        "ngx_http_modern_browser_value",
        "ngx_http_mp4",
        "ngx_http_perl",
        "ngx_http_quic_host_key",
        "ngx_http_rewrite_break",
        "ngx_http_set_status",
        "ngx_http_set_stub_status",
        "ngx_http_v2_obsolete",
        "ngx_http_v2_spdy_deprecated",
        "ngx_http_xslt_entities",
        "ngx_http_xslt_stylesheet",
        "ngx_mail_auth_http_header",
        "ngx_mail_capabilities",
        "ngx_set_env",
        "ngx_stream_geoip_city",
        "ngx_stream_geoip_country",
        "ngx_stream_geoip_org",
    ];

    /// A typo in the name of a setter would mean that any arguments will do.
    #[test]
    fn each_setter_of_the_tables_is_listed_once_and_each_that_is_listed_is_in_the_tables() {
        let listed: Vec<_> = [CORE, HTTP_CORE, HTTP_VALUES, HTTP_PASSING, HTTP_MODULES, STREAM_AND_MAIL]
            .into_iter()
            .flatten()
            .map(|(name, _)| *name)
            .chain(ANY_ARGUMENTS.iter().copied())
            .collect();
        let names: BTreeSet<_> = listed.iter().copied().collect();
        assert_eq!(names.len(), listed.len(), "a setter is listed twice");
        let own = every_name().flat_map(history).filter(|entry| entry.module.is_own());
        let in_tables: BTreeSet<_> = own.filter_map(|entry| entry.value.setter()).collect();
        assert_eq!(in_tables.difference(&names).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>());
        assert_eq!(names.difference(&in_tables).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>());
    }
}
