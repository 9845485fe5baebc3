#!/usr/bin/env python3
"""Writes src/directives/{nginx,modules}.tsv from the release tags of nginx's repository.

    tools/directives.py PATH-TO-A-CLONE-OF-NGINX        # https://github.com/nginx/nginx, with its tags

Run it again after a new release and commit what it changes; the same tags give the same bytes. Each definition of
a directive is a row: a directive whose contexts, arguments or values changed has several, each with the ranges of
versions in which it holds. Versions are compared as numbers, so what was added to a stable branch after the mainline
had moved on makes two ranges.
"""

import re
import subprocess
import sys
from pathlib import Path

import c_tables

OUT = Path(__file__).parent.parent / "src" / "directives"
FIRST = (1, 0, 0)

# Bits of `cmd_type` by the type of module that is asked: nginx uses the same bits again in http, mail and stream.
CONTEXTS = {
    "NGX_CORE_MODULE": {"NGX_MAIN_CONF": "main"},
    "NGX_EVENT_MODULE": {"NGX_EVENT_CONF": "events"},
    "NGX_HTTP_MODULE": {
        "NGX_HTTP_MAIN_CONF": "http", "NGX_HTTP_SRV_CONF": "server", "NGX_HTTP_LOC_CONF": "location",
        "NGX_HTTP_UPS_CONF": "upstream", "NGX_HTTP_SIF_CONF": "if-in-server", "NGX_HTTP_LIF_CONF": "if-in-location",
        "NGX_HTTP_LMT_CONF": "limit_except",
    },
    "NGX_STREAM_MODULE": {
        "NGX_STREAM_MAIN_CONF": "stream", "NGX_STREAM_SRV_CONF": "stream-server",
        "NGX_STREAM_UPS_CONF": "stream-upstream",
    },
    "NGX_MAIL_MODULE": {"NGX_MAIL_MAIN_CONF": "mail", "NGX_MAIL_SRV_CONF": "mail-server"},
    "NGX_RTMP_MODULE": {
        "NGX_RTMP_MAIN_CONF": "rtmp", "NGX_RTMP_SRV_CONF": "rtmp-server", "NGX_RTMP_APP_CONF": "application",
        "NGX_RTMP_REC_CONF": "recorder",
    },
}  # fmt: skip
ARITIES = ["NOARGS", "TAKE1", "TAKE2", "TAKE3", "TAKE4", "TAKE5", "TAKE6", "TAKE7"]
OTHER_SYSTEMS = re.compile(r"src/os/win32|src/event/modules/ngx_(?!epoll)|src/misc|src/mysql")

# How `configure` was asked for the modules that are off by default: by Debian 12 (`nginx -V` of its 1.22.1) and by
# the packages and images of nginx.org (`nginx -V` of 1.28). A module that is in neither table is in every build.
ABSENT, STATIC = "absent", "static"
OFF_BY_DEFAULT = {
    "ngx_openssl_module": (STATIC, STATIC), "ngx_openssl_cache_module": (STATIC, STATIC),
    "ngx_regex_module": (STATIC, STATIC), "ngx_thread_pool_module": (STATIC, STATIC),
    "ngx_quic_bpf_module": (ABSENT, STATIC), "ngx_google_perftools_module": (ABSENT, ABSENT),
    "ngx_http_degradation_module": (ABSENT, ABSENT), "ngx_http_perl_module": ("ngx_http_perl_module", "ngx_http_perl_module"),
    "ngx_http_v3_module": (ABSENT, STATIC), "ngx_http_spdy_module": (STATIC, STATIC),
    "ngx_http_geoip_module": ("ngx_http_geoip_module", "ngx_http_geoip_module"),
    "ngx_http_image_filter_module": ("ngx_http_image_filter_module", "ngx_http_image_filter_module"),
    "ngx_http_xslt_filter_module": ("ngx_http_xslt_filter_module", "ngx_http_xslt_filter_module"),
    "ngx_stream_geoip_module": ("ngx_stream_geoip_module", "ngx_stream_geoip_module"),
}  # fmt: skip
DYNAMIC_IN_DEBIAN = {"ngx_stream_": "ngx_stream_module", "ngx_mail_": "ngx_mail_module"}


def git(repository, *arguments):
    return subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True).stdout


