//! The hidden subcommands, which change their process and execute a command, and the same as a message to a keeper.
//!
//! A command line of them is `SUBCOMMAND ARGUMENTS -- COMMAND`. They are not listed, and their arguments are the gate's own, so they are
//! read without a parser that could explain mistakes: it would cost more time than all the rest.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::again::{CommandProgram, Reporter};
use super::confine::{self, Confinement, PreparedRules};
use super::view::{self, FileSystemView, ViewMount};
use super::{Command, RunAs, enter, environment};
use crate::sys::proc::Identity;

/// The word for a process that only executes the command.
const PLAIN: &str = "plain";

/// The change of a process before it executes a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// None.
    Plain,
    /// It becomes like another process, without these variables of its environment.
    Enter(RunAs, Vec<String>),
    /// It confines itself.
    Confine(Confinement),
    /// It sees a file system of its own.
    View(FileSystemView),
}

impl Setup {
    /// Returns true if a process that was prepared for this setup can become the command.
    pub(super) fn serves(&self, door: &Door) -> bool {
        match (self, &door.setup) {
            (Self::Enter(..), Self::Enter(..) | Self::Confine(_)) => true,
            // Only an isolated command has other capabilities.
            (Self::Confine(expected), Self::Confine(confinement)) => {
                expected.only.is_some() == confinement.only.is_some() && door.image.is_none()
            }
            _ => false,
        }
    }

    /// The hidden subcommand that does it.
    fn subcommand(&self) -> &'static str {
        match self {
            Self::Plain => PLAIN,
            Self::Enter(..) => enter::SUBCOMMAND,
            Self::Confine(_) => confine::SUBCOMMAND,
            Self::View(_) => view::SUBCOMMAND,
        }
    }
}

/// A command with its setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) setup: Setup,
    /// The variables that the command sees, unless it takes those of another process.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Process whose program is executed in place of the one that the first word names.
    pub(super) image: Option<Identity>,
    pub(super) words: Vec<OsString>,
}

/// A command line of a hidden subcommand.
struct SubcommandLine {
    setup: Setup,
    /// The names of variables that are passed on.
    pass: Vec<String>,
    image: Option<Identity>,
    words: Vec<OsString>,
}

/// Runs the hidden subcommand of a command line, without the name of the program; `None` if it is another one. Returns only if the command
/// could not be executed or was waited for, with the message and the exit code.
pub fn run(line: impl Iterator<Item = OsString>) -> Option<(String, u8)> {
    let mut line = line.peekable();
    let is_hidden = |word: &OsString| {
        [enter::SUBCOMMAND, confine::SUBCOMMAND, view::SUBCOMMAND].iter().any(|known| *word == **known)
    };
    if !line.peek().is_some_and(is_hidden) {
        return None;
    }
    super::close_inherited();
    // A session of its own has no controlling terminal. Started by hand the binary may lead a group already.
    let _ = rustix::process::setsid();
    let door = parse(line).map(|SubcommandLine { setup, pass, image, words }| {
        let environment = environment(&pass);
        Door { setup, environment, image, words }
    });
    Some(match door {
        Some(door) => door.execute(&Reporter::none(), None),
        None => ("error: the arguments of a hidden subcommand are wrong".to_owned(), 2),
    })
}

/// Reads a command line.
fn parse(mut line: impl Iterator<Item = OsString>) -> Option<SubcommandLine> {
    let text = |word: OsString| word.into_string().ok();
    let subcommand = text(line.next()?)?;
    let mut setup = match subcommand.as_str() {
        PLAIN => Setup::Plain,
        enter::SUBCOMMAND => {
            let pid = text(line.next()?)?.parse().ok()?;
            let start = text(line.next()?)?.parse().ok()?;
            let root = line.next()? == "root";
            Setup::Enter(RunAs { process: Identity { pid, start }, root }, Vec::new())
        }
        confine::SUBCOMMAND => Setup::Confine(Confinement::default()),
        view::SUBCOMMAND => Setup::View(FileSystemView::default()),
        _ => return None,
    };
    let (mut pass, mut image) = (Vec::new(), None);
    loop {
        let word = text(line.next()?)?;
        let (name, value) = word.split_once('=').unwrap_or((&word, ""));
        match (name, &mut setup) {
            ("--", _) => break,
            ("--pass", _) => pass.push(value.to_owned()),
            ("--image", _) => {
                let (pid, start) = value.split_once(':')?;
                image = Some(Identity { pid: pid.parse().ok()?, start: start.parse().ok()? });
            }
            ("--unset", Setup::Enter(_, unset)) => unset.push(value.to_owned()),
            ("--strict", Setup::Confine(confinement)) => confinement.strict = true,
            ("--hide", Setup::Confine(confinement)) => confinement.hidden.push(line.next()?.into()),
            ("--fix", Setup::Confine(confinement)) => confinement.fixed.push(line.next()?.into()),
            ("--only", Setup::Confine(confinement)) => {
                confinement.only.get_or_insert_default().push(line.next()?.into());
            }
            ("--home", Setup::View(view)) => view.homes.push(line.next()?.into()),
            ("--mount", Setup::View(view)) => {
                let at = PathBuf::from(line.next()?);
                view.mounts.push(ViewMount { at, from: line.next()?.into() });
            }
            _ => return None,
        }
    }
    Some(SubcommandLine { setup, pass, image, words: line.collect() })
}

