#!/usr/bin/env python3
"""Writes src/directives/third-party{,-modules}.tsv: the directives of well-known modules that are not nginx's own.

    tools/third_party.py DIRECTORY      # with clones of nginx/nginx and of the repositories below, at OWNER/NAME

It reads the newest commit of each clone. Such modules are compiled into a shared object of their own, which
`load_module` names; a module that is part of another's object is listed with it here.
"""

import re
import sys
from pathlib import Path

import c_tables
from directives import CONTEXTS, Release, Repository, git, write

REPOSITORIES = [
    "aperezdc/ngx-fancyindex", "arut/nginx-dav-ext-module", "arut/nginx-rtmp-module", "calio/form-input-nginx-module",
    "FRiCKLE/ngx_coolkit", "google/ngx_brotli",
    "itoffshore/nginx-upstream-fair", "leev/ngx_http_geoip2_module", "masterzen/nginx-upload-progress-module",
    "nginx-modules/ngx_cache_purge", "nginx/njs", "nginxinc/nginx-otel", "opentracing-contrib/nginx-opentracing",
    "openresty/array-var-nginx-module", "openresty/echo-nginx-module", "openresty/encrypted-session-nginx-module", "openresty/headers-more-nginx-module",
    "openresty/lua-nginx-module", "openresty/memc-nginx-module", "openresty/rds-csv-nginx-module",
    "openresty/rds-json-nginx-module", "openresty/redis2-nginx-module", "openresty/set-misc-nginx-module",
    "openresty/srcache-nginx-module", "openresty/stream-lua-nginx-module", "openresty/xss-nginx-module",
    "owasp-modsecurity/ModSecurity-nginx",
    "slact/nchan", "sto/ngx_http_auth_pam_module", "tokers/zstd-nginx-module", "vozlt/nginx-module-sts", "vozlt/nginx-module-vts",
    "vision5/ngx_devel_kit", "yaoweibin/ngx_http_substitutions_filter_module",
]  # fmt: skip
# Where the name of the shared object is not the name of the module.
SHARED_OBJECTS = {
    "gHttpModule": "ngx_otel_module", "ngx_http_js_core_module": "ngx_http_js_module", "ngx_rtmp_": "ngx_rtmp_module",
    "ngx_stream_js_core_module": "ngx_stream_js_module",
}  # fmt: skip
# Modules without directives, by their repositories.
WITHOUT_DIRECTIVES = {"vision5/ngx_devel_kit": ["ndk_http_module"]}
# Constants of the libraries that these modules use.
CONSTANTS = {
    "BROTLI_MIN_QUALITY": "0", "BROTLI_MAX_QUALITY": "11", "BROTLI_MIN_WINDOW_BITS": "10", "BROTLI_MAX_WINDOW_BITS": "24",
}  # fmt: skip
SOURCES = re.compile(r"(?!.*(?:^|/)(?:t|tests?|dev|deps|examples|external|util)/).*\.(?:c|cpp|h)$")


def shared_object(module):
    return next((name for prefix, name in SHARED_OBJECTS.items() if module.startswith(prefix)), module)


def main():
    clones = Path(sys.argv[1])
    nginx = Repository(clones / "nginx" / "nginx")
    newest = nginx.files(nginx.versions[-1])
    rows, modules = [], []
    for name in REPOSITORIES:
        clone = Repository(clones / name)
        commit = git(clone.path, "rev-parse", "HEAD").decode().strip()
        listing = git(clone.path, "ls-tree", "-r", commit).decode()
        files = {path: blob for blob, path in re.findall(r"^\S+ blob (\w+)\t(.*)$", listing, re.M) if SOURCES.match(path)}
        release = Release(clone, files)
        own = Release(nginx, newest)
        release.constants = own.constants | release.constants | CONSTANTS
        release.words, release.posts = own.words | release.words, own.posts | release.posts
        found = {row[:2]: row for row in reversed(list(release.rows()))}.values()  # the first of two is the one that counts
        rows += [(*row, "0.0.0-") for row in found]
        source = f"https://github.com/{name}/tree/{commit[:12]}"
        modules += [(module, shared_object(module), source) for module in sorted({row[1] for row in found} | set(WITHOUT_DIRECTIVES.get(name, [])))]
    rows.sort(key=lambda row: row[:2])
    write("third-party.tsv", "name module contexts arity setter detail versions", rows)
    write("third-party-modules.tsv", "module shared_object source", modules)


if __name__ == "__main__":
    main()