class Repository:
    """The tags of a clone, and its blobs, each read and understood once."""

    def __init__(self, path):
        self.path, self.tables, self.texts = path, {}, {}
        tags = re.findall(r"^release-(\d+)\.(\d+)\.(\d+)$", git(path, "tag").decode(), re.M)
        self.versions = sorted(version for version in (tuple(map(int, tag)) for tag in tags) if version >= FIRST)
        self.blobs = subprocess.Popen(
            ["git", "-C", path, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def files(self, version):
        """Paths and blobs of the sources of a release."""
        listing = git(self.path, "ls-tree", "-r", "release-%d.%d.%d" % version, "--", "src", "auto").decode()
        return {path: blob for blob, path in re.findall(r"^\S+ blob (\w+)\t(.*)$", listing, re.M)}

    def text(self, blob):
        if blob not in self.texts:
            self.blobs.stdin.write(blob.encode() + b"\n")
            self.blobs.stdin.flush()
            size = int(self.blobs.stdout.readline().split()[2])
            self.texts[blob] = self.blobs.stdout.read(size + 1)[:-1].decode("utf-8", "replace")
        return self.texts[blob]

    def table(self, blob):
        if blob not in self.tables:
            self.tables[blob] = c_tables.read(self.text(blob))
        return self.tables[blob]


class Release:
    """One release: its constants and its tables."""

    def __init__(self, repository, files):
        self.constants, self.tables = {}, []
        for path, blob in sorted(files.items()):
            if path.endswith(".h"):
                for name, value in c_tables.numbers(repository.text(blob)).items():
                    self.constants.setdefault(name, value)
            elif path.endswith((".c", ".cpp", ".xs")) and not OTHER_SYSTEMS.match(path):
                self.tables.append(repository.table(blob))
        self.commands = {name: commands for tables in self.tables for name, commands in tables.commands.items()}
        self.words = {name: words for tables in self.tables for name, words in tables.words.items()}
        self.posts = {name: post for tables in self.tables for name, post in tables.posts.items()}

    def number(self, expression):
        """The value of an expression over constants that are joined by `|`."""
        value = 0
        for word in re.findall(r"\w+", expression):
            value |= int(word, 0) if word[0].isdigit() else self.number(self.constants[word])
        return value

    def contexts(self, flags, module_type):
        types = CONTEXTS if module_type == "NGX_CONF_MODULE" else [module_type]
        bits = {bit: name for kind in types for bit, name in CONTEXTS[kind].items() if bit in self.constants}
        return ",".join(name for bit, name in bits.items() if flags & self.number(bit)) or "-"

    def arity(self, flags):
        """The numbers of arguments that are taken, `flag`, `any`, `1+` or `2+`; `{` if a block follows."""
        taken = [str(n) for n, bit in enumerate(ARITIES) if flags & self.number("NGX_CONF_" + bit)]
        kinds = {"NGX_CONF_ANY": "any", "NGX_CONF_FLAG": "flag", "NGX_CONF_1MORE": "1+", "NGX_CONF_2MORE": "2+"}
        special = [name for bit, name in kinds.items() if bit in self.constants and flags & self.number(bit)]
        return (special or [",".join(taken) or "-"])[0] + ("{" if flags & self.number("NGX_CONF_BLOCK") else "")

    def value(self, tables, command):
        """The setter, and what the table it points to says: words of an enum or mask, bounds, a replacement."""
        words = tables.words.get(command.post) or self.words.get(command.post)
        post = tables.posts.get(command.post) or self.posts.get(command.post)
        if words is not None:
            return command.setter, " ".join(words)
        if post is None:
            return command.setter, "-"
        if post[0] == "ngx_conf_check_num_bounds":
            low, high = (self.constants.get(bound, bound) for bound in post[1:])
            return command.setter, "%s..%s" % (low, "" if high == "-1" else high)
        if post[0] == "ngx_conf_deprecated" or command.setter.endswith("obsolete"):
            return command.setter, "deprecated " + post[2]
        return command.setter, "post " + post[0]

    def rows(self):
        """Name, module, contexts, arity, setter and detail of every directive."""
        for tables in self.tables:
            for module, table, module_type in tables.modules:
                for command in tables.commands.get(table) or self.commands.get(table, []):
                    flags = self.number(command.flags)
                    shape = self.contexts(flags, module_type), self.arity(flags)
                    yield command.name, module, *shape, *self.value(tables, command)


def ranges(versions, holding):
    """`holding` as half-open ranges of `versions`: `1.3.13-`, `1.0.0-1.1.2`, joined by commas."""
    text, name = [], "{0[0]}.{0[1]}.{0[2]}".format
    for index, version in enumerate(versions):
        before = index > 0 and versions[index - 1] in holding
        if version in holding and not before:
            text.append(name(version) + "-")
        elif version not in holding and before:
            text[-1] += name(version)
    return ",".join(text)


def module_order(repository):
    """Every module in the order in which `auto/modules` of the newest release that has it names it."""
    order = ["ngx_core_module", "ngx_errlog_module", "ngx_conf_module"]
    for version in reversed(repository.versions):
        files = repository.files(version)
        for path in ("auto/modules", "auto/sources"):
            found = re.findall(r"\bngx_\w+_module\b", repository.text(files[path]))
            order += [name for name in dict.fromkeys(found) if name not in order]
    return order


def presence(module):
    """In Debian's build, in that of nginx.org: `static`, `absent` or the shared object to be loaded."""
    for prefix, shared_object in DYNAMIC_IN_DEBIAN.items():
        if module.startswith(prefix) and module not in OFF_BY_DEFAULT:
            return shared_object, STATIC
    return OFF_BY_DEFAULT.get(module, (STATIC, STATIC))


def main():
    repository = Repository(sys.argv[1])
    held = {}
    for version in repository.versions:
        for row in Release(repository, repository.files(version)).rows():
            held.setdefault(row, set()).add(version)
    order = [name for name in module_order(repository) if any(row[1] == name for row in held)]
    if missing := {row[1] for row in held} - set(order):
        raise SystemExit(f"not in auto/modules: {sorted(missing)}")

    rows = [(*row, ranges(repository.versions, versions)) for row, versions in held.items()]
    rows.sort(key=lambda row: (row[0], order.index(row[1]), min(held[row[:6]])))
    write("nginx.tsv", "name module contexts arity setter detail versions", rows)
    write("modules.tsv", "module debian nginx.org", [(module, *presence(module)) for module in order])
    write("releases.tsv", "release", [("%d.%d.%d" % version,) for version in repository.versions])


def write(name, header, rows):
    lines = [header.replace(" ", "\t"), *("\t".join(row) for row in rows)]
    (OUT / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