impl Door {
    /// The command with its setup and its environment, as the gate has them.
    pub(super) fn of(command: &Command) -> Self {
        let setup = match (command.run_as, &command.view, &command.confinement) {
            (Some(run_as), ..) => Setup::Enter(run_as, command.unset.clone()),
            (None, Some(view), _) => Setup::View(view.clone()),
            (None, None, Some(confinement)) => Setup::Confine(confinement.clone()),
            (None, None, None) => Setup::Plain,
        };
        let environment = environment(&command.pass_env).into_iter().chain(super::given(command)).collect();
        // In a view there is no process.
        let image = command.image.filter(|_| !matches!(setup, Setup::View(_)));
        Self { setup, environment, image, words: command.words.clone() }
    }

    /// Returns true if a process can prepare itself for a command with this setup. The program of a process is out of reach of a confined one.
    pub(super) fn can_be_expected(&self) -> bool {
        match &self.setup {
            Setup::Enter(..) => true,
            Setup::Confine(_) => self.image.is_none(),
            Setup::Plain | Setup::View(_) => false,
        }
    }

    /// A message before the command: the setup that the next command is expected to have. It has no words.
    pub(super) fn expectation(setup: Setup) -> Self {
        Self { setup, environment: Vec::new(), image: None, words: Vec::new() }
    }

    /// Returns true if it is no command, but the setup of one that is expected.
    pub(super) fn is_expectation(&self) -> bool {
        self.words.is_empty() && self.environment.is_empty()
    }

    /// Changes this process and executes the command. Returns only if that failed, or in a view after the end of the command, with the
    /// message and the exit code.
    pub(super) fn execute(self, reporter: &Reporter, prepared: Option<PreparedRules>) -> (String, u8) {
        let Self { setup, environment, image, words } = self;
        let program = match CommandProgram::open(image, words) {
            Ok(program) => program,
            Err(failed) => return reporter.not_ready(setup.subcommand(), &failed),
        };
        match setup {
            Setup::Plain => reporter.execute(PLAIN, Ok(environment), &program),
            Setup::Enter(run_as, unset) => enter::execute(reporter, run_as, &unset, &program),
            Setup::Confine(confinement) => confine::execute(reporter, &confinement, environment, &program, prepared),
            Setup::View(view) => view::execute(reporter, &view, &environment, &program),
        }
    }

    /// The command line, with the command.
    fn line(&self) -> Vec<OsString> {
        let arguments = match &self.setup {
            Setup::Plain => Vec::new(),
            Setup::Enter(run_as, unset) => enter::arguments(*run_as, unset),
            Setup::Confine(confinement) => confine::arguments(confinement),
            Setup::View(view) => view::arguments(view),
        };
        let image = self.image.map(|Identity { pid, start }| format!("--image={pid}:{start}").into());
        let words = self.words.iter().cloned();
        let subcommand = [self.setup.subcommand().into()].into_iter();
        subcommand.chain(arguments).chain(image).chain(["--".into()]).chain(words).collect()
    }

    /// The message to a keeper: its length, the number of variables, each name and value, and the command line; each ends with a zero byte,
    /// which is in no argument and in no variable of a process.
    ///
    /// # Errors
    /// With a zero byte in one of them.
    pub(super) fn message(&self) -> io::Result<Vec<u8>> {
        let count = OsString::from(self.environment.len().to_string());
        let variables = self.environment.iter().flat_map(|(name, value)| [name, value]);
        let line = self.line();
        let mut fields = Vec::new();
        for field in [&count].into_iter().chain(variables).chain(&line) {
            if field.as_bytes().contains(&0) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "nul byte found in provided data"));
            }
            fields.extend_from_slice(field.as_bytes());
            fields.push(0);
        }
        let length = u32::try_from(fields.len()).map_err(io::Error::other)?;
        Ok([&length.to_le_bytes(), fields.as_slice()].concat())
    }

    /// Reads a message without its length.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let fields = message.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut fields = fields.map(|field| OsString::from_vec(field.to_vec()));
        let count = fields.next()?.to_str()?.parse().ok()?;
        let mut environment = Vec::new();
        for _ in 0_usize..count {
            environment.push((fields.next()?, fields.next()?));
        }
        let SubcommandLine { setup, image, words, .. } = parse(fields)?;
        Some(Self { setup, environment, image, words })
    }
}
