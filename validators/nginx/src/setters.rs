//! Which function judges a directive whose setter is its own, by the name of that setter in nginx.

use crate::checker::Checker;
use crate::core::limits;
use crate::core::logs;
use crate::core::main_conf;
use crate::core::maps;
use crate::core::resolver;
use crate::findings::problem::Outcome;
use crate::http::{self, access, cache, charset, content, core, headers, location, pass, rewrite};
use crate::mail;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::ssl;
use crate::stream;
use crate::upstream;

/// Judges a directive in a block.
pub(crate) type Setter = for<'c, 's> fn(&'c mut Checker<'s>, &Directive<'s>, BlockId) -> Outcome;

/// The function for a setter of nginx; `None` where any arguments will do.
pub(crate) fn named(setter: &str) -> Option<Setter> {
    of_core(setter).or_else(|| of_http(setter)).or_else(|| of_stream_and_mail(setter))
}

fn of_core(setter: &str) -> Option<Setter> {
    Some(match setter {
        "ngx_conf_include" => main_conf::include,
        "ngx_load_module" => main_conf::load_module,
        "ngx_set_user" => main_conf::user,
        "ngx_set_worker_processes" => main_conf::worker_processes,
        "ngx_set_priority" => main_conf::worker_priority,
        "ngx_set_cpu_affinity" => main_conf::worker_cpu_affinity,
        "ngx_thread_pool" => main_conf::thread_pool,
        "ngx_openssl_engine" => main_conf::ssl_engine,
        "ngx_events_block" => main_conf::events,
        "ngx_event_connections" => main_conf::worker_connections,
        "ngx_event_use" => main_conf::event_use,
        "ngx_event_debug_connection" => main_conf::debug_connection,
        "ngx_error_log" | "ngx_http_core_error_log" | "ngx_stream_core_error_log" | "ngx_mail_core_error_log" => {
            logs::error_log
        }
        "ngx_conf_set_path_slot" => cache::path,
        "ngx_conf_set_access_slot" => content::access_rights,
        "ngx_conf_split_clients_block" => maps::split_clients,
        _ => return None,
    })
}

fn of_http(setter: &str) -> Option<Setter> {
    let rest = setter.strip_prefix("ngx_http_")?;
    of_http_core(rest)
        .or_else(|| of_http_values(rest))
        .or_else(|| of_http_passing(rest))
        .or_else(|| of_http_modules(rest))
}

fn of_http_core(setter: &str) -> Option<Setter> {
    Some(match setter {
        "block" => http::http,
        "core_server" => http::server::server,
        "core_listen" => http::server::listen,
        "core_server_name" => http::server::server_name,
        "core_location" => location::location,
        "core_limit_except" => location::limit_except,
        "core_root" => core::root,
        "core_set_aio" => core::aio,
        "core_directio" => core::directio,
        "core_error_page" => core::error_page,
        "core_open_file_cache" => core::open_file_cache,
        "core_keepalive" => core::keepalive_timeout,
        "core_internal" => core::internal,
        "core_resolver" => resolver::resolver,
        "core_types" => core::types,
        "gzip_disable" => core::gzip_disable,
        "disable_symlinks" => core::disable_symlinks,
        "log_set_log" => logs::access_log,
        "log_set_format" => logs::log_format,
        "log_open_file_cache" => logs::open_log_file_cache,
        "rewrite" => rewrite::rewrite,
        "rewrite_return" => rewrite::return_,
        "rewrite_set" => rewrite::set,
        "rewrite_if" => rewrite::if_,
        "map_block" => maps::map,
        "geo_block" => maps::geo,
        _ => return None,
    })
}

fn of_http_values(setter: &str) -> Option<Setter> {
    Some(match setter {
        "set_complex_value_slot" | "set_complex_value_zero_slot" | "auth_basic_user_file" => core::complex_value,
        "proxy_cache_key" | "fastcgi_cache_key" | "uwsgi_cache_key" | "scgi_cache_key" => core::complex_value,
        "set_complex_value_size_slot" => core::complex_size,
        "set_predicate_slot" => core::predicates,
        "types_slot" => core::types_slot,
        _ => return None,
    })
}

fn of_http_passing(setter: &str) -> Option<Setter> {
    Some(match setter {
        "upstream" => upstream::upstream,
        "upstream_server" => upstream::server,
        "upstream_hash" => upstream::hash,
        "upstream_ip_hash" => upstream::ip_hash,
        "upstream_least_conn" => upstream::least_conn,
        "upstream_least_time" => upstream::least_time,
        "upstream_sticky" => upstream::sticky,
        "upstream_random" => upstream::random,
        "upstream_keepalive" => upstream::keepalive,
        "upstream_zone" => upstream::zone,
        "upstream_resolver" => resolver::resolver,
        "upstream_bind_set_slot" => pass::bind,
        "upstream_param_set_slot" => pass::param,
        "proxy_pass" => pass::proxy_pass,
        "tunnel_pass" => pass::tunnel_pass,
        "fastcgi_pass" | "scgi_pass" => pass::host_pass,
        "uwsgi_pass" => pass::uwsgi_pass,
        "grpc_pass" => pass::grpc_pass,
        "memcached_pass" => pass::memcached_pass,
        "proxy_redirect" => pass::redirect,
        "proxy_cookie_domain" | "proxy_cookie_path" | "proxy_cookie_flags" => pass::cookies,
        "fastcgi_split_path_info" => pass::split_path_info,
        "proxy_store" | "fastcgi_store" | "uwsgi_store" | "scgi_store" => cache::store,
        "proxy_cache" | "fastcgi_cache" | "uwsgi_cache" | "scgi_cache" => cache::cache,
        "file_cache_set_slot" => cache::cache_path,
        "file_cache_valid_set_slot" => cache::cache_valid,
        "ssl_enable" => crate::checker::slots::flag,
        "ssl_session_cache" => ssl::session_cache,
        "ssl_ocsp_cache" => ssl::ocsp_cache,
        "ssl_certificate_cache"
        | "proxy_ssl_certificate_cache"
        | "grpc_ssl_certificate_cache"
        | "uwsgi_ssl_certificate_cache" => ssl::certificate_cache,
        "ssl_password_file" | "proxy_ssl_password_file" | "grpc_ssl_password_file" | "uwsgi_ssl_password_file" => {
            ssl::password_file
        }
        _ => return None,
    })
}

fn of_http_modules(setter: &str) -> Option<Setter> {
    Some(match setter {
        "headers_add" => headers::add_header,
        "headers_expires" => headers::expires,
        "userid_expires" => headers::userid_expires,
        "userid_mark" => headers::userid_mark,
        "access_rule" => access::rule,
        "realip_from" => access::real_ip_from,
        "realip" => access::real_ip_header,
        "valid_referers" => access::valid_referers,
        "modern_browser" => access::modern_browser,
        "limit_req_zone" | "limit_conn_zone" => limits::limit_zone,
        "limit_req" => limits::limit_req,
        "limit_conn" => limits::limit_conn,
        "index_set_index" => content::index,
        "try_files" | "core_try_files" => content::try_files,
        "mirror" => content::mirror,
        "v2_push" => content::http2_push,
        "auth_request" => content::auth_request,
        "auth_request_set" => content::auth_request_set,
        "sub_filter" => content::sub_filter,
        "image_filter" => content::image_filter,
        "image_filter_jpeg_quality" | "image_filter_webp_quality" | "image_filter_sharpen" => content::image_quality,
        "xslt_param" => content::named_value,
        "perl_set" => content::defines_variable,
        "set_charset_slot" => charset::charset,
        "charset_map_block" => charset::charset_map,
        _ => return None,
    })
}

fn of_stream_and_mail(setter: &str) -> Option<Setter> {
    Some(match setter {
        "ngx_stream_block" => stream::stream,
        "ngx_stream_core_server" => stream::server,
        "ngx_stream_core_listen" => stream::listen,
        "ngx_stream_core_server_name" => stream::server_name,
        "ngx_stream_core_resolver" | "ngx_mail_core_resolver" | "ngx_stream_upstream_resolver" => resolver::resolver,
        "ngx_stream_log_set_log" => logs::access_log,
        "ngx_stream_log_set_format" => logs::log_format,
        "ngx_stream_log_open_file_cache" => logs::open_log_file_cache,
        "ngx_stream_map_block" => maps::map,
        "ngx_stream_geo_block" => maps::geo,
        "ngx_stream_upstream" => upstream::upstream,
        "ngx_stream_upstream_server" => upstream::server,
        "ngx_stream_upstream_hash" => upstream::hash,
        "ngx_stream_upstream_least_conn" => upstream::least_conn,
        "ngx_stream_upstream_least_time" => upstream::least_time,
        "ngx_stream_upstream_random" => upstream::random,
        "ngx_stream_upstream_zone" => upstream::zone,
        "ngx_stream_access_rule" => access::rule,
        "ngx_stream_realip_from" => access::real_ip_from,
        "ngx_mail_realip_from" => mail::set_real_ip_from,
        "ngx_stream_limit_conn_zone" => limits::limit_zone,
        "ngx_stream_limit_conn" => limits::limit_conn,
        "ngx_stream_set_complex_value_slot" | "ngx_stream_set_complex_value_zero_slot" => core::complex_value,
        "ngx_stream_set_complex_value_size_slot" => core::complex_size,
        "ngx_stream_proxy_pass" => stream::proxy_pass,
        "ngx_stream_proxy_bind" => pass::bind,
        "ngx_stream_return" => stream::return_,
        "ngx_stream_pass" => stream::pass,
        "ngx_stream_set" => stream::set,
        "ngx_stream_ssl_alpn" => ssl::alpn,
        "ngx_stream_ssl_session_cache" | "ngx_mail_ssl_session_cache" => ssl::session_cache,
        "ngx_stream_ssl_ocsp_cache" => ssl::ocsp_cache,
        "ngx_stream_ssl_certificate_cache" | "ngx_stream_proxy_ssl_certificate_cache" => ssl::certificate_cache,
        "ngx_stream_ssl_password_file" | "ngx_mail_ssl_password_file" | "ngx_stream_proxy_ssl_password_file" => {
            ssl::password_file
        }
        "ngx_mail_block" => mail::mail,
        "ngx_mail_core_server" => mail::server,
        "ngx_mail_core_listen" => mail::listen,
        "ngx_mail_core_protocol" => mail::protocol,
        "ngx_mail_ssl_enable" => mail::ssl_on,
        "ngx_mail_ssl_starttls" => mail::starttls,
        "ngx_mail_auth_http" => mail::auth_http,
        _ => return None,
    })
}
