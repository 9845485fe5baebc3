"""Reads the tables that an nginx module declares in C: commands, enums, bit masks, bounds, post handlers.

It is no C compiler. It knows just the shapes in which nginx and its modules write such tables, and raises
`ValueError` on anything else, so that a new shape is noticed instead of being lost.
"""

import re
from dataclasses import dataclass, field

# What a build on Linux with all optional modules has. Every other NGX_* or SSL_* macro counts as set, because
# tables guard their entries with "is this feature compiled in".
UNSET = {
    "NGX_WIN32", "NGX_FREEBSD", "NGX_DARWIN", "NGX_SOLARIS", "NGX_HAVE_KQUEUE", "NGX_HAVE_RTSIG", "NGX_HAVE_DEVPOLL",
    "NGX_HAVE_EVENTPORT", "NGX_HAVE_IOCP", "NGX_OLD_THREADS", "NGX_SUPPRESS_WARN", "OPENSSL_IS_BORINGSSL",
    "LIBRESSL_VERSION_NUMBER", "NGX_DTRACE", "NGX_HTTP_SET_HASH",
}  # fmt: skip
NUMBERS = {
    "OPENSSL_VERSION_NUMBER": 0x30000000, "nginx_version": 1031000, "NGINX_VERSION": 1031000, "TIME_T_SIZE": 8,
    "NGX_PTR_SIZE": 8, "NGX_MAX_SIZE_T_VALUE": (1 << 63) - 1, "OPENSSL_NO_SSL_INTERN": 0,
}  # fmt: skip


@dataclass
class Command:
    """One entry of an `ngx_command_t` table; `post` is the symbol it points to, if any."""

    name: str
    flags: str
    setter: str
    post: str | None


@dataclass
class Tables:
    """What one source file declares."""

    modules: list[tuple[str, str, str]] = field(default_factory=list)  # module, its table of commands, its type
    commands: dict[str, list[Command]] = field(default_factory=dict)  # by the table's name
    words: dict[str, list[str]] = field(default_factory=dict)  # enum and bit mask tables by name
    posts: dict[str, list[str]] = field(default_factory=dict)  # fields of post structures by name


def without_comments(text):
    """The text with every comment replaced by a space, strings left alone."""
    return re.sub(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|//[^\n]*', lambda m: m[0] if m[0][0] == '"' else " ", text, flags=re.S)


def holds(condition):
    """Whether a condition of `#if` is true in the build described above."""
    condition = re.sub(r"defined\s*(\(\s*)?(\w+)(?(1)\s*\))", lambda m: "0" if m[2] in UNSET else "1", condition)

    def value(match):
        word = match[0]
        if word[0].isdigit():
            return str(int(re.sub(r"[uUlL]+$", "", word), 0))
        return str(NUMBERS.get(word, 0 if word in UNSET else 1))

    condition = re.sub(r"\w+", value, condition)
    condition = condition.replace("&&", " and ").replace("||", " or ")
    return bool(eval(re.sub(r"!(?!=)", " not ", condition), {"__builtins__": {}}))  # only numbers and operators are left


def preprocess(text):
    """The lines that such a build compiles, without the directives of the preprocessor."""
    lines, stack = [], []  # stack of [active now, some branch was taken]
    for line in re.sub(r"\\\r?\n", " ", without_comments(text)).split("\n"):
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if not directive:
            if all(active for active, _ in stack):
                lines.append(line)
            continue
        word, rest = directive.groups()
        if word in ("if", "ifdef", "ifndef"):
            name = rest.split()[0]
            active = {"if": lambda: holds(rest), "ifdef": lambda: name not in UNSET, "ifndef": lambda: name in UNSET}[word]()
            stack.append([active, active])
        elif word == "elif":
            active = not stack[-1][1] and holds(rest)
            stack[-1] = [active, stack[-1][1] or active]
        elif word == "else":
            stack[-1] = [not stack[-1][1], True]
        elif word == "endif":
            stack.pop()
    return "\n".join(lines)


def fields(body):
    """The parts between the commas of an initialiser, at its outermost level."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|[(){},]', body):
        token = match[0]
        if token in "({":
            depth += 1
        elif token in ")}":
            depth -= 1
        elif token == "," and depth == 0:
            parts.append(body[start : match.start()].strip())
            start = match.end()
    return [part for part in [*parts, body[start:].strip()] if part]


def initialiser(text, opening):
    """The text between the brace at `opening` and the one that closes it."""
    depth = 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|[{}]', text[opening:]):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[opening + 1 : opening + match.start()]
    raise ValueError("an initialiser is not closed")


def string(expression):
    """The contents of `ngx_string("…")`, or of a plain literal."""
    literal = re.search(r'"((?:\\.|[^"\\])*)"', expression)
    return literal[1].replace('\\"', '"') if literal else None


def command(entry):
    """One entry of a command table, or nothing for the one that ends it."""
    parts = fields(entry.strip()[1:-1]) if entry.startswith("{") else []
    if not parts or string(parts[0]) is None:
        return None
    name, flags, setter = string(parts[0]), re.sub(r"\s+", "", parts[1]), parts[2]
    post = re.match(r"(?:\([^)]*\)\s*)?&?\s*(\w+)", parts[5]) if len(parts) > 5 else None
    return Command(name, flags, setter, post[1] if post and post[1] not in ("NULL", "nullptr", "0") else None)


DECLARATION = re.compile(
    r"\b(ngx_command_t|ngx_conf_enum_t|ngx_conf_bitmask_t|ngx_conf_num_bounds_t|ngx_conf_post_t|ngx_conf_deprecated_t|"
    r"ngx_module_t)\s+(\w+)\s*(?:\[\w*\])?\s*=\s*(?=\{)"
)


def read(text):
    """All tables of one source file."""
    tables, text = Tables(), preprocess(text)
    for match in DECLARATION.finditer(text):
        kind, name = match.groups()
        parts = fields(initialiser(text, match.end()))
        if kind == "ngx_command_t":
            tables.commands[name] = [found for found in map(command, parts) if found]
        elif kind in ("ngx_conf_enum_t", "ngx_conf_bitmask_t"):
            tables.words[name] = [word for word in map(string, parts) if word]
        elif kind == "ngx_module_t":
            # NGX_MODULE_V1 is a macro for the first fields; older modules spell them out as NGX_MODULE.
            tables.modules.append((name, parts[2], parts[3]))
        else:
            tables.posts[name] = [string(part) or part for part in parts]
    return tables


def numbers(header):
    """The numeric constants that a header defines by number, or by others of them."""
    found = {}
    for name, value in re.findall(r"#define\s+(NGX_\w+)\s+([^\n]*)", re.sub(r"\\\n", " ", without_comments(header))):
        found.setdefault(name, value.strip())
    return found
