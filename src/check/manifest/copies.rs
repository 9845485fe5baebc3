//! Files that the commands of a container copy from one volume into another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobBuilder;

use super::mounted::{FILE, Mounted, Point, RenderMode, Rendering};
use super::pod::{Container, VolumeMount};
use super::room::Room;

/// Contents of volumes that containers fill, by the names of the volumes.
pub type Filled<K> = BTreeMap<String, BTreeMap<PathBuf, (K, Option<Rendering>)>>;

/// Keywords of a shell in front of a command (POSIX, XCU 2.4).
const KEYWORDS: [&str; 7] = ["then", "do", "else", "exec", "{", "!", "set"];

/// Programs whose last operand is the place of the others.
const COPIERS: [&str; 4] = ["cp", "mv", "ln", "install"];

/// Programs that change the files among their operands.
const WRITERS: [&str; 11] = ["sed", "yq", "rm", "tee", "perl", "ed", "patch", "truncate", "dd", "gomplate", "confd"];

/// One simple command of a script: its words without redirections, its input and its output.
#[derive(Debug, Default, PartialEq, Eq)]
struct SimpleCommand {
    words: Vec<String>,
    input: Option<String>,
    output: Option<String>,
    appends: bool,
}

impl SimpleCommand {
    /// Returns the name of its program, without the directory.
    fn program(&self) -> &str {
        self.words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default()
    }
}

/// Adds to `filled` what the commands of `container` copy into volumes that it shares with other containers, and returns the files
/// that it sees after that. Ends at the command for which `room` is too small.
pub fn fill<K: Clone>(
    container: &Container,
    mut seen: Mounted<K>,
    shared: &BTreeSet<&str>,
    filled: &mut Filled<K>,
    room: &mut Room,
) -> Mounted<K> {
    for command in commands(container) {
        // Each operand of a copy is looked for among the files and mounts, and each copy among the mounts and mount points.
        let among = if COPIERS.contains(&command.program()) { seen.files.len() + container.mounts.len() } else { 1 };
        if !room.take(command.words.len().saturating_mul(among)) {
            break;
        }
        let copies = copied(&command, container, &seen);
        let each = FILE + container.mounts.len() + seen.points.len();
        if !room.take(copies.len().saturating_mul(each)) {
            break;
        }
        if copies.is_empty() {
            forget(&command, container, &mut seen, filled);
        }
        for (path, key, rendering) in copies {
            if let Some((volume, inside)) = volume_of(&path, container).filter(|(volume, _)| shared.contains(volume)) {
                let files = filled.entry(volume.to_owned()).or_default();
                files.insert(inside, (key.clone(), rendering.clone()));
            }
            seen.rendered.extend(rendering.map(|rendering| (path.clone(), rendering)));
            if !seen.points.iter().any(|point| path.starts_with(&point.path)) {
                seen.points.push(Point { path: path.clone(), known: true });
            }
            seen.files.insert(path, key);
        }
    }
    seen
}

/// Removes the files that a command names and may have changed.
fn forget<K>(command: &SimpleCommand, container: &Container, seen: &mut Mounted<K>, filled: &mut Filled<K>) {
    let program = command.program();
    let changed = command.words.iter().skip(1).filter(|_| WRITERS.contains(&program));
    for word in changed.chain(&command.output) {
        let path = Path::new(word);
        if seen.files.remove(path).is_some()
            && let Some((volume, inside)) = volume_of(path, container)
            && let Some(files) = filled.get_mut(volume)
        {
            files.remove(&inside);
        }
    }
}

/// Returns the volume at `path`, and the path inside of it.
fn volume_of<'c>(path: &Path, container: &'c Container) -> Option<(&'c str, PathBuf)> {
    let at = |mount: &'c VolumeMount| {
        let rest = path.strip_prefix(&mount.path).ok()?;
        Some((mount, Path::new(&mount.sub_path).join(rest)))
    };
    let mounts = container.mounts.iter().filter_map(at);
    let (mount, inside) = mounts.max_by_key(|(mount, _)| Path::new(&mount.path).components().count())?;
    Some((&mount.volume, inside.components().collect()))
}

