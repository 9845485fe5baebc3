use super::*;

fn version(text: &str) -> Version {
    text.parse().expect("it is a version")
}

fn one(name: &str, at: &str) -> &'static Definition {
    let found: Vec<_> = lookup(name, version(at)).collect();
    assert_eq!(found.len(), 1, "{name} in {at}: {found:?}");
    found[0]
}

#[test]
fn the_newest_stable_release_is_the_last_with_an_even_minor_number() {
    let newest = Version::releases().filter(|release| release.minor() % 2 == 0).last();
    assert_eq!(newest, Some(Version::NEWEST_STABLE));
}

#[test]
fn two_numbers_mean_the_last_release_of_a_branch() {
    assert_eq!(version("1.10"), Version::new(1, 10, 3));
    assert_eq!(version("1.22.0").to_string(), "1.22.0");
    for wrong in ["", "1", "1.", "1.x", "1.2.3.4", "+1.2", "1.99999"] {
        assert_eq!(wrong.parse::<Version>(), Err(ParseVersionError), "{wrong:?}");
    }
}

#[test]
fn every_entry_holds_in_some_release_and_no_two_of_a_module_in_the_same() {
    for release in Version::releases() {
        let mut seen = std::collections::HashSet::new();
        for directive in all(release) {
            assert!(seen.insert((directive.name, directive.module.name)), "{} twice in {release}", directive.name);
        }
        assert!(seen.len() > 400, "{release} has only {}", seen.len());
    }
}

#[test]
fn a_directive_comes_and_goes_with_the_versions() {
    let exists = |name, at| lookup(name, version(at)).next().is_some();
    assert!(!exists("http2", "1.25.0") && exists("http2", "1.25.1"));
    assert!(exists("ssl", "1.24.0") && !lookup("ssl", version("1.25.1")).any(|d| d.module.name.contains("http")));
    assert!(exists("spdy_headers_comp", "1.8.0") && exists("limit_zone", "1.6.3") && !exists("limit_zone", "1.8.0"));
    // Added to the stable branch after mainline 1.1.0 had been made without it.
    assert!(exists("max_ranges", "1.0.7") && !exists("max_ranges", "1.1.0") && exists("max_ranges", "1.1.2"));
}

#[test]
fn an_entry_says_what_the_source_says() {
    let level = one("gzip_comp_level", "1.22.1");
    assert_eq!(level.value, ArgumentType::Num(Some(Bounds { low: 1, high: Some(9) })));
    assert_eq!(level.module.name, "ngx_http_gzip_filter_module");
    assert_eq!(level.contexts.to_string(), "http, server, location");
    assert!(level.arity.accepts(1) && !level.arity.accepts(0) && !level.arity.accepts(2) && !level.arity.is_block());

    let geo = lookup("geo", version("1.22.1")).find(|d| d.contexts.contains(Contexts::HTTP)).expect("http has geo");
    assert!(geo.arity.is_block() && geo.arity.accepts(1) && geo.arity.accepts(2) && !geo.arity.accepts(3));
    assert!(one("try_files", "1.22.1").arity.accepts(100) && !one("try_files", "1.22.1").arity.accepts(1));
    assert_eq!(one("satisfy", "1.22.1").value, ArgumentType::Enum(["all", "any"].into()));
    assert_eq!(one("http2_recv_timeout", "1.22.1").replaced_by, Some("client_header_timeout"));
    assert_eq!(one("postpone_output", "1.22.1").value, ArgumentType::Size);
    assert!(one("include", "1.22.1").contexts.contains(Contexts::MAIL_SERVER | Contexts::LIMIT_EXCEPT));
}

#[test]
fn builds_differ_in_what_is_to_be_loaded() {
    let module = |name| one(name, "1.22.1").module;
    assert_eq!(module("preread_timeout").presence(Build::NginxOrg), Presence::Static);
    assert_eq!(module("preread_timeout").presence(Build::Debian), Presence::Dynamic("ngx_stream_module"));
    assert_eq!(module("image_filter").presence(Build::NginxOrg), Presence::Dynamic("ngx_http_image_filter_module"));
    assert_eq!(module("gzip").presence(Build::Debian), Presence::Static);
    assert_eq!(shared_object("modules/ngx_stream_module.so"), "ngx_stream_module");
}

#[test]
fn modules_of_others_are_to_be_loaded_in_every_build() {
    let set = one("more_set_headers", "1.22.1");
    assert_eq!(set.module.presence(Build::NginxOrg), Presence::Dynamic("ngx_http_headers_more_filter_module"));
    assert_eq!(one("brotli_comp_level", "1.22.1").value, ArgumentType::Num(Some(Bounds { low: 0, high: Some(11) })));
    assert_eq!(one("application", "1.22.1").contexts, Contexts::RTMP_SERVER);
    for name in ["content_by_lua_block", "js_import", "geoip2", "vhost_traffic_status", "echo", "set_md5", "pagespeed"]
    {
        assert_eq!(history(name).next().is_some(), name != "pagespeed", "{name}");
    }
}

#[test]
fn names_are_sorted_and_each_once() {
    let names: Vec<_> = names(Version::NEWEST_STABLE).collect();
    assert!(names.is_sorted_by(|a, b| a < b) && names.contains(&"listen"));
}
