//! The placeholders in the words of a command: `{config}` is the main file of the configuration, and `{dir}` its directory. Pure.

use std::path::PathBuf;

use reload_gate_contract::Finding;

/// The placeholder of the main file.
pub const CONFIG: &str = "{config}";
/// The placeholder of the directory.
pub const DIRECTORY: &str = "{dir}";

/// Paths of the live configuration in the gate's file system.
#[derive(Clone, Debug)]
pub struct LivePaths {
    /// The main file, or the reason why it is unknown.
    pub main: Result<PathBuf, Box<Finding>>,
    /// The directory.
    pub directory: PathBuf,
}

/// A command whose main file is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMain {
    /// The reason.
    pub message: String,
    /// The remedy.
    pub help: String,
}

/// Returns true if one of `words` has the placeholder.
#[must_use]
pub fn has(words: &[String], placeholder: &str) -> bool {
    words.iter().any(|word| word.contains(placeholder))
}

/// Returns `word` with these paths in place of its placeholders. A path that no placeholder needs is not computed.
///
/// # Errors
/// When the word needs the main file, and that is unknown.
pub fn fill<E>(
    word: &str,
    main: impl FnOnce() -> Result<PathBuf, E>,
    directory: impl FnOnce() -> PathBuf,
) -> Result<String, E> {
    let mut word = word.to_owned();
    if word.contains(DIRECTORY) {
        word = word.replace(DIRECTORY, &directory().to_string_lossy());
    }
    if word.contains(CONFIG) {
        word = word.replace(CONFIG, &main()?.to_string_lossy());
    }
    Ok(word)
}

/// Returns the words of a command with the paths of the live configuration; `None` if no word has a placeholder.
///
/// # Errors
/// When a word needs the main file, and that is unknown.
pub fn at_live(words: &[String], paths: impl FnOnce() -> LivePaths) -> Result<Option<Vec<String>>, UnknownMain> {
    if !has(words, CONFIG) && !has(words, DIRECTORY) {
        return Ok(None);
    }
    let LivePaths { main, directory } = paths();
    let fill = |word: &String| fill(word, || main.clone(), || directory.clone());
    words.iter().map(fill).collect::<Result<_, _>>().map(Some).map_err(|finding| {
        let command = shell_words::join(words);
        let message = format!("the main file for `{command}` is unknown: {}", finding.message);
        UnknownMain { message, help: finding.help.unwrap_or_else(|| "name it with `--main FILE`".to_owned()) }
    })
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::Code;

    use super::*;

    #[test]
    fn a_command_gets_the_paths_of_the_live_configuration() {
        let paths = |main: Result<&str, &str>| LivePaths {
            main: main
                .map(PathBuf::from)
                .map_err(|why| Box::new(Finding::environment(Code::new("no-main-file"), why.to_owned()))),
            directory: "/etc/app".into(),
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let filled = |command: &[&str], main| at_live(&words(command), || paths(main)).map(Option::unwrap_or_default);
        let known = Ok("/etc/app/app.conf");
        assert_eq!(filled(&["app", "load", "{config}"], known), Ok(words(&["app", "load", "/etc/app/app.conf"])));
        assert_eq!(
            filled(&["app", "--in={dir}/x", "-c{config}"], known),
            Ok(words(&["app", "--in=/etc/app/x", "-c/etc/app/app.conf"]))
        );
        let unknown = Err("there are several files");
        assert_eq!(filled(&["app", "{dir}"], unknown), Ok(words(&["app", "/etc/app"])));
        let reason = filled(&["app", "{config}"], unknown).expect_err("the file is unknown");
        assert_eq!(reason.message, "the main file for `app {config}` is unknown: there are several files");
        assert_eq!(reason.help, "name it with `--main FILE`");
        assert_eq!(at_live(&words(&["app", "reload"]), || panic!("it has no placeholder")), Ok(None));
    }
}