/// Returns the files that a command writes, with their sources.
fn copied<K: Clone>(
    command: &SimpleCommand,
    container: &Container,
    seen: &Mounted<K>,
) -> Vec<(PathBuf, K, Option<Rendering>)> {
    let words = command.words.get(1..).unwrap_or_default();
    match command.program() {
        program if COPIERS.contains(&program) => {
            let operands: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
            let Some((target, sources)) = operands.split_last() else { return Vec::new() };
            let copies = sources.iter().flat_map(|source| copy(source, target, sources.len() > 1, container, seen));
            copies.map(|(path, key, rendering)| (path, key.clone(), rendering.cloned())).collect()
        }
        name @ ("cat" | "envsubst") if !command.appends => {
            let source =
                command.input.as_deref().or_else(|| words.last().filter(|_| name == "cat").map(String::as_str));
            let from = source.and_then(|source| seen.files.get(Path::new(source)));
            let Some((key, target)) = from.zip(command.output.as_deref()) else { return Vec::new() };
            let listed = words.first().map(|list| variables_of(list));
            let mode = listed.map_or(RenderMode::All, |names| RenderMode::Listed(Arc::new(names)));
            let rendering = (name == "envsubst").then(|| Rendering { container: container.name.clone(), mode });
            vec![(target.into(), key.clone(), rendering)]
        }
        _ => Vec::new(),
    }
}

/// Returns the names of the variables in the list for `envsubst`.
fn variables_of(list: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    list.split(|c: char| !is_of_name(c)).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Returns the copies of one operand of cp(1).
fn copy<'s, K>(
    source: &str,
    target: &str,
    is_one_of_many: bool,
    container: &Container,
    seen: &'s Mounted<K>,
) -> Vec<(PathBuf, &'s K, Option<&'s Rendering>)> {
    let glob = GlobBuilder::new(source.trim_end_matches("/.")).literal_separator(true).build();
    let Ok(glob) = glob.map(|glob| glob.compile_matcher()) else { return Vec::new() };
    let is_directory = is_one_of_many
        || target.ends_with('/')
        || container
            .mounts
            .iter()
            .any(|mount| Path::new(&mount.path) == Path::new(target) && mount.sub_path.is_empty())
        || seen.files.keys().any(|path| path != Path::new(target) && path.starts_with(target));
    let mut copies = Vec::new();
    for (path, key) in &seen.files {
        let Some(top) = path.ancestors().find(|top| glob.is_match(top)) else { continue };
        let rest = path.strip_prefix(top).unwrap_or(path);
        let contents = source.ends_with("/.");
        let inside = match (top.file_name(), contents) {
            (Some(name), false) if is_directory => Path::new(target).join(name),
            _ => PathBuf::from(target),
        };
        let to = if rest.as_os_str().is_empty() { inside } else { inside.join(rest) };
        copies.push((to, key, seen.rendered.get(path)));
    }
    copies
}

/// Returns the simple commands of a container: of the script of a shell, or the one command.
fn commands(container: &Container) -> Vec<SimpleCommand> {
    let words: Vec<&str> = container.command.iter().chain(&container.args).map(String::as_str).collect();
    let shell = words.first().and_then(|word| word.rsplit('/').next());
    let is_shell = matches!(shell, Some("sh" | "bash" | "ash" | "dash"));
    match words.iter().position(|word| word.starts_with('-') && word.ends_with('c')).filter(|_| is_shell) {
        Some(option) => words.get(option + 1).map(|script| script_commands(script)).unwrap_or_default(),
        None => vec![redirected(words.into_iter().map(str::to_owned).collect())],
    }
}

