//! The bundled validators for people: the files and settings of each.

/// Description of a bundled validator.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// Name for `--builtin`.
    pub name: &'static str,
    /// Subject, in one line.
    pub about: &'static str,
    /// Files, settings, and the page of its findings.
    pub text: &'static str,
}

/// Text of a validator of single files: the ends of their names, its own rules, and the page of its findings.
macro_rules! of_files {
    ($ends:literal, $own:literal) => {
        concat!(
            "Validates each file whose name ends in ",
            $ends,
            "; or the only file there is, or that of `--main`, whatever its name.\n",
            $own,
            "Findings: docs/findings-structured.md\n"
        )
    };
}

/// All bundled validators, sorted by name.
pub const BUNDLED: [Bundled; 9] = [
    Bundled {
        name: "by-name",
        about: "JSON, YAML and TOML files, each by the ending of its name",
        text: "\
Validates each file whose name ends in `.json`, `.yaml`, `.yml` or `.toml`; other files are accepted as they are.
Findings: docs/findings-structured.md
",
    },
    Bundled {
        name: "ini",
        about: "INI as most programs read it: sections, settings, comments, duplicates",
        text: of_files!(
            "`.ini`",
            "The rules are those of Python's configparser. What other programs read in another way is a warning.\n"
        ),
    },
    Bundled {
        name: "json",
        about: "JSON, strictly as RFC 8259 has it",
        text: of_files!("`.json`", ""),
    },
    Bundled {
        name: "json-schema",
        about: "JSON, YAML or TOML against a JSON Schema, drafts 4 to 2020-12",
        text: of_files!(
            "`.json`, `.yaml`, `.yml` or `.toml`",
            "Settings: `--schema` is the file of the schema, JSON or YAML, which is read at the start; what it refers to outside of itself is not fetched\n"
        ),
    },
    Bundled {
        name: "nginx",
        about: "nginx configuration as `nginx -t` would, without nginx",
        text: "\
Validates the file of `--main`, or `nginx.conf`, or `/etc/nginx/nginx.conf` in the root of the target, and all that it includes.
With `--context http,server` each file is a snippet that another file includes within these blocks.
Settings: `--nginx-version` chooses the rules [default: the running version's, or the newest stable]; `--nginx-build` is nginx.org,
debian, openresty or plus, which differ in their modules; `--nginx-allow` names a directive of another module; `--nginx-hygiene` warns
of insecure or fragile configuration [default: on in `check`, off in `run`]
Findings: docs/findings.md, docs/findings-nginx-hygiene.md; where it differs from nginx: docs/nginx-agreement.md
",
    },
    Bundled {
        name: "tls",
        about: "certificates and their keys: the chain, whether the key fits, names, dates",
        text: "\
Validates `tls.crt` with `tls.key` (a Secret of the type kubernetes.io/tls), each `NAME.crt` or `NAME.pem` with `NAME.key`, certbot's
`fullchain.pem` with `privkey.pem`, and each file that holds a certificate and a key; or the only file there is, or that of `--main`.
Settings: `--tls-name` is a name for which one of the certificates must be valid; `--tls-warn` is how long before its end a
certificate is warned of [default: 14d]
Findings: docs/findings-tls.md
",
    },
    Bundled {
        name: "toml",
        about: "TOML 1.1",
        text: of_files!("`.toml`", ""),
    },
    Bundled {
        name: "xml",
        about: "XML 1.0: well-formed or not",
        text: of_files!("`.xml`", "No schema is applied, and nothing is fetched.\n"),
    },
    Bundled {
        name: "yaml",
        about: "YAML 1.2, each document of a stream",
        text: of_files!("`.yaml` or `.yml`", ""),
    },
];

/// The names of [`BUNDLED`].
pub(super) const NAMES: [&str; BUNDLED.len()] = {
    let mut names = [""; BUNDLED.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = BUNDLED[index].name;
        index += 1;
    }
    names
};