fn script_commands(script: &str) -> Vec<SimpleCommand> {
    let joined = script.replace("\\\n", " ");
    let parts = joined.split(['\n', ';']).flat_map(|part| part.split("&&")).flat_map(|part| part.split("||"));
    parts.filter_map(|part| shell_words::split(part).ok()).map(redirected).filter(|it| !it.words.is_empty()).collect()
}

/// Separates the redirections of a command from its words (POSIX, XCU 2.7).
fn redirected(words: Vec<String>) -> SimpleCommand {
    let mut command = SimpleCommand::default();
    let mut words = words.into_iter().skip_while(|word| KEYWORDS.contains(&word.as_str()));
    while let Some(word) = words.next() {
        let (sign, rest) = word.split_at(word.len() - word.trim_start_matches(['<', '>']).len());
        let mut path = || if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
        match sign {
            "<" => command.input = path(),
            ">" => command.output = path(),
            ">>" => (command.output, command.appends) = (path(), true),
            _ => command.words.push(word),
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(volume: &str, path: &str) -> VolumeMount {
        VolumeMount { volume: volume.to_owned(), path: path.to_owned(), sub_path: String::new(), is_expression: false }
    }

    #[track_caller]
    fn assert_filled(script: &str, expected: &[(&str, &str)]) {
        let container = Container {
            name: "init".to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            mounts: vec![mount("config", "/in"), mount("out", "/out")],
            ..Container::default()
        };
        let files = [("/in/a.conf".into(), "a"), ("/in/b.txt".into(), "b")].into();
        let mut filled = Filled::new();
        let seen = Mounted { files, ..Mounted::default() };
        fill(&container, seen, &["out"].into(), &mut filled, &mut Room::of(1_000));
        let found: BTreeMap<_, _> = filled.remove("out").unwrap_or_default();
        let found: Vec<_> = found.iter().map(|(path, (key, _))| (path.to_str().expect("it is UTF-8"), *key)).collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn copies_are_found_in_scripts() {
        assert_filled("cp /in/* /out/", &[("a.conf", "a"), ("b.txt", "b")]);
        assert_filled("set -e; cp -RL /in/. /out && ls /out", &[("a.conf", "a"), ("b.txt", "b")]);
        assert_filled("cp /in/*.conf /out", &[("a.conf", "a")]);
        assert_filled("cp /in/a.conf /out/nginx.conf", &[("nginx.conf", "a")]);
        assert_filled("cp -r /in /out", &[("in/a.conf", "a"), ("in/b.txt", "b")]);
        assert_filled("cat /in/a.conf > /out/c.conf", &[("c.conf", "a")]);
        assert_filled("envsubst '$A' </in/a.conf >/out/c.conf", &[("c.conf", "a")]);
    }

    #[test]
    fn copies_end_where_there_is_no_room() {
        let script: String = (0..100).map(|n| format!("cp /in/a.conf /out/{n}\n")).collect();
        let container = Container {
            command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            mounts: vec![mount("out", "/out")],
            ..Container::default()
        };
        let copies = |room: &mut Room| {
            let seen = Mounted { files: [("/in/a.conf".into(), "a")].into(), ..Mounted::default() };
            fill(&container, seen, &["out"].into(), &mut Filled::new(), room).files.len() - 1
        };
        let mut room = Room::of(1 << 20);
        assert_eq!(copies(&mut room), 100);
        assert!(!room.is_exceeded());
        let mut room = Room::of(1_000);
        assert!((1..100).contains(&copies(&mut room)));
        assert!(room.is_exceeded());
    }

    #[test]
    fn a_file_that_another_command_changes_is_unknown() {
        assert_filled("cp /in/a.conf /out/a.conf; sed -i s/a/b/ /out/a.conf", &[]);
        assert_filled("cp /in/a.conf /out/a.conf; echo more >> /out/a.conf", &[]);
        assert_filled("cp /in/a.conf /elsewhere", &[]);
        assert_filled("cp /in/a.conf /out/a.conf; nginx -c /out/a.conf", &[("a.conf", "a")]);
    }
}
